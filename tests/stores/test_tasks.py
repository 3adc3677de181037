"""What a call ends with: whether it is a failure, or the end of the task that makes it."""

import asyncio
import gc

import pytest

from balancekit.stores.tasks import ends_task
from tests.support.stores import PanicError


async def judge(call, ends):
    """Make a call, and note of what it raises whether it ends the task."""
    task = asyncio.current_task()
    try:
        await call
    except BaseException as raised:
        ends.append(ends_task(raised, task))
        raise


@pytest.mark.parametrize(
    ("raised", "ends"),
    [
        (ValueError(), False),
        (PanicError(), False),
        (BaseExceptionGroup("two", [SystemExit()]), False),
        (asyncio.CancelledError(), False),
        (GeneratorExit(), False),
        (KeyboardInterrupt(), True),
        (SystemExit(), True),
    ],
    ids=repr,
)
async def test_only_what_ends_the_program_ends_a_task_that_goes_on(raised, ends):
    """Whatever else a call raises is its failure, as if it were an ordinary exception."""
    call, noted = asyncio.get_running_loop().create_future(), []
    call.set_exception(raised)

    with pytest.raises(type(raised)):
        await judge(call, noted)

    assert noted == [ends]


async def test_a_cancellation_ends_the_task_that_was_cancelled():
    """A call that raises the same without one has failed."""
    noted = []
    task = asyncio.create_task(judge(asyncio.sleep(60), noted))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert noted == [True]


def test_a_task_that_is_thrown_away_ends():
    """Whatever is raised then: its event loop was closed without waiting for it."""
    noted, loop = [], asyncio.new_event_loop()
    call = judge(loop.create_future(), noted)
    task = loop.create_task(call)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    call.close()

    assert noted == [True]
    # Here, where asyncio's line about it is not shown.
    del task, call
    gc.collect()
