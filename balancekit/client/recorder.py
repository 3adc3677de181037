"""Remembering how reads have ended, here and for other processes, and logging accounts that go down or come back."""

from collections.abc import Callable

from balancekit.client.account_state import Moment
from balancekit.client.accounts import Account
from balancekit.client.flights import Flight
from balancekit.client.instrumentation import log_transition
from balancekit.client.shared_failures import SharedFailures
from balancekit.errors import BalancekitError, RateLimitedError
from balancekit.money.balances import AccountBalances
from balancekit.stores.fail_open import FailOpenStore


class Recorder:
    """Records what flights have ended with; `on_read` is called with each account.

    `failures` is None if there is no store, or if it does not share them.
    """

    def __init__(
        self, store: FailOpenStore | None, failures: SharedFailures | None, on_read: Callable[[Account], None]
    ) -> None:
        self._store = store
        self._failures = failures
        self._on_read = on_read

    def succeeded(self, flight: Flight, snapshot: AccountBalances, moment: Moment) -> None:
        """Record that a flight has brought a snapshot, whose request was sent at that moment."""
        account, state = flight.account, flight.account.state
        was_down = state.failure is not None
        sent_at = moment.now if flight.sent_at is None else flight.sent_at
        # Where one is kept already, the newer one takes its place.
        if flight.store_result or state.last is not None:
            # Without a version of the store's own nobody could find out whether the snapshot is still valid.
            is_known = self._store is None or self._store.is_known(flight.version)
            if flight.is_own:
                state.keep(snapshot, sent_at=sent_at, version=flight.version, is_reusable=is_known)
            else:
                state.keep_stored(snapshot, age=moment.now - sent_at, version=flight.version, moment=moment)
        else:
            account.forget_read()
        state.succeeded(sent_at=sent_at, moment=moment)
        if was_down and state.failure is None:
            log_transition(account, None)
        self._on_read(account)

    def not_asked(self, account: Account, error: BalancekitError, moment: Moment) -> None:
        """Record that an account could not be read, since it is not asked in the cooldown of its origin after a 429."""
        if account.state.failure is None:
            account.state.not_asked(error, moment)
            log_transition(account, error)
            self._on_read(account)

    def failed(self, flight: Flight, error: BalancekitError, moment: Moment) -> None:
        """Record that a flight has ended with an error; it says nothing of the account if no request was sent."""
        begun_at, sent = flight.first_sent_at, flight.sent
        if begun_at is None or sent is None:
            return
        account, state, version = flight.account, flight.account.state, flight.version
        was_up, cools_down = state.failure is None, not isinstance(error, RateLimitedError)
        # After a 429 the whole origin is in a cooldown.
        state.failed(error, begun_at=begun_at, sent_at=sent.now, version=version, moment=moment, cools_down=cools_down)
        if was_up and state.failure is not None:
            log_transition(account, error)
        self._on_read(account)
        # What another process has found out is in the store already.
        if self._failures is not None and flight.is_own and state.failure is error:
            cooldown = state.cooldown.remaining(moment.now)
            self._failures.share(account, error, took=moment.now - sent.now, version=version, cooldown=cooldown)
