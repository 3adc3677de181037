"""What a client has in one event loop: its session, its scheduler, its share of a store and its second looks."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sized
from contextlib import suppress
from typing import Final

import aiohttp
import attrs

from balancekit.client.accounts import Account
from balancekit.client.options import ReadOptions
from balancekit.client.scheduler import Scheduler
from balancekit.client.settling import SecondLooks
from balancekit.http.connections import Proxy
from balancekit.http.resolver import DaemonResolver
from balancekit.stores.base import Change, SnapshotStore
from balancekit.stores.fail_open import FailOpenStore

_inherited: Final[list["Runtime"]] = []
"""Those of a parent process. What they refer to is never released here: closing the copy of a connection, or of a loop,
would end the parent's as well."""

_DRAIN_TIMEOUT: Final = 0.3
"""How many seconds a closed client waits for what is still being put into the store."""


@attrs.define(eq=False)
class Runtime:
    """One event loop's part of a client; `owned` is the session, if it is the client's own.

    `on_end` is called when it was closed, or its loop is.
    """

    loop: asyncio.AbstractEventLoop
    owned: aiohttp.ClientSession | None
    store: FailOpenStore | None
    scheduler: Scheduler
    second_looks: SecondLooks
    on_end: Callable[[], None]
    _released: bool = attrs.field(default=False, init=False)
    _process: int = attrs.field(factory=os.getpid, init=False)
    _end_of_loop: AsyncGenerator[None] | None = attrs.field(default=None, init=False)

    @classmethod
    def make(
        cls,
        options: ReadOptions,
        origins: Sized,
        *,
        lent: aiohttp.ClientSession | None,
        proxy: Proxy,
        store: SnapshotStore | None,
        pending_invalidations: Mapping[str, object] | None,
        settle_delay: float,
        on_read: Callable[[Account], None],
        on_change: Callable[[Change], None],
        on_end: Callable[[], None],
    ) -> "Runtime":
        """Make everything for the running event loop, without waiting: other callers may come while one waits."""
        session = lent or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=options.concurrency, resolver=DaemonResolver()),
            proxy=proxy.address,
            trust_env=proxy.uses_environment,
        )
        shared = None
        if store is not None:
            # Invalidations that could not be passed on in an earlier loop are passed on in this one.
            shared = FailOpenStore(store, on_change, options.clock, pending_invalidations=pending_invalidations)
        return cls(
            asyncio.get_running_loop(),
            None if lent is session else session,
            shared,
            Scheduler(options, session, shared, origins, on_read),
            SecondLooks(settle_delay, options.clock),
            on_end,
        )

    @property
    def is_inherited(self) -> bool:
        """Whether it is that of a parent process, and this is the copy of a fork."""
        return self._process != os.getpid()

    @property
    def has_ended(self) -> bool:
        """Whether it was closed, or its event loop is, or is about to be."""
        return self._released or self.scheduler.closed

    @property
    def is_open(self) -> bool:
        """Whether there is a session that only closing the client would close."""
        return self.owned is not None and not self.owned.closed and not self.is_inherited

    @property
    def is_in_use(self) -> bool:
        """Whether its event loop runs, so that it cannot be left from another one."""
        return self.loop.is_running() and not (self.is_inherited or self.has_ended)

    async def begin(self) -> None:
        """Have it end with the event loop; does not wait for anything."""
        self._end_of_loop = self._until_loop_ends()
        await anext(self._end_of_loop)

    async def aclose(self) -> None:
        """End all that is under way, within a second."""
        if self.is_inherited:
            _inherited.append(self)
            return
        if self.loop.is_closed():
            await self.leave()
            return
        if self.store is not None:
            self.store.stop_looking_up()
        self.scheduler.close()
        self.second_looks.cancel()
        # In this task, without any other: when a loop ends, all its tasks are cancelled, and one that is not would show
        # the `Dispatcher` that the program goes on.
        ends_at = self.loop.time() + _DRAIN_TIMEOUT
        await self.scheduler.drain(_DRAIN_TIMEOUT)
        await self.second_looks.aclose(max(0.0, ends_at - self.loop.time()))
        if self.store is not None:
            await self.store.aclose()
        await self._release()

    async def leave(self) -> None:
        """Release what belongs to an event loop that does not run any more, or to a parent process."""
        self.second_looks.cancel()
        self.scheduler.abandon()
        if self.store is not None:
            self.store.abandon()
        if self.is_inherited:
            self.on_end()
            _inherited.append(self)
            return
        if not self.loop.is_closed():
            # Its callers find out if it runs again.
            self.scheduler.close()
        await self._release()

    async def _release(self) -> None:
        self._released = True
        if self._end_of_loop is not None:
            # If it raises, it is being closed by another caller.
            with suppress(RuntimeError):
                await self._end_of_loop.aclose()

    async def _until_loop_ends(self) -> AsyncGenerator[None]:
        # The generators that are left in an event loop are closed just before it is: only then can connections be.
        try:
            yield
        finally:
            if not self._released:
                await self._end_with_loop()
            self.on_end()
            if self.owned is not None:
                await self.owned.close()

    async def _end_with_loop(self) -> None:
        # Of the tasks that were cancelled some have begun others, which would be thrown away with the loop.
        self._released = True
        self.scheduler.close()
        await asyncio.gather(self.scheduler.drain(0.0), self.second_looks.drain(0.0))
        if self.store is not None:
            await self.store.aclose()
