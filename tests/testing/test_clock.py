"""The clock that a test moves: the order of what is due, and what it waits for in real time."""

import asyncio
import contextvars
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from balancekit import AggregateClient, GetManyProvider, ProviderTimeoutError, RateLimit
from balancekit.sandbox import Fault
from balancekit.sandbox.event_loop import loop_in_thread
from balancekit.stores import MemoryStore
from balancekit.testing import ManualClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = 3600


@pytest.fixture
def clock():
    """Give a clock that stands at noon."""
    return ManualClock(NOON)


async def test_both_times_move_together(clock):
    """The wall clock begins where it was set, and the monotonic one counts what was advanced."""
    before = clock.monotonic(), clock.time()
    await clock.advance(HOUR)

    assert (clock.monotonic() - before[0], clock.time() - before[1]) == (HOUR, HOUR)
    assert clock.now == NOON + timedelta(hours=1)
    assert repr(clock) == "ManualClock(2026-01-01T13:00:00+00:00)"


async def test_the_wall_clock_can_be_set_alone(clock):
    """As NTP does, or a machine that was suspended; in any time zone."""
    await clock.advance(1)
    clock.set(datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))))

    assert (clock.now, clock.monotonic()) == (NOON - timedelta(hours=2), 1)


def test_a_start_without_a_time_zone_is_refused():
    """It would mean another moment on each machine."""
    with pytest.raises(ValueError, match="start: expected a datetime with a time zone"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, True, "5", None])
async def test_time_passes_by_a_number_of_seconds(clock, seconds):
    """Neither back, nor for ever."""
    with pytest.raises(ValueError, match="seconds: expected a number, zero or more"):
        await clock.advance(seconds)


async def test_timers_are_called_in_order_each_at_its_time(clock):
    """By when they are due, and at one moment in the order in which they were set."""
    called = []
    for name, at in (("c", 20), ("a", 5), ("d", 20), ("b", 10), ("later", 31)):
        clock.call_at(at, lambda name=name: called.append((name, clock.monotonic())))

    await clock.advance(30)

    assert called == [("a", 5), ("b", 10), ("c", 20), ("d", 20)]


async def test_a_timer_may_set_another_one(clock):
    """One that is due within what passes is called as well, each in its turn."""
    called = []

    def tick():
        called.append(clock.monotonic())
        clock.call_at(clock.monotonic() + 10, tick)

    clock.call_at(10, tick)
    clock.call_at(25, lambda: called.append("25"))
    await clock.advance(35)

    assert called == [10, 20, "25", 30]


async def test_a_timer_of_the_past_is_called_at_once(clock):
    """The clock does not go back for it."""
    await clock.advance(10)
    called = []
    clock.call_at(5, lambda: called.append(clock.monotonic()))
    await clock.advance(0)

    assert called == [10]


async def test_a_timer_that_was_cancelled_is_not_called(clock):
    """Also if another one at the same moment does so."""
    called = []

    def cancel_second():
        second.cancel()

    clock.call_at(5, cancel_second)
    second = clock.call_at(5, lambda: called.append("second"))
    third = clock.call_at(4, lambda: called.append("third"))
    third.cancel()

    await clock.advance(10)

    assert called == []


async def test_a_timer_is_called_in_the_context_in_which_it_was_set(clock):
    """As by an event loop."""
    tenant, called = contextvars.ContextVar("tenant"), []
    contextvars.copy_context().run(lambda: (tenant.set("shop"), clock.call_at(1, lambda: called.append(tenant.get()))))

    await clock.advance(1)

    assert called == ["shop"]


async def test_what_wakes_runs_before_the_clock_moves_on(clock):
    """A task that sleeps again and again sees every moment of its own."""
    seen = []

    async def sleeper():
        for _ in range(3):
            await clock.sleep(20)
            seen.append(clock.monotonic())

    task = asyncio.create_task(sleeper())
    await clock.advance(50)
    assert seen == [20, 40]
    await clock.advance(10)
    await task

    assert seen == [20, 40, 60]


async def test_a_sleep_may_be_cancelled(clock):
    """Nothing is left of it."""
    task = asyncio.create_task(clock.sleep(10))
    await clock.advance(5)
    task.cancel()
    await clock.advance(10)

    assert task.cancelled()


async def test_sleeping_for_no_time_needs_no_advance(clock):
    """As with asyncio."""
    await clock.sleep(0)


async def test_two_that_advance_together_take_turns(clock):
    """Time passes for both, one after the other, and nothing is called twice or too early."""
    called = []
    for at in (5, 15, 25):
        clock.call_at(at, lambda: called.append(clock.monotonic()))

    await asyncio.gather(clock.advance(10), clock.advance(10), clock.advance(10))

    assert (called, clock.monotonic()) == ([5, 15, 25], 30)


