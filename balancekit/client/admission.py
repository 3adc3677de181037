"""What a caller is given of an account at once, and in which order the others are read. Nothing here waits."""

from collections.abc import Callable

from balancekit.client.account_state import CLOCK_DRIFT, Moment
from balancekit.client.accounts import Account, Outcome
from balancekit.client.flights import CallOptions
from balancekit.client.origins import Origin
from balancekit.client.unread import removed_error
from balancekit.http.rate_limit import Permits, RateLimit
from balancekit.money.balances import AccountFailure


def known_outcome(account: Account, version: str, options: CallOptions, moment: Moment) -> tuple[Outcome | None, bool]:
    """Return what a caller is given without waiting, None to read the account; and whether to refresh that.

    `version` is that of the account now. A caller that accepts earlier snapshots is given an earlier failure, too,
    until its cooldown is over.
    """
    if account.is_removed:
        return account.to_failure(removed_error(account), moment), False
    state, kept = account.state, account.state.kept
    if kept is not None and kept.ahead - moment.ahead > CLOCK_DRIFT:
        state.note_set_back(moment)
    if options.max_age > 0:
        snapshot = state.fresh(version, options.max_age, moment)
        if snapshot is not None:
            return snapshot, False
        error = state.remembered_failure(moment)
        if error is not None:
            return AccountFailure(account.label, account.provider, error, state.stale(moment)), False
    if kept is not None and 0 < options.stale_while_revalidate >= kept.age(moment):
        stale, error = state.stale(moment), state.aged_failure(moment)
        outcome = stale if error is None else AccountFailure(account.label, account.provider, error, stale)
        return outcome, state.next_attempt_in(moment) <= 0
    return None, False


def in_order(accounts: list[Account], origin: Origin, moment: Moment) -> list[Account]:
    """Return accounts at one origin in the order in which they are read; under a rate limit they wait from now on.

    Those that are down come last, since they may take all the time there is. Under a limit those come first that wait
    longest, whichever call wanted them.
    """
    if origin.limit is None:
        is_mixed = [True for account in accounts if account.state.failure or account.state.waiting_since]
        return sorted(accounts, key=_is_down_or_new) if is_mixed else accounts
    is_sorted = True
    for account in accounts:
        if account.state.waiting_since is None:
            account.state.waiting_since = moment.now
        else:
            is_sorted = False
    return accounts if is_sorted else sorted(accounts, key=waiting_since)


def late_permits(
    accounts: list[Account],
    permits: Permits,
    limit: RateLimit,
    *,
    now: float,
    ends_at: float,
    ahead: int,
    is_shared: Callable[[Account], bool],
) -> dict[Account, float]:
    """Return the accounts that would have a permit only after the deadline, with the seconds that each would wait.

    `ahead` is how many others are to have a permit first, and `is_shared` whether an account is among those.
    """
    late: dict[Account, float] = {}
    if ahead + len(accounts) <= permits.free(limit):
        return late
    waits = permits.waits(limit, now)
    for account in accounts:
        if not is_shared(account):
            wait, ahead = waits(ahead), ahead + 1
            if now + wait >= ends_at:
                late[account] = wait
    return late


def waiting_since(account: Account) -> float:
    """Return since when an account waits for a request."""
    state = account.state
    # An account that was read for another call in the meantime has waited only since that request.
    return state.requested_at if state.waiting_since is None else state.waiting_since


def _is_down_or_new(account: Account) -> tuple[bool, bool]:
    return account.state.failure is not None, account.state.waiting_since is None
