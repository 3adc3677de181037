"""What iterates over what an event loop in another thread yields."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast

from balancekit.blocking.loop_thread import ClosedError

if TYPE_CHECKING:
    from balancekit.client.watch import Watch

_T = TypeVar("_T")

_END: Final = object()


class Iteration(Iterator[_T], Generic[_T]):
    """What `Client.stream` and `Client.watch` return: an iterator, and a context manager that closes it.

    `close`, by any thread, ends it for a thread that waits as well.
    """

    def __init__(
        self,
        source: AsyncIterator[_T],
        discard: Callable[[object], None],
        wait: Callable[[Coroutine[Any, Any, Any]], Any],
        *,
        ends_with_client: bool,
    ) -> None:
        self._source = source
        self._discard = discard
        self._wait = wait
        self._ends_with_client = ends_with_client
        self._waiting: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __next__(self) -> _T:
        item: object = _END
        if not self._closed:
            try:
                item = self._wait(self._next())
            except ClosedError:
                if not self._ends_with_client:
                    raise
        if item is _END:
            self._closed = True
            raise StopIteration
        return cast("_T", item)

    def close(self) -> None:
        """End it; closing twice is fine."""
        if not self._closed:
            self._closed = True
            with suppress(ClosedError):
                self._wait(self._end())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._closed:
            # Any thread may find it unused, that of the event loop, too; so may the end of the program.
            self._discard(self._source)

    async def _next(self) -> object:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._waiting.add(task)
        try:
            return await anext(self._source, _END)
        except asyncio.CancelledError:
            if self._closed:
                return _END
            raise
        finally:
            self._waiting.discard(task)

    async def _end(self) -> None:
        for task in self._waiting:
            task.cancel()
        if self._waiting:
            await asyncio.wait(self._waiting)
        await close_source(self._source)


async def close_source(source: object) -> None:
    """Close what an iteration is of."""
    await cast("Watch", source).aclose()
