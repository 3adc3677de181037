"""Time: the clocks of this machine and waiting, in one object that a test can replace."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import BuiltinFunctionType
from typing import Final, Protocol

_READINGS: Final = 1000
"""How often a clock is read before it counts as frozen: one that ticks may do so once in a microsecond."""


class Timer(Protocol):
    """Something that will be called, unless it is cancelled before."""

    def cancel(self) -> None:
        """Do not call it."""
        ...


class Clock:
    """The time of this machine, and waiting; a subclass may replace all of it.

    Durations are in seconds. Within an event loop its time is the monotonic one.
    """

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return time.monotonic()

    def time(self) -> float:
        """Return the time in Unix seconds."""
        return time.time()

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> Timer:
        """Call back at a moment of the monotonic clock, in the running event loop."""
        return asyncio.get_running_loop().call_later(when - self.monotonic(), callback, *args)

    def timeout_at(self, when: float, callback: Callable[..., object], *args: object) -> Timer:
        """Call back as `call_at` does, unless what is waited for comes first: a response, or another process."""
        return self.call_at(when, callback, *args)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncGenerator[None]:
        """Cancel the block, and raise TimeoutError, if it takes longer than so many seconds."""
        async with asyncio.timeout(None) as timeout:
            timer = self.timeout_at(self.monotonic() + seconds, expire, timeout)
            try:
                yield
            finally:
                timer.cancel()


def expire(timeout: asyncio.Timeout) -> None:
    """End a block with a timeout now."""
    timeout.reschedule(asyncio.get_running_loop().time())


def check_time_passes() -> None:
    """Raise RuntimeError if the time of the running event loop is frozen: nothing that waits would ever end."""
    if isinstance(time.monotonic, BuiltinFunctionType):
        return
    loop = asyncio.get_running_loop()
    if loop.time() == time.monotonic() and len({loop.time() for _ in range(_READINGS)}) == 1:
        raise RuntimeError(
            "the time of the event loop is frozen, so that no timeout can end: use freezegun with "
            "freeze_time(..., real_asyncio=True), or AggregateClient(clock=balancekit.testing.ManualClock(...))"
        )


def checked_clock(clock: object) -> Clock:
    """Return a clock that was given, or that of this machine; raises TypeError if it is none."""
    if clock is None:
        return Clock()
    if isinstance(clock, Clock):
        return clock
    raise TypeError(f"expected a balancekit.Clock, got {type(clock).__name__}")
