"""What iterates over what an event loop in another thread yields."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast

from balancekit.blocking.loop_thread import ClosedError, EndedError, LoopThread, lock

if TYPE_CHECKING:
    from balancekit.client.watch import Watch
    from balancekit.money.merged import MergedBalances

_T = TypeVar("_T")

_END: Final = object()


class Iteration(Iterator[_T], Generic[_T]):
    """What `Client.stream` and `Client.watch` return: an iterator, and a context manager that closes it.

    `close`, by any thread, ends it for a thread that waits as well. A wait that is interrupted, as by a signal handler
    that raises, ends a stream, so that the next one raises RuntimeError; a watch goes on, and loses nothing for the
    thread that was interrupted. Of several threads that share it, one gets each value. RuntimeError is raised also
    once the event loop that it was begun in has ended, though the client is open, as in the child of a fork.
    """

    def __init__(
        self,
        source: AsyncIterator[_T],
        thread: LoopThread,
        wait: Callable[[Coroutine[Any, Any, Any]], Any],
        *,
        is_watch: bool,
    ) -> None:
        self._source = source
        self._thread = thread
        self._wait = wait
        self._is_watch = is_watch
        # By the thread that waits.
        self._waiting: dict[int, asyncio.Task[Any]] = {}
        # By thread: what the event loop gave last, and what reached the caller; they differ after an interrupt.
        self._given: dict[int, object] = {}
        self._reached: dict[int, object] = {}
        # Whether a wait for a stream was cancelled, with which it ends.
        self._is_cut = False
        self._closed = False

    def __next__(self) -> _T:
        item: object = _END
        thread = threading.get_ident()
        if not self._closed:
            try:
                item = self._wait(self._next(thread))
            except ClosedError:
                if not self._is_watch:
                    raise
        if item is _END:
            self._closed = True
            raise StopIteration
        reached = cast("_T", item)
        # Nothing is called from here on, so that no signal handler runs.
        self._reached[thread] = reached
        return reached

    def close(self) -> None:
        """End it; closing twice is fine."""
        if not self._closed:
            self._closed = True
            # What has ended with its event loop has nothing to close.
            if self._thread.is_running:
                with suppress(ClosedError, EndedError):
                    self._wait(self._end())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Asked first, since at the very end of the program a thread that stands still may hold the lock.
        if not self._closed and self._thread.is_running:
            # Any thread may find it unused, that of the event loop, too; so may the end of the program.
            with lock:
                if self._thread.is_running:
                    self._thread.submit(_close(self._source))

    async def _next(self, thread: int) -> object:
        while thread in self._waiting:
            # It was interrupted.
            await self._cancel([self._waiting[thread]])
        reached = self._reached.get(thread)
        if self._is_cut or self._given.get(thread) is not reached:
            if not self._is_watch:
                raise RuntimeError("the stream has ended, since a wait for it was interrupted: begin another one")
            cast("Watch", self._source).give_again(cast("MergedBalances | None", reached))
        self._waiting[thread] = cast("asyncio.Task[Any]", asyncio.current_task())
        try:
            item = await anext(self._source, _END)
        except asyncio.CancelledError:
            if self._closed:
                return _END
            self._is_cut = not self._is_watch
            raise
        finally:
            del self._waiting[thread]
        if item is not _END:
            self._given[thread] = item
        return item

    async def _end(self) -> None:
        await self._cancel(self._waiting.values())
        await _close(self._source)

    async def _cancel(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _close(source: object) -> None:
    """Close what an iteration is of."""
    await cast("Watch", source).aclose()
