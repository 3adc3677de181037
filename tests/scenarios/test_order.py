"""Which of two reads is the later one, whoever has made them and whatever clocks do. Time is virtual."""

import asyncio
import datetime as dt
from contextlib import AsyncExitStack

import pytest

from balancekit import AggregateClient, RateLimitedError
from balancekit.stores import MemoryStore, StoreRefusedError
from balancekit.stores.base import Stored
from tests.support.clock import NEW_YEAR, Clock, LoopClock
from tests.support.providers import QuickTill, bitcoin, outage
from tests.support.stores import FlakyStore
from tests.support.watching import Seen


class Steps:
    """A till that responds after as many seconds as its script says, or fails after them if they are negative."""

    provider = "till"
    fingerprint = "the same everywhere"

    def __init__(self, *script, account="till"):
        self.account, self.script, self.requests = account, list(script), 0

    async def fetch_balances(self, session):
        """Play the next step, or respond after a tenth of a second."""
        self.requests += 1
        number = self.requests
        seconds = self.script.pop(0) if self.script else 0.1
        await asyncio.sleep(abs(seconds))
        if seconds < 0:
            raise outage(self.account, retry_after=0.1)
        return bitcoin(self, number)


class CountingStore(MemoryStore):
    """A store that counts lookups, and fails rather than be called for ever."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.lookups = 0

    async def get(self, keys):
        """Look up."""
        self.lookups += 1
        if self.lookups > 500:
            raise ConnectionError
        return await super().get(keys)


class LateStore(CountingStore):
    """A store whose first invalidation is heard 0.3 seconds late."""

    is_late = True

    async def changes(self):
        """Give changes."""
        async for change in super().changes():
            if change.invalidated and self.is_late:
                self.is_late = False
                await asyncio.sleep(0.3)
            yield change


@pytest.fixture
def with_clients(run_virtually):
    """Run a test's steps with the store and a client of it for each of some providers."""

    def run(steps, *providers, store=CountingStore, clocks=None, **settings):
        async def main():
            async with AsyncExitStack() as stack:
                shared, clients = store(clock=LoopClock()), []
                for number, provider in enumerate(providers):
                    clock = clocks[number] if clocks else LoopClock()
                    client = AggregateClient([provider], store=shared, clock=clock, **settings)
                    clients.append(await stack.enter_async_context(client))
                return await steps(shared, *clients)

        return run_virtually(main())

    return run


def test_nothing_goes_on_after_a_change_that_is_heard_late(with_clients):
    """A replica that has sent a request at the earlier version meanwhile shows what the other has read since."""
    there, here = Steps(0.05), Steps(0.05, -0.05, 0.05)

    async def steps(store, replica, client):
        watch = Seen(client)
        await asyncio.sleep(5)
        fetching = asyncio.create_task(client.fetch())
        await asyncio.sleep(0.02)
        await replica.invalidate("till")
        await replica.fetch()
        await fetching
        await asyncio.sleep(10)
        return store.lookups < 20, watch.states[-1].complete, client.latest().complete

    assert with_clients(steps, there, here, store=LateStore) == (True, True, True)


def test_a_lease_that_is_given_back_is_no_news(with_clients):
    """Where a store can keep nothing, the watches of replicas do not take turns at reading the account."""

    class FullStore(CountingStore):
        """A store that has no room, as a Redis that is full: it knows no version for longer than a lookup."""

        async def get(self, keys):
            """Return another version each time."""
            await super().get(keys)
            return [Stored(f"{self.lookups}") for _ in keys]

        async def put(self, key, snapshot, **_):
            """Refuse."""
            raise StoreRefusedError("full")

    tills = [QuickTill(), QuickTill()]

    async def steps(store, *clients):
        watches = [Seen(client) for client in clients]
        await asyncio.sleep(5)
        requests = sum(till.requests for till in tills)
        await asyncio.sleep(60)
        return len(watches), sum(till.requests for till in tills) - requests

    assert with_clients(steps, *tills, store=FullStore) == (2, 0)


