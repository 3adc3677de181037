"""Running a command in an event loop, whatever an adapter does."""

import asyncio
import subprocess
import sys

import pytest

from balancekit.cli.event_loop import run

STUBBORN = """
import asyncio, sys
from balancekit.cli.event_loop import run

async def ignore_cancellation():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def main():
    main.task = asyncio.create_task(ignore_cancellation())
    await asyncio.sleep(0)
    return "read"

print(run(main()), flush=True)
sys.exit(3)
"""


def test_a_task_that_ignores_its_cancellation_ends_with_the_process():
    """The result is there to be shown, and nothing is written about the task."""
    ended = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "read\n", "")


def test_what_a_task_does_when_it_is_cancelled_is_done():
    """As with `asyncio.run`, and the event loop is closed."""
    ended = []

    async def work():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            ended.append(asyncio.get_running_loop())

    async def main():
        main.task = asyncio.create_task(work())
        await asyncio.sleep(0)
        raise LookupError("the result")

    with pytest.raises(LookupError, match="the result"):
        run(main())

    assert [loop.is_closed() for loop in ended] == [True]
