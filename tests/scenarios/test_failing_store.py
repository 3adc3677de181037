"""Two clients whose store fails, hangs or is slow: they read without it, and nobody waits for it. Time is virtual."""

import asyncio

import pytest

from balancekit import AggregateClient
from balancekit.stores import MemoryStore
from tests.support.clock import LoopClock
from tests.support.providers import Till
from tests.support.stores import FAULTS, HANGS, FlakyStore


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


def test_an_invalidation_holds_while_the_store_is_asked_to_take_it(with_clients):
    """Nobody is given the snapshot from before for as long as a store is slow."""

    async def steps(store, here, there):
        await here.fetch(max_age=30)
        store.fault = 0.4
        invalidating = asyncio.create_task(here.invalidate("till"))
        await asyncio.sleep(0)
        latest = here.latest()
        await invalidating
        return latest.accounts[0].stale

    assert with_clients(steps) == (True, [1, 0])


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
