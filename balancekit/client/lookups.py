"""Looking accounts up in a shared store: what other processes have read, and how their reads ended."""

from collections.abc import Collection, Sequence
from typing import TypeAlias

from balancekit.client.account_state import Moment
from balancekit.client.accounts import Account
from balancekit.client.flights import CallOptions
from balancekit.client.shared_failures import SharedFailures
from balancekit.clock import Clock
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Stored
from balancekit.stores.fail_open import FailOpenStore

_Fresh: TypeAlias = list[tuple[Account, AccountBalances]]
_Others: TypeAlias = list[tuple[Account, str]]


class Lookups:
    """Looks accounts up in a store, and keeps what is new.

    `failures` is None if the store does not share them.
    """

    def __init__(self, store: FailOpenStore, failures: SharedFailures | None, clock: Clock) -> None:
        self._store = store
        self._failures = failures
        self._clock = clock

    async def look_up(
        self, accounts: Collection[Account], options: CallOptions, *, ends_at: float
    ) -> tuple[_Fresh, _Others]:
        """Return the accounts of which the store has a snapshot that is fresh enough, and the others, with versions.

        At the deadline `ends_at` all are others. What this process has read later than the store has is preferred.
        """
        asked_at = self._clock.monotonic()
        stored = await self._get(accounts, ends_at - asked_at)
        if stored is None:
            # Nobody could find out in time whether what is known is still valid.
            unknown = self._store.unknown([account.key for account in accounts])
            return [], [(account, known.version) for account, known in zip(accounts, unknown, strict=True)]
        moment = Moment.of(self._clock)
        fresh: _Fresh = []
        others: _Others = []
        for account, known in zip(accounts, stored, strict=True):
            state, snapshot = account.state, account.accept(known.snapshot)
            state.learn_version(known.version, asked_at=asked_at)
            if self._failures is not None:
                self._failures.learn(account, known, moment)
            age = known.age + moment.now - asked_at
            if snapshot is None or state.is_newer(snapshot, known.version, age=age, moment=moment):
                others.append((account, known.version))
                continue
            if options.store_result:
                version = known.version if known.valid else None
                state.keep_stored(snapshot, age=age, version=version, moment=moment)
            if known.valid and not account.is_removed and 0 < options.max_age >= age:
                fresh.append((account, snapshot))
            else:
                others.append((account, known.version))
        return fresh, others

    async def _get(self, accounts: Collection[Account], seconds: float) -> Sequence[Stored] | None:
        try:
            async with self._clock.timeout(max(0.0, seconds)):
                if self._failures is not None:
                    return await self._failures.get(accounts)
                return await self._store.get([account.key for account in accounts])
        except TimeoutError:
            return None
