"""Two clients that share a store: what one reads serves both, and neither needs the store. Time is virtual."""

import asyncio
from datetime import UTC, datetime

import pytest

from balancekit import AccountBalances, AggregateClient, Clock, RateLimit
from balancekit.client.account_book import AccountBook
from balancekit.client.origins import Origins
from balancekit.stores import MemoryStore
from tests.support.clock import LoopClock
from tests.support.providers import Till
from tests.support.stores import FAULTS, HANGS, FlakyStore


@pytest.fixture
def with_clients(run_virtually):
    """Run a test's steps with a store and two clients that share it, each with a provider of its own."""

    def run(steps, **settings):
        async def main():
            store, tills, clock = FlakyStore(), (Till(), Till()), LoopClock()
            async with (
                AggregateClient([tills[0]], store=store, clock=clock, **settings) as here,
                AggregateClient([tills[1]], store=store, clock=clock, **settings) as there,
            ):
                result = await steps(store, here, there)
            for _ in range(9):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result, [till.requests for till in tills]

        return run_virtually(main())

    return run


def test_a_snapshot_of_another_client_is_used(with_clients):
    """What one replica has read, the other need not."""

    async def steps(store, here, there):
        return await here.fetch(max_age=30) == await there.fetch(max_age=30)

    assert with_clients(steps) == (True, [1, 0])


def test_clients_that_ask_at_the_same_time_make_one_request(with_clients):
    """One of them has the lease, and the others wait for its snapshot."""

    async def steps(store, here, there):
        results = await asyncio.gather(*(client.fetch(max_age=30) for client in (here, there) * 100))
        return {merged.amount("BTC") for merged in results}

    result, requests = with_clients(steps)

    assert (result, sum(requests)) == ({1}, 1)


def test_a_caller_that_accepts_no_earlier_snapshot_waits_for_no_other_client(with_clients):
    """A lease is for callers that accept a snapshot from before their call."""

    async def steps(store, here, there):
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(here.fetch(max_age=30), there.fetch())
        return loop.time() - started

    took, requests = with_clients(steps)

    assert took == pytest.approx(1.0)
    assert requests == [1, 1]


def test_the_lease_of_one_that_died_delays_by_no_more_than_the_lease(with_clients):
    """A lease that is never given back runs out."""

    async def steps(store, here, there):
        loop = asyncio.get_running_loop()
        await store.lease("till@till", "dead", seconds=4.0)
        started = loop.time()
        merged = await here.fetch(max_age=30)
        return merged.complete, loop.time() - started

    (complete, took), requests = with_clients(steps)

    assert complete
    assert took <= 4.0 + 1.0 + 1.1
    assert sum(requests) == 1


def test_waiting_for_another_client_ends_at_the_deadline(with_clients):
    """The error says what the caller waited for."""

    async def steps(store, here, there):
        (account,) = AccountBook([Till()], Origins(), Clock()).values()
        await store.lease(account.key, "busy", seconds=60.0)
        return str((await here.fetch(max_age=30)).failures[0].error)

    error, requests = with_clients(steps, deadline=3.0)

    assert "another process has not read it before the deadline of 3 s" in error
    assert sum(requests) == 0


def test_a_slow_store_makes_no_snapshot_younger_than_it_is(with_clients):
    """How old a snapshot may be is counted back from the call, whenever the store responds."""

    async def steps(store, here, there):
        await here.fetch()
        get = store.get

        async def slowly(keys):
            known = await get(keys)
            await asyncio.sleep(0.4)
            return known

        store.get = slowly
        await asyncio.sleep(9.2)
        return (await here.fetch(max_age=10)).amount("BTC")

    assert with_clients(steps) == (2, [2, 0])


@pytest.mark.parametrize(("account", "provider"), [("other", "till"), ("till", "other")])
def test_a_snapshot_of_another_account_is_not_taken(with_clients, account, provider):
    """A store may hold anything under an account's key, and money of somebody else is not ours."""

    async def steps(store, here, there):
        foreign = AccountBalances(account, provider, (), datetime.now(UTC))
        (known,) = await store.get(["till@till"])
        await store.put("till@till", foreign, version=known.version, age=0.0)
        merged = await here.fetch(max_age=30)
        return [snapshot.account for snapshot in merged.accounts], merged.amount("BTC")

    assert with_clients(steps) == ((["till"], 1), [1, 0])


def test_an_invalidation_reaches_the_other_client(with_clients):
    """A webhook that one replica receives makes the others' snapshots invalid, and wakes their watches."""

    async def steps(store, here, there):
        seen = []

        async def watch():
            seen.extend([merged.amount("BTC") async for merged in there.watch()])

        watching = asyncio.create_task(watch())
        await asyncio.sleep(2)
        await here.invalidate("till")
        await asyncio.sleep(2)
        await there.aclose()
        await watching
        return seen

    assert with_clients(steps) == ([1, 2], [0, 2])


