"""An event loop in a thread of its own, and how calls are passed to it."""

import asyncio
import contextvars
import os
import threading
from contextlib import suppress
from typing import Final

from balancekit.client.aggregate import AggregateClient

_CLOSE_TIMEOUT: Final = 2.0
"""How many seconds closing waits for the thread: `AggregateClient.aclose` takes one, and a provider may never end."""


class ClosedError(RuntimeError):
    """The client is closed."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


# Held while a thread is started or stopped, and while a call is passed to it. A fork waits for it: in the child, nobody
# would release it.
lock: Final = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


class LoopThread:
    """An event loop that runs in a daemon thread until `stop`; that closes the client first."""

    def __init__(self, client: AggregateClient) -> None:
        self._client = client
        # No argument is the default here: it would make the loop that of the thread which is starting this one.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        # Nothing of the caller's context may outlive its call.
        self.loop: asyncio.AbstractEventLoop = contextvars.Context().run(self._runner.get_loop)
        self._stop = asyncio.Event()
        self._accepts = True
        self._thread = threading.Thread(target=self._serve, name="balancekit", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it takes calls: not after a fork, nor once an adapter has raised SystemExit."""
        return self._accepts and self._thread.is_alive()

    def check_not_current(self) -> None:
        """Raise RuntimeError in this thread."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a call of the client in its own thread would wait for itself")

    def stop(self) -> None:
        """Close the client, and wait until the thread has ended, for a limited time; never for itself."""
        with lock:
            if not self._thread.is_alive():
                return
            if self._accepts:
                self._accepts = False
                self.loop.call_soon_threadsafe(self._stop.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSE_TIMEOUT)

    def _serve(self) -> None:
        # An adapter may raise SystemExit, which ends the event loop and not the program.
        with suppress(SystemExit), self._runner:
            try:
                self._runner.run(self._until_stopped())
            finally:
                with lock:
                    self._accepts = False
                # Calls that have been passed on by now begin, so that the runner cancels them.
                self._runner.run(asyncio.sleep(0))

    async def _until_stopped(self) -> None:
        await self._stop.wait()
        await self._client.aclose()
