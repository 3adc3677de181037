"""The clocks of this machine, where they are wrong or stand still. No balance gets younger by them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from balancekit import AggregateClient, ReportedBalances
from balancekit.stores import MemoryStore
from tests.support.clock import COUNTING, Clock, Suspensions
from tests.support.providers import QuickTill, Scripted, bitcoin, outage

HOUR = 3600.0


class Wall:
    """The wall clock of this machine, which a test sets `ahead` by some seconds."""

    def __init__(self, monkeypatch):
        self.ahead = 0.0
        real_time, wall = time.time, self

        class AnyDatetime(type):
            """The type of a class that moments are instances of, as they are of `datetime`."""

            def __instancecheck__(cls, value):
                return isinstance(value, datetime)

        class Clock(datetime, metaclass=AnyDatetime):
            """What `datetime` is while the clock is set."""

            @classmethod
            def now(cls, tz=None):
                """Return the moment that the clock shows."""
                return datetime.now(tz) + timedelta(seconds=wall.ahead)

        monkeypatch.setattr(time, "time", lambda: real_time() + self.ahead)
        for module in ("money.balances", "money.text"):
            monkeypatch.setattr(f"balancekit.{module}.datetime", Clock)


@pytest.fixture
def wall(monkeypatch):
    """Give the wall clock of this machine."""
    return Wall(monkeypatch)


@pytest.fixture(params=["own store", "memory store"])
def store(request):
    """Be the client's own store, or one that was passed in."""
    return MemoryStore() if request.param == "memory store" else None


@pytest.mark.parametrize("ahead", [HOUR, 86_400.0 * 365], ids=["an hour", "a year"])
def test_after_the_clock_is_set_back_the_last_balance_is_the_one_that_was_read_last(run_virtually, wall, store, ahead):
    """Nine bitcoins that are known to be gone do not come back when the account fails."""

    async def main():
        till = QuickTill(held="10")
        async with AggregateClient([till], store=store) as client:
            wall.ahead = ahead
            await client.fetch()
            wall.ahead, till.held = 0.0, "1"
            await client.fetch()
            till.broken = True
            return await client.fetch(stale_if_error=60)

    merged = run_virtually(main())

    assert merged.amount("BTC", partial=True) == 1
    assert str(merged.failures[0].last_known.balances[0].amount) == "1"


def test_a_slow_response_from_before_the_clock_was_set_is_not_the_last(run_virtually, wall):
    """Nor shown, since its moment is of the future: snapshots are ordered by when their requests were sent."""

    async def main():
        async def respond_slowly():
            await asyncio.sleep(1.0)
            return till.balances("10")

        till = Scripted("till", respond_slowly, 0.1, outage("till", retryable=False))
        async with AggregateClient([till]) as client:
            wall.ahead = HOUR
            slow = asyncio.create_task(client.fetch())
            await asyncio.sleep(0.5)
            wall.ahead = 0.0
            read = await client.fetch()
            late = await slow
            return [
                merged.amount("BTC", partial=True) for merged in (read, late, await client.fetch(stale_if_error=60))
            ]

    assert run_virtually(main()) == [1, 1, 1]


@pytest.mark.parametrize("seconds", [0.0, 120.0], ids=["at once", "two minutes later"])
async def test_an_age_is_never_less_than_the_monotonic_clock_says(wall, monkeypatch, seconds):
    """After the clock was set back by an hour a snapshot is as old as it is, in results that are fresh or stale."""
    real, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])
    wall.ahead = HOUR
    till = QuickTill(takes=0.0)
    async with AggregateClient([till]) as client:
        await client.fetch()
        wall.ahead, passed[0] = seconds, seconds
        fresh = await client.fetch(max_age=2 * HOUR)
        again = await client.fetch(max_age=2 * HOUR)
        (streamed,) = [outcome async for outcome in client.stream(max_age=2 * HOUR)]
        till.broken = True
        stale = await client.fetch(stale_if_error=60)
        (failure,) = stale.failures

    assert till.requests == 2
    assert again is fresh
    for snapshot in (*fresh.accounts, streamed, failure.last_known):
        assert seconds - 1 <= snapshot.age() <= seconds + 5
    assert (len(stale) == 1) == (seconds < 60)
    if seconds:
        assert fresh.as_of <= datetime.now(UTC) + timedelta(seconds=5)
    else:
        assert "1 (as of" in stale.to_text()