def test_a_watch_that_has_just_begun_reads_once(with_clients):
    """That changes are reported from now on is no change."""

    async def steps(store, here, there):
        async def watch():
            return [merged.amount("BTC") async for merged in here.watch()]

        watching = asyncio.create_task(watch())
        await asyncio.sleep(1.01)
        # What is looked at without a store is read.
        store.fault = ConnectionError()
        await asyncio.sleep(2)
        await here.aclose()
        return await watching

    assert with_clients(steps) == ([1], [1, 0])


def test_a_watch_that_cannot_listen_yet_ends_with_the_client(with_clients):
    """A store that does not respond does not turn the end into an error."""

    async def steps(store, here, there):
        async def watch():
            return [merged async for merged in here.watch()]

        store.fault = HANGS
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.2)
        await here.aclose()
        return await watching

    assert with_clients(steps) == ([], [0, 0])


def test_a_limit_on_the_rate_holds_for_all_clients_together(with_clients):
    """Two replicas with a limit of three requests a minute make three in all."""

    async def steps(store, here, there):
        together = await asyncio.gather(*(client.fetch() for client in (here, there) * 3))
        return sum(merged.complete for merged in together)

    complete, requests = with_clients(steps, rate_limits={"till": RateLimit(3, per=60)}, deadline=5.0)

    assert (complete, sum(requests)) == (3, 3)


def test_a_place_in_the_queue_is_given_up_when_another_client_has_read_the_account(with_clients):
    """The next request under the limit does not wait for it."""

    async def steps(store, here, there):
        await here.fetch()
        waiting = asyncio.create_task(here.fetch(max_age=0.5))
        await asyncio.sleep(0.1)
        async with AggregateClient([Till()], store=store) as unlimited:
            await unlimited.fetch()
        await waiting
        await asyncio.sleep(60)
        return (await here.fetch()).complete

    assert with_clients(steps, rate_limits={"till": RateLimit(1, per=5)}) == (True, [2, 0])


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_fetch_reads_the_providers_without_the_store(with_clients, fault):
    """Each time, and in time."""

    async def steps(store, here, there):
        await here.fetch(max_age=30)
        store.fault = fault
        loop = asyncio.get_running_loop()
        started = loop.time()
        results = [await here.fetch(max_age=30) for _ in range(3)]
        return [merged.amount("BTC") for merged in results], loop.time() - started

    (amounts, took), requests = with_clients(steps)

    assert (amounts, requests) == ([2, 3, 4], [4, 0])
    assert took <= 3 * (1.0 + 2 * 0.5)


def test_callers_at_the_same_time_share_a_request_without_the_store_too(with_clients):
    """An outage of the store is not passed on to the provider."""

    async def steps(store, here, there):
        store.fault = ConnectionError()
        results = await asyncio.gather(*(here.fetch(max_age=30) for _ in range(100)))
        return {merged.amount("BTC") for merged in results}

    assert with_clients(steps) == ({1}, [1, 0])


def test_a_read_from_before_an_invalidation_is_of_no_use_after_it_without_the_store(with_clients):
    """The rule holds within the process, whatever the store is doing."""

    async def steps(store, here, there):
        store.fault = ConnectionError()
        before = asyncio.create_task(here.fetch(max_age=30))
        await asyncio.sleep(0.5)
        await here.invalidate("till")
        after = await here.fetch(max_age=30)
        return [(await before).amount("BTC"), after.amount("BTC")]

    assert with_clients(steps) == ([1, 2], [2, 0])


def test_a_read_is_of_no_use_to_later_callers_if_the_store_refuses_to_look_up_its_account(with_clients):
    """Another client may have invalidated it since, of which this one learns nothing."""

    async def steps(store, here, there):
        store.refused["get"] = "full"
        amounts = [(await here.fetch(max_age=30)).amount("BTC")]
        await there.invalidate("till")
        amounts.append((await here.fetch(max_age=30)).amount("BTC"))
        return amounts

    assert with_clients(steps) == ([1, 2], [2, 0])


def test_an_invalidation_that_the_store_refuses_holds_in_its_own_client(with_clients):
    """The store still has the snapshot from before, which is not used."""

    async def steps(store, here, there):
        await here.fetch(max_age=30)
        store.refused["invalidate"] = "full"
        await here.invalidate("till")
        return (await here.fetch(max_age=30)).amount("BTC")

    assert with_clients(steps) == (2, [2, 0])


