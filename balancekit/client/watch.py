"""A watch: what accounts hold, each time that it has changed."""

import asyncio
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import attrs

from balancekit.client.accounts import Account
from balancekit.money.merged import MergedBalances

if TYPE_CHECKING:
    from balancekit.clock import Timer


@attrs.frozen(kw_only=True)
class WatchOptions:
    """The settings of a watch, in seconds: see `AggregateClient.watch`."""

    max_age: float
    every: float | None
    min_interval: float
    stale_if_error: float


class WatchKeeper(Protocol):
    """What a watch needs of that which has its accounts read; `open` and `leave` begin and end it."""

    async def open(self, watch: "Watch") -> None:
        """Begin a watch, unless it has begun."""
        ...

    def begin_waiting(self, watch: "Watch") -> None:
        """Note that somebody waits for the next state."""
        ...

    def end_waiting(self, watch: "Watch") -> None:
        """Note that somebody does not wait any more."""
        ...

    def merge(self, watch: "Watch") -> MergedBalances:
        """Merge what is known of the accounts."""
        ...

    def leave(self, watch: "Watch") -> None:
        """End a watch."""
        ...


class Watch:
    """What accounts hold, each time that something changed: an async iterator, and an async context manager.

    It ends with `aclose`, with its client, or when nothing refers to it any more. Cancelling a wait for the next state,
    as a timeout around `anext` does, does not end it, and loses nothing. A slow consumer gets the newest state, not
    every state in between; of several tasks that wait, one gets it. Made by `AggregateClient.watch`, and used in one
    event loop.
    """

    def __init__(self, keeper: WatchKeeper, accounts: Mapping[str, Account] | None, options: WatchOptions) -> None:
        self.options = options
        self._keeper = keeper
        # By label: another one may have the label later.
        self._named = accounts
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._wakeup = asyncio.Event()
        self._has_news = False
        self._given: MergedBalances | None = None
        # What the keeper notes: the accounts that the watch has not seen read yet, by requests sent since `since`; when
        # all are read again; and when there is a state to give although nothing is read: the first one, and later that
        # without a snapshot which has become too old to be shown.
        self.pending: set[str] = set()
        self.since: float = 0.0
        self.refresh_timer: Timer | None = None
        self.show_timer: Timer | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MergedBalances:
        """Wait for the next state; StopAsyncIteration once the watch has ended.

        Raises RuntimeError in another event loop than that in which the watch was begun.
        """
        await self._begin()
        self._keeper.begin_waiting(self)
        try:
            while not self._closed:
                if not self._has_news:
                    self._wakeup.clear()
                    await self._wakeup.wait()
                    continue
                self._has_news = False
                merged = self._keeper.merge(self)
                if merged != self._given:
                    self._given = merged
                    return merged
            raise StopAsyncIteration
        finally:
            self._keeper.end_waiting(self)

    async def aclose(self) -> None:
        """End the watch; closing twice is fine."""
        self.close()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("the watch was begun in another event loop: make one in this loop with `client.watch`")
        if not self._closed:
            await self._keeper.open(self)

    @property
    def is_closed(self) -> bool:
        """Whether the watch has ended."""
        return self._closed

    @property
    def labels(self) -> Collection[str | None]:
        """The labels of the accounts that are watched; None stands for all."""
        return (None,) if self._named is None else self._named.keys()

    def select(self, accounts: Mapping[str, Account]) -> list[Account]:
        """Return those of a client's accounts that are watched."""
        if self._named is None:
            return list(accounts.values())
        return [accounts[label] for label in self._named if label in accounts]

    def removed(self, accounts: Mapping[str, Account]) -> list[Account]:
        """Return the accounts that are watched by name, and are no longer among a client's accounts."""
        return [account for label, account in (self._named or {}).items() if label not in accounts]

    def includes(self, label: str) -> bool:
        """Return whether an account is watched."""
        return self._named is None or label in self._named

    def notify(self, labels: Collection[str] | None) -> None:
        """Note that something new is known of accounts; with None, that there is a state to give in any case."""
        if labels is None or self._named is None or not self._named.keys().isdisjoint(labels):
            self._has_news = True
            self._wake()

    def give_again(self, reached: MergedBalances | None) -> None:
        """Note that `reached` is the last state that the consumer has: what was given later was lost on its way."""
        self._given, self._has_news = reached, True

    def close(self) -> None:
        """End the watch now."""
        if not self._closed:
            self._closed = True
            self._keeper.leave(self)
            self._wake()

    def _wake(self) -> None:
        # Those that waited in a loop that is closed can only be forgotten.
        if self._loop is None or not self._loop.is_closed():
            self._wakeup.set()
