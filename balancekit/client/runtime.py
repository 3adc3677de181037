"""What a client has in one event loop: its session, its scheduler, its share of a store and its second looks."""

import asyncio
from collections.abc import Callable, Mapping, Sized

import aiohttp
import attrs

from balancekit.client.accounts import Account
from balancekit.client.options import ReadOptions
from balancekit.client.scheduler import Scheduler
from balancekit.client.settling import SecondLooks
from balancekit.stores.base import Change, SnapshotStore
from balancekit.stores.fail_open import FailOpenStore


@attrs.define(eq=False)
class Runtime:
    """One event loop's part of a client; `owned` is the session, if it is the client's own."""

    loop: asyncio.AbstractEventLoop
    owned: aiohttp.ClientSession | None
    store: FailOpenStore | None
    scheduler: Scheduler
    second_looks: SecondLooks

    @classmethod
    def make(
        cls,
        options: ReadOptions,
        origins: Sized,
        *,
        lent: aiohttp.ClientSession | None,
        trust_env: bool,
        store: SnapshotStore | None,
        pending_invalidations: Mapping[str, object] | None,
        settle_delay: float,
        on_read: Callable[[Account], None],
        on_change: Callable[[Change], None],
    ) -> "Runtime":
        """Make everything for the running event loop, without waiting: other callers may come while one waits."""
        session = lent or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=options.concurrency), trust_env=trust_env
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
        )

    @property
    def is_in_use(self) -> bool:
        """Whether its event loop runs, so that it cannot be left from another one."""
        return self.loop.is_running() and (self.scheduler.busy or self.owned is not None)

    async def aclose(self) -> None:
        """End all that is under way, within a second."""
        self.scheduler.close()
        self.second_looks.cancel()
        await asyncio.gather(self.scheduler.drain(), self.second_looks.aclose())
        if self.store is not None:
            await self.store.aclose()
        if self.owned is not None:
            await self.owned.close()

    async def leave(self) -> None:
        """Release what belongs to an event loop that does not run any more."""
        self.second_looks.cancel()
        if self.owned is not None:
            await self.owned.close()