async def test_a_watch_shows_no_balance_of_the_future(wall):
    """The age of what it keeps of a failed account is counted anew in every state."""
    wall.ahead = HOUR
    broken, shop = QuickTill("broken", takes=0.0), QuickTill("shop", takes=0.0)
    async with AggregateClient([broken, shop]) as client:
        await client.fetch()
        broken.broken = True
        states = client.watch(stale_if_error=60)
        await anext(states)
        wall.ahead = 0.0
        await client.invalidate("shop")
        state = await anext(states)
        while state.accounts[1].stale:
            # A busy machine may show first what is still to be read.
            state = await anext(states)
        await states.aclose()

    assert [(snapshot.account, snapshot.stale) for snapshot in state.accounts] == [("broken", True), ("shop", False)]
    assert all(snapshot.fetched_at <= datetime.now(UTC) for snapshot in state.accounts)


async def test_no_status_is_of_the_future(wall):
    """What was noted before the clock was set back is dated by the clock as it is now."""
    till = QuickTill(takes=0)
    async with AggregateClient([till]) as client:
        wall.ahead = HOUR
        await client.fetch()
        till.broken = True
        await client.fetch()
        wall.ahead = 0.0
        status = client.status()["till"]

    assert max(status.last_success, status.last_failure, status.down_since).timestamp() <= time.time()


async def test_a_snapshot_of_another_process_is_as_old_as_the_store_says(wall):
    """The clock of the replica that read it may be an hour ahead of this one."""
    clock = Clock(0.0)
    store = MemoryStore(clock=clock)
    here, there = QuickTill(takes=0.0), QuickTill(takes=0.0)
    async with AggregateClient([there], store=store) as replica, AggregateClient([here], store=store) as client:
        wall.ahead = HOUR
        await replica.fetch()
        wall.ahead, clock.now = 0.0, 90.0
        fresh = await client.fetch(max_age=600)
        here.broken = True
        failed = await client.fetch(stale_if_error=60)

    assert here.requests == 1
    assert 89 <= fresh.accounts[0].age() <= 95
    assert 89 <= failed.failures[0].last_known.age() <= 95
    assert len(failed) == 0


@pytest.mark.parametrize("shared", [False, True], ids=["own store", "memory store"])
async def test_a_suspension_after_the_clock_was_set_back_counts(shared):
    """Although the wall clock shows the same then as if neither had been."""
    clock, till = Clock(), QuickTill(takes=0)
    async with AggregateClient([till], clock=clock, store=MemoryStore(clock=clock) if shared else None) as client:
        await client.fetch()
        clock.now += 10
        clock.ahead -= HOUR
        await client.fetch(max_age=60)
        clock.now += 10
        clock.ahead += HOUR
        till.held = "2"
        merged = await client.fetch(max_age=60)

    assert merged.amount("BTC") == 2


@pytest.mark.skipif(COUNTING is None, reason="no clock shows it")
@pytest.mark.parametrize("back", [HOUR, 2 * HOUR], ids=["by as much", "by more"])
async def test_a_suspension_counts_although_the_clock_was_set_back_before_anybody_looked(monkeypatch, store, back):
    """An hour in which the machine was suspended makes what it has an hour old, whatever the wall clock shows then."""
    suspensions, wall, till = Suspensions(monkeypatch), Wall(monkeypatch), QuickTill(takes=0)
    async with AggregateClient([till], store=store) as client:
        await client.fetch()
        suspensions.seconds = HOUR
        wall.ahead = HOUR - back
        (last,) = client.latest().accounts
        till.held = "2"
        merged = await client.fetch(max_age=60)

    assert HOUR <= last.age() <= HOUR + 60
    assert merged.amount("BTC") == 2


