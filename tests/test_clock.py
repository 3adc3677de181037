"""The clock of a client, and the time that freezegun and time-machine set."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time

import balancekit
from balancekit import AggregateClient, Clock, ConfigError, GetManyProvider, ProviderTimeoutError
from balancekit.sandbox import Fault
from balancekit.stores import MemoryStore
from tests.support.clock import COUNTING, Clock as StillClock, Suspensions
from tests.support.providers import QuickTill, Till

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

try:
    import time_machine
except ImportError:
    time_machine = None


@pytest.fixture(params=["freezegun, loop real", "freezegun, ticking", "time-machine", "time-machine, still"])
def frozen(request):
    """Set the time to noon, and give what moves it to a moment."""
    if request.param.startswith("freezegun"):
        settings = {"real_asyncio": True} if request.param.endswith("real") else {"tick": True}
        with freeze_time(NOON, **settings) as time:
            yield time.move_to
        return
    if time_machine is None:
        pytest.skip("time-machine is for CPython")
    with time_machine.travel(NOON, tick=not request.param.endswith("still")) as time:
        yield time.move_to


async def test_a_time_that_is_moved_ages_a_snapshot(sandbox, frozen):
    """After 31 s by freezegun or time-machine a snapshot is too old for 30 s, and it is dated by their time."""
    till = sandbox.add_getmany("till", {"USDC": "1"})
    async with AggregateClient([GetManyProvider("till", **till.settings)]) as client:
        await client.fetch(max_age=30)
        await client.fetch(max_age=30)
        frozen(NOON + timedelta(seconds=31))
        merged = await client.fetch(max_age=30)

    assert len(sandbox.requests) == 2
    assert merged.as_of - NOON < timedelta(seconds=35)


async def test_a_timeout_passes_in_a_time_that_is_set(sandbox, frozen):
    """What waits for a response ends, although the time on the wall stands still."""
    till = sandbox.add_getmany("till", {"USDC": "1"})
    sandbox.fail("till", Fault(hang=True))
    async with AggregateClient([GetManyProvider("till", **till.settings)], timeout=0.05, attempts=1) as client:
        merged = await client.fetch()

    assert type(merged.failures[0].error) is ProviderTimeoutError


async def test_a_deadline_passes_in_a_time_that_is_set(sandbox, frozen):
    """A call ends at its deadline, too."""
    till = sandbox.add_getmany("till", {"USDC": "1"})
    sandbox.fail("till", Fault(hang=True))
    async with AggregateClient([GetManyProvider("till", **till.settings)]) as client:
        merged = await client.fetch(deadline=0.05)

    assert "before the deadline of 0.05 s" in str(merged.failures[0].error)


@pytest.mark.parametrize("calls", [0, 1], ids=["from the first call on", "later"])
async def test_a_frozen_event_loop_is_refused(calls):
    """Where the loop's own time stands still nothing would ever end: the message says what to do instead."""
    async with AggregateClient([QuickTill(takes=0)]) as client:
        for _ in range(calls):
            await client.fetch()
        with (
            freeze_time(NOON),
            pytest.raises(RuntimeError, match=r"freeze_time\(\.\.\., real_asyncio=True\), or .*ManualClock"),
        ):
            await client.fetch()


@pytest.mark.parametrize("clock", [asyncio, 5, lambda: 0.0, Clock], ids=["module", "number", "function", "class"])
def test_what_is_no_clock_is_refused(clock):
    """It is noticed when the client is made."""
    with pytest.raises(ConfigError, match=r"clock: expected a balancekit\.Clock, got "):
        AggregateClient([], clock=clock)
    with pytest.raises(TypeError, match=r"expected a balancekit\.Clock, got "):
        MemoryStore(clock=clock)


@pytest.mark.skipif(COUNTING is None, reason="no clock shows it")
def test_the_monotonic_clock_goes_on_while_the_machine_is_suspended(monkeypatch):
    """In an event loop and outside; and it never goes back, whatever the clocks of the machine show."""
    suspensions, clock = Suspensions(monkeypatch), balancekit.Clock()

    async def look():
        return clock.monotonic()

    before = clock.monotonic()
    suspensions.seconds = 3600
    moments = [clock.monotonic(), asyncio.run(look())]
    monkeypatch.setattr(time, "clock_gettime", lambda _: 0.0)
    moments.append(clock.monotonic())

    assert before + 3600 <= moments[0] <= moments[1] <= moments[2] <= before + 3660


@pytest.mark.skipif(COUNTING is None, reason="only Linux has this clock")
def test_clocks_made_before_and_after_a_suspension_show_the_same(monkeypatch):
    """Clients with one set of limits count from each other's moments."""
    suspensions, before = Suspensions(monkeypatch), balancekit.Clock()
    before.monotonic()
    suspensions.seconds = 3600

    moments = [clock.monotonic() for clock in (before, balancekit.Clock(), before)]

    assert moments == sorted(moments)


async def test_a_clock_of_ones_own_need_only_say_the_time():
    """Waiting works by the time that it says, whatever that counts from."""

    class Offset(Clock):
        def monotonic(self):
            return super().monotonic() + 1e6

    async with AggregateClient([Till(takes=9e9)], clock=Offset(), timeout=0.05, attempts=1) as client:
        merged = await client.fetch()

    assert "no response within 0.05 s" in str(merged.failures[0].error)


@pytest.mark.parametrize("back", [1.0, 1e6])
def test_a_clock_that_goes_backwards_makes_nothing_younger(run_virtually, back):
    """A monotonic clock that is none still ages a snapshot by the time on the wall, and ends no call early or never."""

    class Wrong(balancekit.Clock):
        behind = 0.0

        def monotonic(self):
            return super().monotonic() - self.behind

        def time(self):
            return super().monotonic()

    async def main():
        clock, till = Wrong(), QuickTill()
        async with AggregateClient([till], clock=clock) as client:
            await client.fetch()
            clock.behind = back
            await client.fetch(max_age=30)
            await asyncio.sleep(31)
            await client.fetch(max_age=30)
            till.takes = 9e9
            slow = await client.fetch(deadline=5)
        return till.requests, str(slow.failures[0].error)

    requests, error = run_virtually(main())

    assert requests == 3
    assert "deadline of 5 s" in error


def test_a_timeout_ends_its_block(run_virtually):
    """It raises TimeoutError at its time, and cancels nothing after the block."""

    async def main():
        loop, clock = asyncio.get_running_loop(), Clock()
        started = loop.time()
        with pytest.raises(TimeoutError):
            async with clock.timeout(5):
                await asyncio.sleep(9e9)
        took = loop.time() - started
        async with clock.timeout(5):
            await asyncio.sleep(1)
        await asyncio.sleep(10)
        return took

    assert run_virtually(main()) == 5


def test_time_can_be_asked_without_an_event_loop():
    """Synchronous code, as `latest` is, has a clock too."""
    clock = Clock()

    assert clock.monotonic() <= clock.monotonic()
    assert StillClock(5.0).monotonic() == 5.0
