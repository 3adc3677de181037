"""The timeout of one attempt and the deadline of one call. Time is virtual."""

import asyncio
from contextlib import suppress

import pytest

from balancekit.client.timeouts import Deadline, SharedTimeout
from balancekit.clock import Clock


def now():
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


def test_an_attempt_that_takes_too_long_ends_with_a_timeout(run_virtually):
    """It ends exactly `seconds` after it was started."""

    async def main():
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(TimeoutError), SharedTimeout(2.0, Clock(), print).start(now(), "attempt"):
            await asyncio.sleep(9e9)
        return loop.time() - started

    assert run_virtually(main()) == pytest.approx(2.0)


def test_an_attempt_that_ends_in_time_is_left_alone(run_virtually):
    """Nothing is raised, then or later, and no timer is left."""

    async def main():
        shared = SharedTimeout(2.0, Clock(), print)
        with shared.start(now(), "attempt") as timeout:
            await asyncio.sleep(1.9)
        idle = shared.idle
        await asyncio.sleep(10)
        return idle, timeout.expired

    assert run_virtually(main()) == (True, False)


def test_each_attempt_has_its_own_end(run_virtually):
    """One timer serves all attempts, whenever each was started and whichever end early."""

    async def attempt(shared, starts_after, takes):
        await asyncio.sleep(starts_after)
        started = asyncio.get_running_loop().time()
        try:
            with shared.start(now(), "attempt"):
                await asyncio.sleep(takes)
        except TimeoutError:
            return "timeout", round(asyncio.get_running_loop().time() - started, 6)
        return "done", takes

    async def main():
        shared = SharedTimeout(1.0, Clock(), print)
        attempts = [(0.0, 9.0), (0.1, 0.2), (0.5, 9.0), (0.7, 0.9), (3.0, 9.0)]
        results = await asyncio.gather(*(attempt(shared, *one) for one in attempts))
        return results, shared.idle

    results, idle = run_virtually(main())

    assert results == [("timeout", 1.0), ("done", 0.2), ("timeout", 1.0), ("done", 0.9), ("timeout", 1.0)]
    assert idle


def test_a_cancellation_by_anyone_else_is_not_taken_for_a_timeout(run_virtually):
    """Even if the timeout passes in the same turn of the loop, the task stays cancelled."""

    async def attempt(shared):
        with shared.start(now(), "attempt"):
            await asyncio.sleep(9e9)

    async def main():
        task = asyncio.create_task(attempt(SharedTimeout(1.0, Clock(), print)))
        asyncio.get_running_loop().call_later(1.0, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run_virtually(main())


def test_a_timeout_leaves_no_cancellation_behind(run_virtually):
    """The task that was timed out can be used for the next attempt."""

    async def main():
        shared = SharedTimeout(1.0, Clock(), print)
        for _ in range(2):
            with pytest.raises(TimeoutError), shared.start(now(), "attempt"):
                await asyncio.sleep(9e9)
        return asyncio.current_task().cancelling()

    assert run_virtually(main()) == 0


@pytest.mark.parametrize(("takes", "abandoned"), [(0.9, []), (1.1, ["attempt"])])
def test_an_attempt_that_ignores_its_cancellation_is_abandoned(run_virtually, takes, abandoned):
    """A second after the timeout, unless it has ended by then."""

    async def main():
        seen = []
        with suppress(TimeoutError), SharedTimeout(1.0, Clock(), seen.append).start(now(), "attempt"):
            try:
                await asyncio.sleep(9e9)
            finally:
                await asyncio.sleep(takes)
        await asyncio.sleep(10)
        return seen

    assert run_virtually(main()) == abandoned


def test_a_timeout_outside_of_a_task_is_refused(run_virtually):
    """There is nothing to cancel in a callback of the loop."""

    async def main():
        raised = asyncio.get_running_loop().create_future()

        def start():
            try:
                shared.start(now(), "attempt")
            except RuntimeError as error:
                raised.set_result(str(error))

        shared = SharedTimeout(1.0, Clock(), print)
        asyncio.get_running_loop().call_soon(start)
        return await raised

    assert "needs a task" in run_virtually(main())


def test_a_deadline_calls_back_at_its_moment_unless_it_is_cancelled(run_virtually):
    """By then `passed` is true, so that a caller that comes later finds out as well."""

    async def main():
        loop, calls = asyncio.get_running_loop(), []
        started = loop.time()
        deadline = Deadline(5.0, lambda: calls.append((loop.time() - started, deadline.passed)), Clock())
        cancelled = Deadline(5.0, lambda: calls.append("cancelled"), Clock())
        cancelled.cancel()
        await asyncio.sleep(10)
        return calls, cancelled.passed, str(deadline)

    calls, passed, text = run_virtually(main())

    assert calls == [(pytest.approx(5.0), True)]
    assert not passed
    assert text == "the deadline of 5 s"