def test_an_invalidation_survives_the_event_loop(run_virtually):
    """One that could not be sent to the store in one `asyncio.run` is sent in the next."""
    till, client, store = Till(), None, None

    async def first():
        nonlocal client, store
        store = FlakyStore()
        client = AggregateClient([till], store=store)
        await client.fetch(max_age=30)
        # The lease is given back after the fetch.
        await asyncio.sleep(1)
        store.fault = ConnectionError()
        await client.invalidate("till")
        await till.session.close()

    async def second():
        store.fault = None
        async with client:
            await client.fetch(max_age=30)

    run_virtually(first())
    run_virtually(second())

    assert till.requests == 2


def test_a_response_that_came_in_time_is_not_lost_on_a_store_that_hangs(with_clients):
    """The caller has it before the store does."""

    async def steps(store, here, there):
        loop = asyncio.get_running_loop()
        started = loop.time()
        fetching = asyncio.create_task(here.fetch(max_age=30))
        await asyncio.sleep(0.5)
        store.fault = HANGS
        merged = await fetching
        return merged.complete, loop.time() - started

    (complete, took), _ = with_clients(steps, deadline=1.2)

    assert complete
    assert took == pytest.approx(1.0)


def test_a_store_that_is_slow_keeps_no_caller_beyond_the_deadline(with_clients):
    """The time that the store takes is part of the caller's."""

    async def steps(store, here, there):
        store.fault = HANGS
        loop = asyncio.get_running_loop()
        started = loop.time()
        merged = await here.fetch()
        return loop.time() - started, len(merged.failures)

    (took, failures), _ = with_clients(steps, deadline=0.2)

    assert (took, failures) == (pytest.approx(0.2), 1)


def test_a_client_that_is_closed_while_it_asks_the_store_reads_nothing(with_clients):
    """Its caller has an outcome at once, and no request is made after the end."""

    async def steps(store, here, there):
        store.fault = HANGS
        caller = asyncio.create_task(here.fetch())
        await asyncio.sleep(0.1)
        await here.aclose()
        return str((await caller).failures[0].error)

    error, requests = with_clients(steps)

    assert "the client was closed" in error
    assert requests == [0, 0]


class SlowStore(MemoryStore):
    """A store whose calls take a while once it is `slow`."""

    slow = 0.0

    async def get(self, keys):
        """Return what is known, later."""
        stored = await super().get(keys)
        await asyncio.sleep(self.slow)
        return stored

    async def invalidate(self, key):
        """Invalidate, later."""
        await asyncio.sleep(self.slow)
        await super().invalidate(key)


@pytest.fixture
def with_slow_store(run_virtually):
    """Run a test's steps with a client of two tills on a store that another client has filled."""

    def run(steps):
        async def main():
            store = SlowStore(clock=LoopClock())
            tills = {label: Till(label, takes=0.1, held=held) for label, held in (("a", "1"), ("b", "10"))}
            async with AggregateClient(tills.values(), store=store, clock=LoopClock()) as client:
                await client.fetch()
                await asyncio.sleep(0.1)
                return await steps(client, store, tills)

        return run_virtually(main())

    return run


def test_an_account_that_is_removed_during_a_lookup_is_in_no_result(with_slow_store):
    """What the store had of it is dropped, and the result says so."""

    async def steps(client, store, tills):
        store.slow = 0.3
        fetching = asyncio.create_task(client.fetch(max_age=60))
        await asyncio.sleep(0.1)
        await client.remove("a")
        merged = await fetching
        return merged.amount("BTC", partial=True), [failure.account for failure in merged.failures]

    assert with_slow_store(steps) == (10, ["a"])


def test_an_invalidation_whose_caller_does_not_wait_for_the_store_holds_all_the_same(with_slow_store):
    """A webhook's handler may be cancelled while the store hangs."""

    async def steps(client, store, tills):
        store.slow, tills["a"].held = 0.3, "2"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.invalidate("a"), 0.1)
        store.slow = 0.0
        return (await client.fetch(max_age=3600)).amount("BTC")

    assert with_slow_store(steps) == 12


def test_a_lookup_that_is_cut_off_by_the_deadline_confirms_nothing(with_slow_store):
    """Nobody knows whether another process has invalidated what this one holds, so it is asked for again."""

    async def steps(client, store, tills):
        await store.invalidate(client._core.book["a"].key)
        store.slow, tills["a"].held = 10.0, "2"
        merged = await client.fetch(max_age=3600, deadline=0.3)
        return [snapshot.account for snapshot in merged.accounts if not snapshot.stale]

    assert with_slow_store(steps) == []