def test_a_request_that_is_sent_again_is_of_the_account_as_it_is_then(with_clients):
    """After an invalidation in between, what the next attempt reads is valid, for a watch as for the caller."""
    till = Steps(0.1, -1.1)

    async def steps(store, client):
        watch = Seen(client)
        await asyncio.sleep(5)
        fetching = asyncio.create_task(client.fetch())
        await asyncio.sleep(0.5)
        await client.invalidate("till")
        await fetching
        await asyncio.sleep(60)
        return watch.states[-1].complete, client.latest().complete

    assert with_clients(steps, till) == (True, True)


class CoarseClock(LoopClock):
    """A clock that ticks once a second, as that of uvloop does once a millisecond."""

    def monotonic(self):
        """Return the whole seconds."""
        return float(int(super().monotonic()))


@pytest.mark.parametrize("turns", range(8))
def test_no_version_is_learned_again_that_was_asked_for_in_the_same_tick(with_clients, turns):
    """An invalidated snapshot does not become valid by a lookup that the clock cannot tell from a later one."""

    class SlowStore(MemoryStore):
        """A store whose answer to a lookup takes a few turns of the event loop."""

        async def get(self, keys):
            """Look up."""
            stored = await super().get(keys)
            for _ in range(4):
                await asyncio.sleep(0)
            return stored

    till = QuickTill(held=None)

    async def steps(store, client):
        await client.fetch(max_age=60)
        looking_up = asyncio.create_task(client.fetch(max_age=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        await client.invalidate("till")
        latest = client.latest()
        for _ in range(9):
            await asyncio.sleep(0)
        before = [latest.complete, client.latest().complete]
        await looking_up
        return before

    assert with_clients(steps, till, store=SlowStore, clocks=[CoarseClock()]) == [False, False]


class Ahead(LoopClock):
    """The clock of a machine whose wall clock is an hour ahead."""

    def time(self):
        """Return the time in an hour."""
        return super().time() + 3600


def test_a_snapshot_of_another_process_is_dated_by_its_age_even_if_it_is_not_kept(run_virtually):
    """This process has read the account later, while the store was out of reach."""
    here, there = QuickTill(), QuickTill()

    async def main():
        store, gate = FlakyStore(), FlakyStore()
        vars(gate).update({name: value for name, value in vars(store).items() if name not in {"fault", "calls"}})
        async with (
            AggregateClient([there], clock=Ahead(), store=store) as replica,
            AggregateClient([here], clock=LoopClock(), store=gate) as client,
        ):
            await replica.fetch(max_age=60)
            await asyncio.sleep(10)
            gate.fault = ConnectionError()
            await client.fetch(max_age=60)
            gate.fault = None
            await asyncio.sleep(10)
            merged = await client.fetch(max_age=60)
            now = dt.datetime.fromtimestamp(NEW_YEAR + asyncio.get_running_loop().time(), dt.UTC)
            return (now - merged.as_of).total_seconds()

    assert 0 <= run_virtually(main()) < 20.5


@pytest.mark.parametrize("complete", [True, False])
def test_a_failure_counts_if_its_request_was_sent_after_the_last_success(with_client, complete):
    """A read that began first, and tried again last, says how the account is; one that hung says nothing new."""
    till = Steps(9, 0.1) if complete else Steps(-9, 0.1, -8, -8)

    async def steps(client, _):
        first = asyncio.create_task(client.fetch())
        await asyncio.sleep(1)
        await client.fetch()
        await first
        return client.latest().complete, client.status()["till"].up

    assert with_client(steps, till, timeout=30) == (complete, complete)


def test_a_failure_of_a_replica_from_before_a_success_is_not_shared(with_clients):
    """Its request was sent before the one that succeeded, and timed out after that."""
    there, here = Steps(100), Steps()

    async def steps(store, replica, client):
        failing = asyncio.create_task(replica.fetch())
        await asyncio.sleep(1)
        watch = Seen(client, max_age=60)
        await client.fetch()
        await failing
        await asyncio.sleep(1)
        merged, latest = await client.fetch(max_age=60), client.latest()
        return [merged.complete, latest.complete, client.status()["till"].up, *{one.complete for one in watch.states}]

    assert with_clients(steps, there, here, timeout=3, attempts=1) == [True] * 4


class DeafStore(CountingStore):
    """A store whose changes cannot be heard."""

    async def changes(self):
        """Refuse."""
        raise StoreRefusedError("no SUBSCRIBE")
        yield


def test_a_watch_shows_what_a_call_of_its_client_finds_in_the_store(with_clients):
    """Whichever call has looked it up, although no change is heard."""
    there, here = QuickTill(), QuickTill()

    async def steps(store, replica, client):
        watch = Seen(client)
        await asyncio.sleep(5)
        there.held = here.held = "999"
        await replica.invalidate("till")
        await replica.fetch(max_age=60)
        await asyncio.sleep(5)
        await client.fetch(max_age=60)
        await asyncio.sleep(2)
        return watch.amounts[-1], watch.states[-1].complete, here.requests

    assert with_clients(steps, there, here, store=DeafStore) == (999, True, 1)


def test_a_watch_reads_what_a_call_of_its_client_finds_to_have_changed(with_clients):
    """The call is cancelled before it has read the account."""
    there, here = QuickTill(), QuickTill()

    async def steps(store, replica, client):
        watch = Seen(client)
        await asyncio.sleep(5)
        here.held = "999"
        await replica.invalidate("till")
        fetching = asyncio.create_task(client.fetch(max_age=60))
        await asyncio.sleep(0.05)
        fetching.cancel()
        await asyncio.sleep(5)
        return watch.amounts[-1], watch.states[-1].complete

    assert with_clients(steps, there, here, store=DeafStore) == (999, True)


def test_a_failure_of_a_replica_reaches_the_watches_of_the_others(with_clients):
    """Also if it was met without a lease."""
    there, here = Steps(0.1, -0.1), Steps()

    async def steps(store, replica, client):
        watch = Seen(client)
        await replica.fetch()
        await asyncio.sleep(5)
        await replica.fetch()
        await asyncio.sleep(0.3)
        return [merged.complete for merged in watch.states][-1]

    assert with_clients(steps, there, here, attempts=1) is False


@pytest.mark.parametrize("max_age", [0, 60])
def test_what_is_under_way_stops_soon_after_a_429_to_a_replica(run_virtually, max_age):
    """The requests that wait for a slot ask the store first."""
    at = []

    class Account(Steps):
        """One of many at an origin, which limits one of them."""

        async def fetch_balances(self, session):
            """Respond, or with a 429."""
            at.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.1)
            if self.account == "limited":
                raise RateLimitedError("429", account="limited", provider="till", status=429, retry_after=60)
            return ()

    async def main():
        store = MemoryStore(clock=LoopClock())
        others = [Account(account=f"other {number}") for number in range(40)]
        for other in others:
            other.fingerprint = other.account
        async with (
            AggregateClient([Account(account="limited")], store=store, clock=LoopClock()) as replica,
            AggregateClient(others, store=store, clock=LoopClock(), concurrency=2) as client,
        ):
            fetching = asyncio.create_task(client.fetch(max_age=max_age))
            await asyncio.sleep(0.05)
            await replica.fetch()
            limited_at = asyncio.get_running_loop().time()
            await fetching
            return sum(moment > limited_at + 0.06 for moment in at)

    assert run_virtually(main()) == 0


async def test_a_read_of_a_replica_counts_although_no_clock_has_moved():
    """A wall clock may tick 64 times a second, or be stopped by a test."""
    clock, mine, theirs = Clock(), QuickTill(), QuickTill()
    mine.fingerprint = theirs.fingerprint = "the same everywhere"
    store = MemoryStore(clock=clock)
    async with (
        AggregateClient([mine], store=store, clock=clock) as client,
        AggregateClient([theirs], store=store, clock=clock) as replica,
    ):
        before = await client.fetch(max_age=60)
        theirs.held = "2"
        await replica.invalidate("till")
        await replica.fetch(max_age=60)
        after = await client.fetch(max_age=60)

    assert (before.amount("BTC"), after.amount("BTC"), client.latest().amount("BTC")) == (1, 2, 2)
