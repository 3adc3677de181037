"""Time: the clocks of this machine and waiting, in one object that a test can replace."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from types import BuiltinFunctionType
from typing import Final, Protocol

_READINGS: Final = 1000
"""How often a clock is read before it counts as frozen: one that ticks may do so once in a microsecond."""

_NOTICEABLE: Final = 0.1
"""How many seconds of suspension are noted: what is less may be the time between looking at two clocks."""

_SUSPENSION_CLOCKS: Final = (("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"), ("CLOCK_MONOTONIC_RAW", "CLOCK_UPTIME_RAW"))
"""A clock that goes on while the machine is suspended, and one that stands still then: of Linux, and of macOS."""

_lock: Final = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def _find_clocks() -> tuple[tuple[int, ...], float]:
    """Return the clocks that show suspensions, and their difference; none on Windows, whose clock goes on anyway."""
    for names in _SUSPENSION_CLOCKS:
        # A sandbox may not permit them.
        with suppress(AttributeError, OSError):
            clocks = tuple(getattr(time, name) for name in names)
            # In this order: a thread that is interrupted in between finds less, and what is noted stays.
            return clocks, time.clock_gettime(clocks[0]) - time.clock_gettime(clocks[1])
    return (), 0.0


# Of the process, so that all of its clocks show the same: clients made before and after a suspension share limits.
_CLOCKS, _DIFFERENCE_AT_START = _find_clocks()


class Timer(Protocol):
    """Something that will be called, unless it is cancelled before."""

    def cancel(self) -> None:
        """Do not call it."""
        ...


class MonotonicClock:
    """The monotonic clock of this machine, which also counts the time in which the machine is suspended.

    On Linux, macOS and Windows: where no clock shows that time, it may not count.
    """

    def __init__(self) -> None:
        self._noted = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return time.monotonic() + self.suspended()

    def suspended(self) -> float:
        """Return in how many of these seconds the machine was suspended; never less than before, in any thread."""
        if _CLOCKS:
            # Without a call: the time is looked at several times for each account.
            seconds = time.clock_gettime(_CLOCKS[0]) - time.clock_gettime(_CLOCKS[1]) - _DIFFERENCE_AT_START
            if seconds > self._noted + _NOTICEABLE:
                with _lock:
                    self._noted = max(self._noted, seconds)
        return self._noted


class Clock:
    """The time of this machine, and waiting; a subclass may replace all of it.

    Durations are in seconds. Within an event loop its time is the monotonic one.
    """

    # Made when it is first used: a subclass need not call the constructor.
    _machine = cached_property(lambda _: MonotonicClock())

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back, and goes on while the machine is suspended.

        The latter on Linux, macOS and Windows; elsewhere it may stand still then.
        """
        try:
            return asyncio.get_running_loop().time() + self._machine.suspended()
        except RuntimeError:
            return self._machine()

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
