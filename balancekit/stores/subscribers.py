"""Publishing changes to all subscribers in one process, without waiting for slow ones."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

import attrs

from balancekit.stores.base import Change
from balancekit.stores.copied_errors import copied
from balancekit.stores.tasks import ends_task, finish

MAX_PENDING: Final = 1000
"""How many changes wait for a slow subscriber; beyond that, one change without a key replaces them all."""

_ANYTHING: Final = Change(None)

_CANCEL_AGAIN: Final = 0.1
"""After how many seconds a source that has not ended is cancelled again."""


@attrs.define(eq=False)
class _Subscriber:
    # A dict keeps the order, and holds each change once. It changes in the subscriber's own event loop alone.
    pending: dict[Change, None]
    loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop)
    wake: asyncio.Event = attrs.field(factory=asyncio.Event)
    error: Exception | None = None

    def add(self, change: Change) -> None:
        # One that expects any change expects this one, too.
        if _ANYTHING not in self.pending:
            self.pending[change] = None
            if len(self.pending) > MAX_PENDING:
                self.pending = {_ANYTHING: None}
            self.wake.set()


class Subscribers:
    """Those who follow changes; each gets all that are published while it is subscribed.

    They may be in event loops of several threads.
    """

    def __init__(self) -> None:
        self._subscribers: set[_Subscriber] = set()

    def __len__(self) -> int:
        return len(self._subscribers)

    def publish(self, change: Change) -> None:
        """Pass a change to all subscribers, without waiting for any of them."""
        here = asyncio.get_running_loop()
        for subscriber in list(self._subscribers):
            if subscriber.loop is here:
                subscriber.add(change)
            else:
                # One whose loop is closed has gone.
                with suppress(RuntimeError):
                    subscriber.loop.call_soon_threadsafe(subscriber.add, change)

    def fail(self, error: BaseException) -> None:
        """Let all present subscribers raise an error after what was published before."""
        for subscriber in self._subscribers:
            subscriber.error = copied(error)
            subscriber.wake.set()

    async def subscribe(self, *, begun: bool = True) -> AsyncGenerator[Change]:
        """Give what is published from now on; if that has `begun`, a change without a key comes first, at once."""
        subscriber = _Subscriber({_ANYTHING: None} if begun else {})
        self._subscribers.add(subscriber)
        try:
            while True:
                while subscriber.pending:
                    change = next(iter(subscriber.pending))
                    del subscriber.pending[change]
                    yield change
                if subscriber.error is not None:
                    raise subscriber.error
                subscriber.wake.clear()
                await subscriber.wake.wait()
        finally:
            self._subscribers.discard(subscriber)


class SharedChanges:
    """One source of changes for all subscribers in an event loop: opened for the first, closed with the last of them.

    The first change of the source says that it has begun. If it fails, every subscriber raises that error.
    """

    def __init__(self, source: Callable[[], AsyncGenerator[Change]]) -> None:
        self._source = source
        self._subscribers = Subscribers()
        self._count = 0
        self._begun = False
        self._task: asyncio.Task[None] | None = None

    async def subscribe(self) -> AsyncGenerator[Change]:
        """Give changes from the source, after one without a key when it has begun."""
        self._count += 1
        self._ensure_open()
        try:
            async with aclosing(self._subscribers.subscribe(begun=self._begun)) as changes:
                async for change in changes:
                    yield change
        finally:
            self._count -= 1
            if not self._count:
                await self._stop()

    async def restart(self) -> None:
        """Open the source anew, if it is open; the subscribers get its first change."""
        if self._task is not None:
            try:
                await self._stop()
            finally:
                self._ensure_open()

    def _ensure_open(self) -> None:
        # Only if there is a subscriber and no task yet: subscribers come and go while the source is being closed.
        if self._count and self._task is None:
            # In no caller's context: it outlives the first subscriber, and the request that is in that context.
            create = asyncio.get_running_loop().create_task
            self._task = contextvars.Context().run(create, self._follow())

    async def _stop(self) -> None:
        task, self._task, self._begun = self._task, None, False
        if task is not None:
            # Even if the caller is cancelled: nobody else knows the task any more.
            await finish(partial(_end, task))

    async def _follow(self) -> None:
        task = asyncio.current_task()
        # With eager tasks, too, the first subscriber is there before anything happens.
        await asyncio.sleep(0)
        try:
            async with aclosing(self._source()) as changes:
                async for change in changes:
                    self._begun = True
                    self._subscribers.publish(change)
        except BaseException as error:
            if ends_task(error, task) and not isinstance(error, asyncio.CancelledError):
                raise
            # Also if the program has cancelled all of its tasks, since the subscribers would wait for ever; not if
            # `_stop` has cancelled this one.
            if self._task is task:
                self._task, self._begun = None, False
                self._subscribers.fail(error)


async def _end(task: asyncio.Task[None]) -> None:
    while not task.done():
        # Repeated, since redis-py swallows a cancellation that comes together with the loss of its connection.
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN)
