"""The event loop that a sandbox runs in: calls from any other one are passed to it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, ParamSpec, TypeVar

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class SandboxLoop:
    """The event loop in which a sandbox was started, once it was."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def set_running(self) -> None:
        """From now on it is the event loop that is running."""
        self._loop = asyncio.get_running_loop()

    async def call(
        self,
        function: Callable[_Parameters, Coroutine[Any, Any, _Result]],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Result:
        """Call a coroutine function in that event loop; in the caller's own if that does not run."""
        if self._loop is None or self._loop is asyncio.get_running_loop() or not self._loop.is_running():
            return await function(*args, **kwargs)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(*args, **kwargs), self._loop))


@contextlib.contextmanager
def loop_in_thread() -> Generator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread of its own until the block ends; what still runs in it then is cancelled."""
    # No argument is the default here: it would make the loop that of the caller's thread.
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop, stop = runner.get_loop(), asyncio.Event()

    def serve() -> None:
        with runner:
            runner.run(stop.wait())

    thread = threading.Thread(target=serve, name="balancekit-sandbox", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