async def test_a_response_arrives_before_the_clock_moves_on(clock, sandbox):
    """A request over a socket takes no time by this clock, however much passes: it does not time out."""
    accounts = [sandbox.add_getmany(f"till-{number}", {"USDC": "1"}) for number in range(50)]
    providers = [GetManyProvider(account.label, **account.settings) for account in accounts]
    async with AggregateClient(providers, clock=clock, concurrency=5) as client:
        fetching = asyncio.create_task(client.fetch())
        await clock.advance(HOUR)
        merged = await fetching

    assert merged.complete
    assert merged.as_of == NOON


async def test_a_response_of_another_thread_arrives_before_the_clock_moves_on(clock, sandbox):
    """Also if the server is somewhere else, and takes a while."""
    till = sandbox.add_getmany("till", {"USDC": "1"})
    sandbox.fail("till", Fault(delay=0.03))
    async with AggregateClient([GetManyProvider("till", **till.settings)], clock=clock, attempts=1) as client:
        fetching = asyncio.create_task(client.fetch())
        await clock.advance(HOUR)

        assert (await fetching).complete


async def test_a_request_that_hangs_times_out(clock, sandbox):
    """The clock waits for it a little while of real time, and then its timeout passes, and the next attempt's."""
    till = sandbox.add_getmany("till", {"USDC": "1"})
    sandbox.fail("till", Fault(hang=True), times=2)
    async with AggregateClient([GetManyProvider("till", **till.settings)], clock=clock, attempts=2) as client:
        fetching = asyncio.create_task(client.fetch())
        await clock.advance(9)
        assert not fetching.done()
        await clock.advance(20)
        merged = await fetching

    assert type(merged.failures[0].error) is ProviderTimeoutError
    assert len(sandbox.requests) == 2


async def test_a_rate_limit_goes_by_the_clock(clock, sandbox):
    """A minute's limit is over when a minute has been advanced."""
    accounts = [sandbox.add_getmany(f"till-{number}", {"USDC": "1"}) for number in range(3)]
    providers = [GetManyProvider(account.label, **account.settings) for account in accounts]
    limits = {providers[0].base_url: RateLimit(1, per=600)}
    async with AggregateClient(providers, clock=clock, deadline=HOUR, rate_limits=limits) as client:
        fetching = asyncio.create_task(client.fetch())
        requests = []
        for _ in range(3):
            await clock.advance(590)
            requests.append(len(sandbox.requests))
            await clock.advance(11)
        merged = await fetching

    assert (requests, merged.complete) == ([1, 2, 3], True)


async def test_a_store_goes_by_the_clock(clock, sandbox):
    """What another client has put into a store in memory is too old after an hour."""
    till = sandbox.add_getmany("till", {"USDC": "1"})
    store = MemoryStore(clock=clock)
    counts = []
    for _ in range(3):
        async with AggregateClient([GetManyProvider("till", **till.settings)], clock=clock, store=store) as client:
            await client.fetch(max_age=60)
            counts.append(len(sandbox.requests))
            await clock.advance(40)

    assert counts == [1, 1, 2]


async def test_a_store_that_hangs_is_left_alone_by_the_clock(clock, sandbox):
    """The time that a call to a store may take is the clock's too, so that nothing waits for real seconds."""

    class Hanging(MemoryStore):
        async def get(self, keys):
            await asyncio.Event().wait()

    till = sandbox.add_getmany("till", {"USDC": "1"})
    async with AggregateClient([GetManyProvider("till", **till.settings)], clock=clock, store=Hanging()) as client:
        fetching = asyncio.create_task(client.fetch())
        await clock.advance(5)
        merged = await fetching

    assert merged.complete


def test_a_timer_of_a_loop_that_is_closed_is_dropped(clock):
    """The clock may be used in one event loop after the other."""
    called = []

    async def set_timer():
        clock.call_at(clock.monotonic() + 5, lambda: called.append(clock.monotonic()))

    asyncio.run(set_timer())
    asyncio.run(clock.advance(10))

    assert called == []


def test_a_timer_is_called_in_its_own_loop(clock):
    """A client in another thread is woken there."""
    called = []

    async def sleeper():
        await clock.sleep(HOUR)
        called.append(asyncio.get_running_loop())

    with loop_in_thread() as loop:
        sleeping = asyncio.run_coroutine_threadsafe(sleeper(), loop)
        while not called:
            asyncio.run(clock.advance(HOUR))
        sleeping.result()

    assert called == [loop]


async def test_an_hour_of_timers_passes(clock):
    """A thousand timers are called in one go."""
    called = []
    for at in range(1000):
        clock.call_at(at, called.append, at)
    await clock.advance(HOUR)

    assert called == list(range(1000))
