"""Running a command in an event loop, which ends whatever an adapter does."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

_Result = TypeVar("_Result")

_GRACE: Final = 1.0
"""How many seconds a task has to end in once it is cancelled: that of an adapter may ignore it."""

_left: Final[list[asyncio.Runner]] = []
"""The runners with tasks that have not ended; a runner that is closed waits for them without end."""


class _Executor(ThreadPoolExecutor):
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - its signature
        """Begin nothing any more; the loop, which would wait for a call that may never return, does not."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine as `asyncio.run` does, but wait a second at most for a task that ignores its cancellation.

    Nor are threads waited for that it has begun; `python -m balancekit` ends all the same.
    """
    begun = main if sys.platform == "win32" else _begin_uninterrupted(main)
    runner = asyncio.Runner()
    runner.get_loop().set_default_executor(_Executor())
    try:
        return runner.run(begun)
    finally:
        if runner.run(_end_tasks()):
            _left.append(runner)
        else:
            runner.close()


def _begin_uninterrupted(main: Coroutine[Any, Any, _Result]) -> Coroutine[Any, Any, _Result]:
    """Hold Ctrl-C back until the coroutine begins: an event loop that is made in part prints a traceback at its end."""
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    except KeyboardInterrupt:
        main.close()
        raise

    async def begin() -> _Result:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return await main

    return begin()


async def _end_tasks() -> bool:
    """Cancel all other tasks; returns whether any goes on all the same."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    return bool(tasks) and bool((await asyncio.wait(tasks, timeout=_GRACE))[1])
