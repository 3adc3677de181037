"""Ending tasks, which may ignore that they are cancelled."""

import asyncio
from collections.abc import Collection


async def end_tasks(tasks: Collection[asyncio.Task[None]], *seconds: float) -> None:
    """Wait for tasks, no longer than each of these times, and cancel after each those that are left."""
    running = set(tasks)
    for timeout in seconds:
        if running:
            _, running = await asyncio.wait(running, timeout=timeout)
        for task in running:
            task.cancel()