class Undated(QuickTill):
    """A provider that reports the first moment there is, as some programs write a time that was never set."""

    async def fetch_balances(self, session):
        """Report them."""
        return ReportedBalances(await super().fetch_balances(session), reported_at=datetime.min.replace(tzinfo=UTC))


async def test_no_clock_can_be_set_back_beyond_the_first_moment():
    """Its account is as old as can be, and nobody waits beyond a deadline."""
    clock, till = Clock(), Undated(takes=0)
    async with AggregateClient([till, QuickTill("shop", takes=0)], clock=clock, attempts=1) as client:
        await client.fetch()
        clock.ahead -= 5
        latest = client.latest()
        till.broken = True
        merged = await client.fetch(stale_if_error=1e12)

    assert latest.as_of == merged.as_of == datetime.min.replace(tzinfo=UTC)
    assert [failure.account for failure in merged.failures] == [till.account]


async def test_a_store_gives_no_snapshot_from_before_the_year_1():
    """Two replicas whose clocks differ read one account all the same."""
    here, there, store = Clock(), Clock(), MemoryStore(clock=Clock())
    there.ahead = -5
    one, other = Undated(takes=0), Undated(takes=0)
    one.fingerprint = other.fingerprint = "the same everywhere"
    async with (
        AggregateClient([one], clock=here, store=store) as client,
        AggregateClient([other], clock=there, store=store) as replica,
    ):
        await client.fetch(max_age=1e12)
        merged = await replica.fetch(max_age=1e12)

    assert merged.amount("BTC") == 1
    assert other.requests == 0


class Sleepy(MemoryStore):
    """A store after whose reply the machine is suspended, before anybody has seen that."""

    async def get(self, keys):
        """Reply, and be suspended if it is time."""
        reply = await super().get(keys)
        self.clock.ahead, self.naps = self.clock.ahead + self.naps, 0
        return reply


async def test_a_suspension_after_a_store_has_replied_counts():
    """A snapshot is as old as it is when it is looked at."""
    clock, mine, theirs = Clock(), QuickTill(takes=0), QuickTill(takes=0)
    mine.fingerprint = theirs.fingerprint = "the same everywhere"
    store = Sleepy(clock=clock)
    store.clock, store.naps = clock, 0
    async with (
        AggregateClient([theirs], clock=clock, store=store) as replica,
        AggregateClient([mine], clock=clock, store=store) as client,
    ):
        await replica.fetch(max_age=60)
        mine.held, store.naps = "2", HOUR
        merged = await client.fetch(max_age=60)

    assert merged.amount("BTC") == 2


async def test_a_snapshot_that_was_overtaken_is_not_shown_as_of_the_future():
    """After the wall clock was set back, while its caller waited: the later one is given instead."""
    clock, begun, first, second = Clock(), asyncio.Queue(), asyncio.Event(), asyncio.Event()
    waits = [first, second]

    class Slow(QuickTill):
        async def fetch_balances(self, session):
            number, may_end = 3 - len(waits), waits.pop(0)
            begun.put_nowait(number)
            await may_end.wait()
            return bitcoin(self, number)

    async with AggregateClient([Slow()], clock=clock) as client:
        earlier = asyncio.ensure_future(client.fetch())
        await begun.get()
        clock.now, clock.ahead = clock.now + 5, -HOUR
        later = asyncio.ensure_future(client.fetch())
        await begun.get()
        second.set()
        await later
        first.set()
        merged = await earlier

    assert merged.as_of.timestamp() <= clock.time()
    assert merged.amount("BTC") == 2
