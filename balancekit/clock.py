"""Time: the clocks of this machine and waiting, in one object that a test can replace."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


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
        return asyncio.get_running_loop().call_at(when, callback, *args)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)
