"""A store that is down or slow must cost nobody an answer: each call is bounded, and done without where it fails."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from balancekit.http.rate_limit import RateLimit
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Change, SnapshotStore, Stored
from balancekit.stores.memory import MemoryStore

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_Lookup = tuple[Sequence[str], asyncio.Future[dict[str, Stored]]]

_CALL_TIMEOUT: Final = 0.5
"""How many seconds one call to the store may take."""

_TIMEOUT_GRACE: Final = 0.05
"""How many of them are its last, counted anew from when a busy event loop finds the time to look for the answer."""

_BATCH_SIZE: Final = 100
"""How many accounts one call asks for: reading many snapshots for the first time takes a while, and is no outage."""

_COOLDOWN: Final = 1.0
"""How many seconds a store that failed is not asked, and how long it is until changes are listened for again."""


class _UnreachableError(Exception):
    """The store did not answer, or is being left alone; it never leaves this module."""


class FailOpenStore:
    """A store as a client uses it: no call raises, and none takes longer than a second.

    While the store is out of reach every snapshot counts as unknown, so that the providers are read; leases and permits
    are granted. Invalidations are kept as long as the process lives, and sent to the store once it is back, before
    anything else, even if no other call is made; `pending_invalidations` are those left from an earlier event loop.
    The log has one line when the store is lost, and one when it is back. `on_change` is called with every change from
    the first `listen` on.
    """

    def __init__(
        self,
        store: SnapshotStore,
        on_change: Callable[[Change], None],
        *,
        pending_invalidations: Mapping[str, object] | None = None,
    ) -> None:
        self._store = store
        self._on_change = on_change
        self._down = False
        self._retry_at = 0.0
        # Counts what makes a snapshot unfit while the store cannot say so.
        self._epoch = 0
        # Invalidations that the store has not been told of.
        self._pending_invalidations: dict[str, object] = dict(pending_invalidations or {})
        # Events are remembered here too, for the time without the store.
        self._events = MemoryStore()
        self._lookups: list[_Lookup] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._closed = False

    @property
    def reachable(self) -> bool:
        """Whether the store answered the last time."""
        return not self._down

    @property
    def pending_invalidations(self) -> Mapping[str, object]:
        """The invalidations that the store has not been told of."""
        return self._pending_invalidations

    async def get(self, keys: Sequence[str]) -> Sequence[Stored]:
        """Return what is known of each account; callers that come at the same time are answered together."""
        found: asyncio.Future[dict[str, Stored]] = asyncio.get_running_loop().create_future()
        self._lookups.append((keys, found))
        if self._looking is None or self._looking.done():
            self._looking = self._begin(self._look())
        known = await found
        return [known[key] for key in keys]

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot, if the store can be reached."""
        with suppress(_UnreachableError):
            await self._ask(lambda: self._store.put(key, snapshot, version=version, age=age))

    async def invalidate(self, key: str) -> None:
        """Say that the balances may have changed, now or as soon as the store can be reached."""
        try:
            await self._ask(lambda: self._store.invalidate(key))
        except _UnreachableError:
            self._pending_invalidations[key] = object()
            self._epoch += 1
            if self._telling is None or self._telling.done():
                self._telling = self._begin(self._flush_pending())

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Take, or renew, the right to read the account; without the store everybody has it."""
        try:
            return await self._ask(lambda: self._store.lease(key, owner, seconds=seconds))
        except _UnreachableError:
            return 0.0

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back; what cannot be given back runs out."""
        with suppress(_UnreachableError):
            await self._ask(lambda: self._store.release(key, owner))

    async def seen(self, event: str) -> bool:
        """Whether the event has been remembered, here or in the store."""
        if await self._events.seen(event):
            return True
        try:
            return await self._ask(lambda: self._store.seen(event))
        except _UnreachableError:
            return False

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember an event, here and in the store."""
        await self._events.remember(event, seconds=seconds)
        with suppress(_UnreachableError):
            await self._ask(lambda: self._store.remember(event, seconds=seconds))

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Acquire a permit; without the store every request has one, and the limit holds within this process only."""
        try:
            return await self._ask(lambda: self._store.acquire_permit(origin, limit, request_id, hold=hold))
        except _UnreachableError:
            return 0.0

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release a permit; one that cannot be released counts as held until its `hold` is over."""
        with suppress(_UnreachableError):
            await self._ask(lambda: self._store.release_permit(origin, limit, request_id))

    def run_in_background(self, call: Coroutine[Any, Any, None]) -> None:
        """Make a call that nobody waits for; none is made once this is closed."""
        if self._closed:
            call.close()
        else:
            self._begin(call)

    def _begin(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(call)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def listen(self) -> None:
        """Have every change told; returns once that has begun, or if the store cannot be reached."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        with suppress(TimeoutError):
            async with asyncio.timeout(_CALL_TIMEOUT):
                await self._heard.wait()

    async def aclose(self) -> None:
        """End what is under way; the store itself is left open."""
        self._closed = True
        for endless in (self._listening, self._telling):
            if endless is not None:
                endless.cancel()
                self._tasks.add(endless)
        if self._pending_invalidations:
            self._retry_at = 0.0
            with suppress(_UnreachableError):
                await self._ask(_nothing)
            if self._pending_invalidations:
                _log.warning(
                    "the store was not told that %d accounts may have changed", len(self._pending_invalidations)
                )
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_CALL_TIMEOUT)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CALL_TIMEOUT)

    async def _ask(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        now, was_down = asyncio.get_running_loop().time(), self._down
        if was_down:
            if now < self._retry_at:
                raise _UnreachableError
            # One caller finds out for all.
            self._retry_at = now + _COOLDOWN
        try:
            async with _call_timeout():
                for key, said in list(self._pending_invalidations.items()):
                    await self._store.invalidate(key)
                    # It may have been said again meanwhile.
                    if self._pending_invalidations.get(key) is said:
                        del self._pending_invalidations[key]
                answer = await call()
        except (Exception, asyncio.CancelledError) as error:
            # A store may raise anything.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                # It was this call that was cancelled, and not something of the store's own.
                raise
            self._fail(error)
            raise _UnreachableError from None
        # What was asked before the store went says nothing of it now.
        if was_down and self._down:
            self._down = False
            _log.info("the store is back")
        return answer

    async def _flush_pending(self) -> None:
        # A replica that only takes in webhooks may ask for nothing else for hours.
        while self._pending_invalidations:
            await asyncio.sleep(_COOLDOWN)
            with suppress(_UnreachableError):
                await self._ask(_nothing)

    def _fail(self, error: BaseException) -> None:
        self._retry_at = asyncio.get_running_loop().time() + _COOLDOWN
        if not self._down:
            self._down = True
            self._epoch += 1
            # No more than the name: an address may hold a password.
            _log.warning("the store is out of reach (%s): accounts are read without it", type(error).__name__)

    async def _look(self) -> None:
        asked: list[_Lookup] = []
        try:
            while self._lookups:
                asked, self._lookups = self._lookups, []
                keys = list(dict.fromkeys(key for keys, _ in asked for key in keys))
                _answer(asked, await self._known(keys))
        finally:
            # Cancelled, since the client is closed: nobody may wait for ever.
            unasked, self._lookups = self._lookups, []
            _answer([*asked, *unasked], defaultdict(self._unknown))

    async def _known(self, keys: list[str]) -> dict[str, Stored]:
        known: dict[str, Stored] = {}
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _CALL_TIMEOUT
        for start in range(0, len(keys), _BATCH_SIZE):
            some = keys[start : start + _BATCH_SIZE]
            # A store that is slow for so many is not waited for: what is not known is read.
            late = loop.time() > give_up_at
            known |= dict.fromkeys(some, self._unknown()) if late else await self._some_known(some)
        return known

    async def _some_known(self, keys: list[str]) -> dict[str, Stored]:
        async def known() -> dict[str, Stored]:
            return dict(zip(keys, await self._store.get(keys), strict=True))

        try:
            return await self._ask(known)
        except _UnreachableError:
            return dict.fromkeys(keys, self._unknown())

    def _unknown(self) -> Stored:
        return Stored(f"unreachable {self._epoch}")

    async def _listen(self) -> None:
        while True:
            # The next attempt, or the next call, tells the log if the store is gone.
            with suppress(Exception):
                async with aclosing(self._store.changes()) as changes:
                    async for change in changes:
                        self._heard.set()
                        self._on_change(change)
            await asyncio.sleep(_COOLDOWN)


@asynccontextmanager
async def _call_timeout() -> AsyncGenerator[None]:
    """Allow a call its time; what this process itself was too busy to take in is not the store's fault."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as bound:
        timer = loop.call_later(_CALL_TIMEOUT - _TIMEOUT_GRACE, lambda: bound.reschedule(loop.time() + _TIMEOUT_GRACE))
        try:
            yield
        finally:
            timer.cancel()


async def _nothing() -> None:
    """Ask for nothing: what the store has not been told of is told before."""


def _answer(lookups: Sequence[_Lookup], known: dict[str, Stored]) -> None:
    for _, found in lookups:
        if not found.done():
            found.set_result(known)
