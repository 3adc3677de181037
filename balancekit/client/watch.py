"""Watching accounts: their merged state, read again after a change, and at growing intervals after a failure."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import attrs

from balancekit.client.accounts import Account, Outcome
from balancekit.errors import ProviderError
from balancekit.money.balances import AccountFailure
from balancekit.money.merge import MergedBalances

DEBOUNCE: Final = 0.05
"""How many seconds a watch waits for further changes after one, so that one read serves them all."""

_JOIN_WINDOW: Final = 1.0
"""How old, in seconds, a snapshot may be that a watch uses rather than send a request: another watch just read it."""

_FIRST_RETRY: Final = 5.0
_LAST_RETRY: Final = 300.0
# In seconds: a longer Retry-After is probably in another unit.
_MAX_RETRY_AFTER: Final = 3600.0


@attrs.frozen(eq=False)
class Watch:
    """One watch of some accounts, by label.

    `read` returns the outcomes of accounts, using snapshots no older than a number of seconds; `merge` makes a result
    of outcomes. The other fields are those of `AggregateClient.watch`.
    """

    accounts: Mapping[str, Account]
    watchers: "Watchers"
    start_listening: Callable[[], Awaitable[None]] = attrs.field(kw_only=True)
    read: Callable[[Sequence[Account], float], Awaitable[Iterable[Outcome]]] = attrs.field(kw_only=True)
    merge: Callable[[Iterable[Outcome]], MergedBalances] = attrs.field(kw_only=True)
    max_age: float = attrs.field(kw_only=True)
    every: float | None = attrs.field(kw_only=True)

    async def states(self) -> AsyncGenerator[MergedBalances, None]:
        """Give the state now, and again after each change, until the client closes."""
        if not await self._start():
            return
        # Open the watcher only now: starting to listen reports "anything may have changed", which would cause a second
        # read.
        watcher = self.watchers.open(self.accounts)
        loop = asyncio.get_running_loop()
        held: dict[str, Outcome] = {}
        given: MergedBalances | None = None
        accounts, max_age = list(self.accounts.values()), self.max_age
        changes: dict[str, float] | None = {}
        next_refresh: float | None = None
        try:
            while True:
                for outcome in await self.read(accounts, max_age):
                    held[outcome.account] = outcome
                    self.watchers.schedule_retry(outcome)
                if self.watchers.closed:
                    return
                merged = self.merge(held.values())
                if merged != given:
                    given = merged
                    yield merged
                # Not after a change: frequent changes of one account must not delay the others for ever.
                if self.every is not None and not changes:
                    next_refresh = loop.time() + self.every * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
                changes = await watcher.wait_for_changes(next_refresh)
                if changes is None:
                    return
                accounts = [self.accounts[label] for label in changes or self.accounts]
                # What was read since the change is new enough, and so is what is being read for another watch.
                max_age = loop.time() - min(changes.values()) + _JOIN_WINDOW if changes else _JOIN_WINDOW
        finally:
            self.watchers.leave(watcher)

    async def _start(self) -> bool:
        """Have changes of other processes reported; False if the client is closed."""
        if not self.watchers.closed:
            await self.start_listening()
        return not self.watchers.closed


class Watcher:
    """The accounts that one watch is to read again, and since when each may have changed."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = dict.fromkeys(labels)
        self._closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._changed: dict[str, float] = {}
        self._wakeup = asyncio.Event()

    def notify(self, label: str | None) -> None:
        """Note that an account may have changed, or without a label any of them."""
        for changed in self._labels if label is None else self._labels.keys() & {label}:
            self._changed.setdefault(changed, self._loop.time())
            self._wakeup.set()

    def close(self) -> None:
        """End the watch."""
        self._closed.set()
        self._wakeup.set()

    async def wait_for_changes(self, until: float | None) -> dict[str, float] | None:
        """Wait for changes: which accounts, and since when; an empty dict at the time `until`, None at the end.

        Changes that follow at once are joined to the first. Those that are there at the time `until` are given by the
        next call: accounts that change all the time must not delay the others for ever.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._wakeup.wait()
            # Wait for further changes, but no longer than the watch goes on.
            async with asyncio.timeout(DEBOUNCE):
                await self._closed.wait()
        if self._closed.is_set():
            return None
        if until is not None and self._loop.time() >= until:
            return {}
        self._wakeup.clear()
        changed, self._changed = self._changed, {}
        return changed


@attrs.define(eq=False)
class _Retry:
    delay: float
    timer: asyncio.TimerHandle | None = None


class Watchers:
    """All watches of a client; they share the retries of accounts that fail, so that each costs one request."""

    def __init__(self) -> None:
        self.closed: bool = False
        self._watchers: set[Watcher] = set()
        self._retries: dict[str, _Retry] = {}

    def open(self, labels: Iterable[str]) -> Watcher:
        """Begin a watch of these accounts."""
        watcher = Watcher(labels)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """End a watch; with the last one, the retries are cancelled."""
        self._watchers.discard(watcher)
        if not self._watchers:
            self._cancel_retries()

    @property
    def idle(self) -> bool:
        """Whether there is neither a watch nor a retry."""
        return not self._watchers and not self._retries

    def notify(self, label: str | None) -> None:
        """Notify all watches that an account may have changed, or without a label any of them."""
        for watcher in self._watchers:
            watcher.notify(label)

    def schedule_retry(self, outcome: Outcome) -> None:
        """Schedule another read of an account that failed, after a longer delay each time until it can be read."""
        retry = self._retries.get(outcome.account)
        if not isinstance(outcome, AccountFailure):
            if retry is not None:
                self._cancel(self._retries.pop(outcome.account))
            return
        if retry is not None and retry.timer is not None:
            return
        delay = _FIRST_RETRY if retry is None else min(retry.delay * 2, _LAST_RETRY)
        retry_after = outcome.error.retry_after if isinstance(outcome.error, ProviderError) else None
        wait = max(delay * random.uniform(0.5, 1.0), min(retry_after or 0.0, _MAX_RETRY_AFTER))  # noqa: S311 - jitter
        loop = asyncio.get_running_loop()
        self._retries[outcome.account] = _Retry(delay, loop.call_later(wait, self._retry, outcome.account))

    def close(self) -> None:
        """End all watches."""
        self.closed = True
        self._cancel_retries()
        for watcher in self._watchers:
            watcher.close()

    def _retry(self, label: str) -> None:
        self._retries[label].timer = None
        self.notify(label)

    def _cancel_retries(self) -> None:
        for retry in self._retries.values():
            self._cancel(retry)
        self._retries.clear()

    def _cancel(self, retry: _Retry) -> None:
        if retry.timer is not None:
            retry.timer.cancel()
