"""Ending calls and tasks, which may ignore that they are cancelled."""

import asyncio
from collections.abc import Collection
from typing import Final

from balancekit.clock import Clock, Timer, expire

_GRACE: Final = 0.05
"""The last seconds of a call. They begin once the event loop is free, so that a busy loop is not taken for slowness."""


def start_timers(timers: list[Timer], timeout: asyncio.Timeout, seconds: float, clock: Clock) -> None:
    """Add timers that end a block with a timeout after so many seconds."""

    def begin_grace() -> None:
        timers.append(clock.timeout_at(clock.monotonic() + _GRACE, expire, timeout))

    timers.append(clock.timeout_at(clock.monotonic() + seconds - _GRACE, begin_grace))


async def wait_or_cancel(task: asyncio.Task[None], seconds: float, clock: Clock) -> None:
    """Wait for a task; after so many seconds cancel it and raise TimeoutError."""
    try:
        async with clock.timeout(seconds):
            await asyncio.wait([task])
    finally:
        task.cancel()


async def end_tasks(tasks: Collection[asyncio.Task[None]], *seconds: float) -> None:
    """Wait for tasks, no longer than each of these times, and cancel after each those that are left."""
    running = set(tasks)
    for timeout in seconds:
        if running:
            _, running = await asyncio.wait(running, timeout=timeout)
        for task in running:
            task.cancel()
