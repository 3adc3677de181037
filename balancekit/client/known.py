"""What is known of accounts without asking anybody: the last snapshot of each, its last failure, and its status."""

from datetime import datetime

import attrs

from balancekit.client.account_state import Moment, own_copy, utc
from balancekit.client.accounts import Account
from balancekit.client.unread import not_read_error
from balancekit.errors import BalancekitError
from balancekit.money.balances import AccountBalances, AccountFailure, comparable_error


@attrs.frozen(kw_only=True)
class AccountStatus:
    """Whether an account can be read; moments are in UTC.

    `up` is whether the last read succeeded, None if the account has not been read. `error` is what the last read ended
    with, None while the account is up; `next_attempt` is when its cooldown ends, None if it is in none.
    """

    account: str
    provider: str
    up: bool | None
    last_success: datetime | None
    last_failure: datetime | None
    down_since: datetime | None
    next_attempt: datetime | None
    error: BalancekitError | None = attrs.field(eq=comparable_error)


def status_of(account: Account, moment: Moment) -> AccountStatus:
    """Return the status of an account."""
    state = account.state
    error = state.aged_failure(moment)
    is_known = state.last_success is not None
    remaining = state.next_attempt_in(moment)
    return AccountStatus(
        account=account.label,
        provider=account.provider,
        up=False if error is not None else is_known or None,
        last_success=utc(state.last_success, moment),
        last_failure=utc(state.last_failure, moment),
        down_since=None if error is None else utc(state.down_since or state.last_failure, moment),
        next_attempt=utc(Moment(moment.now + remaining, moment.ahead), moment) if remaining > 0 else None,
        error=error,
    )


def last_of(account: Account, moment: Moment) -> tuple[AccountBalances | None, AccountFailure | None]:
    """Return the last snapshot of an account, and a failure if it does not show what is held now, as far as is known.

    The snapshot is stale if the last read failed, or if the balances may have changed since. A failure says how old it
    is.
    """
    return _known(account, moment, account.state.aged_failure(moment), is_pending=False)


def watched_of(
    account: Account, moment: Moment, *, is_pending: bool, stale_if_error: float
) -> tuple[AccountBalances | None, AccountFailure | None]:
    """Return what a watch shows of an account; the snapshot of one that is to be read (`is_pending`) is stale.

    After a failure one older than `stale_if_error` seconds is not shown. A failure does not say how old it is, so that
    it is shown once.
    """
    account.state.note_set_back(moment)
    failed_with = account.state.failure
    error = None if failed_with is None else own_copy(failed_with)
    snapshot, failure = _known(account, moment, error, is_pending=is_pending)
    kept = account.state.kept
    is_too_old = error is not None and kept is not None and kept.age(moment) > stale_if_error
    return None if is_too_old else snapshot, failure


def _known(
    account: Account, moment: Moment, error: BalancekitError | None, *, is_pending: bool
) -> tuple[AccountBalances | None, AccountFailure | None]:
    # Looked at once, before what it is compared with: another thread may replace it.
    kept = account.state.kept
    if kept is None:
        return None, AccountFailure(account.label, account.provider, error or not_read_error(account))
    shown = kept.shown(moment)
    if error is not None:
        stale = attrs.evolve(shown, stale=True)
        return stale, AccountFailure(account.label, account.provider, error, stale)
    is_fresh = not is_pending and account.state.shows_changes(kept)
    return shown if is_fresh else attrs.evolve(shown, stale=True), None
