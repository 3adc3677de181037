"""Ending calls and tasks, which may ignore that they are cancelled, and what they end with."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

from balancekit.clock import Clock, Timer, expire

_GRACE: Final = 0.05
"""The last seconds of a call. They begin once the event loop is free, so that a busy loop is not taken for slowness."""


_finishing: Final[set[asyncio.Task[None]]] = set()
"""What is being ended in the background: an event loop alone does not keep its tasks."""


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


async def finish(end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what ends something; if that is cancelled, run it again in the background: its caller does not come back.

    Not in a task from the start: while an event loop ends, each task that is begun looks like a program that goes on.
    """
    try:
        await end()
    except asyncio.CancelledError:
        task = asyncio.get_running_loop().create_task(end())
        _finishing.add(task)
        task.add_done_callback(_finishing.discard)
        raise


async def end_tasks(tasks: Collection[asyncio.Task[None]], *seconds: float) -> None:
    """Wait for tasks, no longer than each of these times, and cancel after each those that are left."""
    running = set(tasks)
    for timeout in seconds:
        if running:
            _, running = await asyncio.wait(running, timeout=timeout)
        for task in running:
            task.cancel()


def ends_task(raised: BaseException, task: "asyncio.Task[Any] | None") -> bool:
    """Return whether an exception ends the program, or the task in which it was caught.

    Anything else is a failure of what the task called: a store may raise anything, also CancelledError, or what is no
    `Exception`.
    """
    if task is None or asyncio.current_task(task.get_loop()) is not task:
        # It was thrown away with its event loop.
        return True
    if isinstance(raised, asyncio.CancelledError):
        return task.cancelling() > 0
    return isinstance(raised, KeyboardInterrupt | SystemExit)
