"""Looking accounts up in a shared store: what other processes have read, and how their reads ended."""

from collections.abc import Callable, Collection, Iterable, Sequence

from balancekit.client.account_state import Moment, elapsed, next_question
from balancekit.client.accounts import Account
from balancekit.client.flights import CallOptions
from balancekit.client.shared_failures import SharedFailures
from balancekit.clock import Clock
from balancekit.stores.base import Stored
from balancekit.stores.fail_open import FailOpenStore


class Lookups:
    """Looks accounts up in a store, and keeps what is new; `on_read` is called with each account of which it is.

    `failures` is None if the store does not share them.
    """

    def __init__(
        self, store: FailOpenStore, failures: SharedFailures | None, clock: Clock, on_read: Callable[[Account], None]
    ) -> None:
        self._store = store
        self._failures = failures
        self._clock = clock
        self._on_read = on_read

    async def look_up(
        self, accounts: Collection[Account], options: CallOptions, *, ends_at: float
    ) -> Iterable[tuple[Account, str]]:
        """Keep what the store has that is better than what is known of the accounts; returns them with their versions.

        At the deadline `ends_at` nothing is kept.
        """
        question, asked = next_question(), Moment.of(self._clock)
        stored = await self._get(accounts, ends_at - asked.now)
        if stored is None:
            # Nobody could find out in time whether what is known is still valid.
            unknown = self._store.unknown([account.key for account in accounts])
            return [(account, known.version) for account, known in zip(accounts, unknown, strict=True)]
        moment = Moment.of(self._clock)
        # Counted from before the call, and with the time in suspension.
        waited = elapsed(asked.now, asked.ahead, moment)
        for account, known in zip(accounts, stored, strict=True):
            state, age = account.state, known.age + waited
            is_news = state.learn_version(known.version, question=question)
            snapshot = account.accept(known, age=age, moment=moment)
            if snapshot is not None and options.store_result:
                version = known.version if known.valid else None
                is_news = state.keep_stored(snapshot, age=age, version=version, moment=moment) or is_news
            if self._failures is not None:
                self._failures.learn(account, known, moment)
            if is_news:
                self._on_read(account)
        return [(account, account.state.version) for account in accounts]

    async def _get(self, accounts: Collection[Account], seconds: float) -> Sequence[Stored] | None:
        try:
            async with self._clock.timeout(max(0.0, seconds)):
                if self._failures is not None:
                    return await self._failures.get(accounts)
                return await self._store.get([account.key for account in accounts])
        except TimeoutError:
            return None
