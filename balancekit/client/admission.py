"""What a caller is given of an account at once, by what is known of it. Decisions only, nothing here waits."""

from balancekit.client.account_state import Moment
from balancekit.client.accounts import Account, Outcome
from balancekit.client.flights import CallOptions
from balancekit.client.unread import in_cooldown
from balancekit.money.balances import AccountFailure


def known_outcome(
    account: Account, version: str, options: CallOptions, moment: Moment, *, ends_at: float
) -> tuple[Outcome | None, bool]:
    """Return what a caller is given without waiting, None to read the account; and whether to refresh that.

    `version` is that of the account now, and `ends_at` the caller's deadline. A caller that accepts earlier snapshots
    is given an earlier failure, too, until its cooldown is over. During the cooldown of the origin nobody's request is
    sent.
    """
    state = account.state
    if options.max_age > 0:
        snapshot = state.fresh(version, options.max_age, moment)
        if snapshot is not None:
            return snapshot, False
        error = state.remembered_failure(moment)
        if error is not None:
            return AccountFailure(account.label, account.provider, error, state.stale(moment)), False
    cooldown = account.origin.cooldown
    remaining = cooldown.remaining(moment.now) if cooldown.times else 0.0
    if state.last is not None and 0 < options.stale_while_revalidate >= state.age(moment):
        stale, error = state.stale(moment), state.aged_failure(moment)
        outcome = stale if error is None else AccountFailure(account.label, account.provider, error, stale)
        return outcome, remaining <= 0 and state.cooldown.remaining(moment.now) <= 0
    if remaining > 0 and moment.now + remaining >= ends_at:
        return account.to_failure(in_cooldown(account, remaining), moment), False
    return None, False
