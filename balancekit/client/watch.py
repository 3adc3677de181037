"""A watch: what accounts hold, each time that it has changed."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Final, Protocol, Self

import attrs

from balancekit.client.accounts import Account
from balancekit.clock import Clock
from balancekit.money.merge import MergedBalances

DEBOUNCE: Final = 0.05
"""For how many seconds a watch joins what is read one after the other, so that it is one state."""


@attrs.frozen(kw_only=True)
class WatchOptions:
    """The settings of a watch, in seconds: see `AggregateClient.watch`."""

    max_age: float
    every: float | None
    min_interval: float
    stale_if_error: float


class WatchKeeper(Protocol):
    """What a watch needs of that which has its accounts read; `open` and `leave` begin and end it."""

    clock: Clock

    async def open(self, watch: "Watch") -> None:
        """Begin a watch."""
        ...

    def resume(self, watch: "Watch") -> None:
        """Note that somebody waits for the next state."""
        ...

    def leave(self, watch: "Watch") -> None:
        """End a watch."""
        ...


class Watch:
    """What accounts hold, each time that something changed: an async iterator, and an async context manager.

    It ends with `aclose`, with its client, or when nothing refers to it any more. Cancelling a wait for the next state,
    as a timeout around `anext` does, does not end it, and loses nothing. A slow consumer gets the newest state, not
    every state in between. Made by `AggregateClient.watch`.
    """

    def __init__(
        self,
        keeper: WatchKeeper,
        labels: Collection[str] | None,
        options: WatchOptions,
        merge: Callable[["Watch"], MergedBalances],
    ) -> None:
        self.options = options
        self._keeper = keeper
        self._labels = None if labels is None else dict.fromkeys(labels)
        self._merge = merge
        self._started = False
        self._closed = False
        self._wakeup = asyncio.Event()
        self._given: MergedBalances | None = None
        self._news = False
        self._pending: set[str] = set()
        self._waiting = 0
        # Accounts that were to be read while nobody waited for the next state.
        self.missed: set[str] = set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MergedBalances:
        """Wait for the next state; StopAsyncIteration once the watch has ended."""
        await self.start()
        self._waiting += 1
        try:
            self._keeper.resume(self)
            while not self.is_closed:
                self._wakeup.clear()
                if self._news:
                    if self._pending:
                        # Others may be read in the same moment.
                        await self._keeper.clock.sleep(DEBOUNCE)
                    self._news = False
                    merged = self._merge(self)
                    if merged != self._given and not self.is_closed:
                        self._given = merged
                        return merged
                else:
                    await self._wakeup.wait()
            raise StopAsyncIteration
        finally:
            self._waiting -= 1

    async def start(self) -> None:
        """Have the accounts read, at the first use."""
        if not self._started and not self._closed:
            self._started = True
            await self._keeper.open(self)

    async def aclose(self) -> None:
        """End the watch; closing twice is fine."""
        self.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for the next state: otherwise nothing is read for it."""
        return self._waiting > 0

    @property
    def is_closed(self) -> bool:
        """Whether the watch has ended."""
        return self._closed

    @property
    def pending(self) -> Collection[str]:
        """The labels of the accounts that may have changed, or that the watch has not seen read yet."""
        return self._pending

    def select(self, accounts: Mapping[str, Account]) -> list[Account]:
        """Return those of a client's accounts that are watched."""
        if self._labels is None:
            return list(accounts.values())
        return [accounts[label] for label in self._labels if label in accounts]

    def includes(self, label: str) -> bool:
        """Return whether an account is watched."""
        return self._labels is None or label in self._labels

    def expect(self, label: str) -> None:
        """Note that an account is to be read: until then, it is shown as it was last known, and marked."""
        self._pending.add(label)

    def notify(self, label: str | None = None) -> None:
        """Note that something new is known, of an account if there is a label."""
        if label is not None:
            self._pending.discard(label)
        self._news = True
        self._wakeup.set()

    def close(self) -> None:
        """End the watch now."""
        if not self._closed:
            self._closed = True
            self._keeper.leave(self)
            self._wakeup.set()
