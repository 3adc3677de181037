"""An event loop in a thread of its own, and how calls are passed to it."""

import asyncio
import atexit
import contextvars
import os
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from balancekit.client.aggregate import AggregateClient

_T = TypeVar("_T")

_CLOSE_TIMEOUT: Final = 2.0
"""How many seconds closing waits for the thread: `AggregateClient.aclose` takes one, and a provider may never end."""


class ClosedError(RuntimeError):
    """The client is closed."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


class EndedError(RuntimeError):
    """The event loop that something was begun in has ended, although nobody has closed the client."""

    def __init__(self) -> None:
        super().__init__("the event loop has ended, by a fork, an adapter that exits or the end of the program")


# Guards the start of a thread, the request to stop it, and the passing of calls to it. All clients share it, so no code
# waits for a thread to end while it holds it. A fork acquires it first: in the child, nobody would release it.
lock: Final = threading.RLock()

_alive: Final[set["LoopThread"]] = set()
"""Those that were started and have not ended; none in the child of a fork.

`Thread.is_alive` and `Thread.join` do not say so: interrupted by a signal, they take a thread for ended that goes on.
"""


@atexit.register
def _stop_all() -> None:
    """At the end of the program, tell all to stop before any is waited for."""
    ends_at = time.monotonic() + _CLOSE_TIMEOUT
    with lock:
        threads = list(_alive)
    for thread in threads:
        thread.request_stop()
    for thread in threads:
        thread.wait(ends_at - time.monotonic())


def _after_fork_in_child() -> None:
    _alive.clear()
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=_after_fork_in_child)


class LoopThread:
    """An event loop that runs in a daemon thread from `start` until `stop`; that closes the client first.

    It begins when `earlier` has ended, or has taken too long for it: a client is used in one event loop at a time.
    """

    def __init__(self, client: AggregateClient, earlier: "LoopThread | None") -> None:
        self._client = client
        # Nothing of the caller's context may outlive its call.
        self._loop: asyncio.AbstractEventLoop = contextvars.Context().run(asyncio.new_event_loop)
        self._stop = asyncio.Event()
        self._accepts = True
        self._is_stopped = False
        # Held until it has ended. Not an event: interrupted by a signal, one may stay locked for all that wait for it.
        self._running = threading.Lock()
        self._running.acquire()
        self._thread = threading.Thread(target=self._serve, args=(earlier,), name="balancekit", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether it has been started and has not ended; after a fork, and at the very end of the program, none is."""
        return self in _alive and not sys.is_finalizing()

    @property
    def is_running(self) -> bool:
        """Whether it takes calls: it may be ending, since it is stopped or an adapter has raised SystemExit."""
        return self._accepts and self.is_alive

    def check_takes_calls(self) -> None:
        """Raise RuntimeError if it has ended, and in this thread."""
        self.check_not_current()
        if not self.is_running:
            raise self.error()

    def check_not_current(self) -> None:
        """Raise RuntimeError in this thread."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a call of the client in its own thread would wait for itself")

    def error(self) -> RuntimeError:
        """Return the error of a call that did not end before it did."""
        return ClosedError() if self._is_stopped else EndedError()

    def start(self) -> None:
        """Start it, with `lock` held; nothing is left of it if that fails, or is interrupted."""
        try:
            _alive.add(self)
            self._thread.start()
        except BaseException:
            # After an interrupt it may have been started. Then it waits for the lock, and finds the loop closed.
            _alive.discard(self)
            self._loop.close()
            raise

    def submit(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Begin a coroutine in it, which takes calls, with `lock` held, in the context of the caller."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        """Close the client, and wait until the thread has ended, for a limited time; never for itself."""
        if self.request_stop() and threading.current_thread() is not self._thread:
            self.wait(_CLOSE_TIMEOUT)

    def request_stop(self) -> bool:
        """Have the thread close the client and end; return False if it has ended."""
        # Then a thread that stands still for ever may hold the lock.
        if sys.is_finalizing():
            return False
        with lock:
            if not self.is_alive:
                return False
            self._is_stopped = True
            if self._accepts:
                self._loop.call_soon_threadsafe(self._stop.set)
                self._accepts = False
            return True

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, for a limited time."""
        if self._running.acquire(timeout=max(0.0, seconds)):
            self._running.release()
            # It runs its last few instructions.
            self._thread.join(_CLOSE_TIMEOUT)

    def _serve(self, earlier: "LoopThread | None") -> None:
        if earlier is not None:
            earlier.wait(_CLOSE_TIMEOUT)
        with lock:
            if self._loop.is_closed():
                return
        try:
            # An adapter may raise SystemExit, which ends the event loop and not the program.
            with suppress(SystemExit), asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                try:
                    runner.run(self._until_stopped())
                finally:
                    # Not if it was stopped, maybe by the garbage collector in the middle of a call that holds the lock.
                    if self._accepts:
                        with lock:
                            self._accepts = False
                    # Calls that have been passed on by now begin, so that the runner cancels them.
                    runner.run(asyncio.sleep(0))
        finally:
            _alive.discard(self)
            self._running.release()

    async def _until_stopped(self) -> None:
        await self._stop.wait()
        await self._client.aclose()
