"""Two clients that share a store: what one reads serves both, and neither needs the store. Time is virtual."""

import asyncio
from datetime import UTC, datetime

import pytest

from balancekit import AccountBalances, AggregateClient, Clock, RateLimit, RetryPolicy
from balancekit.client.account_book import AccountBook
from balancekit.client.origins import Origins
from tests.support.clock import LoopClock
from tests.support.providers import Scripted, Till, outage
from tests.support.stores import HANGS, FlakyStore


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


def test_what_another_client_reads_between_two_attempts_is_as_old_as_the_store_says(run_virtually):
    """It is kept once, and may be shown for as long as it is young enough, whatever the clock of its reader says."""

    class HourBehind(LoopClock):
        def time(self):
            return super().time() - 3600

    async def main():
        store, down = FlakyStore(), outage("till", retry_after=20)
        scripted = Scripted("till", down, down)
        scripted.provider, scripted.fingerprint = "till", "till till"
        settings = {"store": store, "deadline": 60}
        async with (
            AggregateClient([scripted], clock=LoopClock(), **settings) as here,
            AggregateClient([Till()], clock=HourBehind(), **settings) as there,
        ):
            retried = asyncio.create_task(here.fetch(max_age=30))
            await asyncio.sleep(12)
            await there.fetch(max_age=30)
            complete = (await retried).complete
            failed = await here.fetch(stale_if_error=30, deadline=1)
        return complete, failed.complete, failed.amount("BTC", partial=True), store.calls.count("put"), scripted.calls

    assert run_virtually(main()) == (True, False, 1, 1, 2)


def test_a_limit_on_the_rate_holds_for_all_clients_together(with_clients):
    """Two replicas with a limit of three requests a minute make three in all."""

    async def steps(store, here, there):
        together = await asyncio.gather(*(client.fetch() for client in (here, there) * 3))
        return sum(merged.complete for merged in together)

    complete, requests = with_clients(steps, rate_limits={"till": RateLimit(3, per=60)}, deadline=5.0)

    assert (complete, sum(requests)) == (3, 3)


def test_a_failure_for_want_of_a_permit_names_the_deadline_of_the_call(with_clients):
    """Of a caller that waits five seconds it does not say that there is no permit within the client's thirty."""

    async def steps(store, here, there):
        await here.fetch()
        (failure,) = (await there.fetch(deadline=5)).failures
        return failure.error.message

    message, _ = with_clients(steps, rate_limits={"till": RateLimit(1, per=60)})

    assert message == "no permit before the deadline of 5 s under the limit of 1 in 60 s"


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


def test_a_retry_that_waits_for_another_client_leaves_its_permit_to_others_at_once(run_virtually):
    """It has sent no request with that, so that the next account under the limit need not wait for a minute."""

    async def main():
        store, loop = FlakyStore(), asyncio.get_running_loop()
        retried, other = Scripted("a", outage("a", retry_after=20)), Scripted("b")
        retried.fingerprint, other.fingerprint = "a", "b"
        key = AccountBook([retried], Origins(), Clock())["a"].key
        limits, retry = {"scripted": RateLimit(2, per=60)}, RetryPolicy(first=0, cap=0)
        settings = {"store": store, "deadline": 100, "rate_limits": limits, "retry": retry}
        async with AggregateClient([retried, other], clock=LoopClock(), **settings) as client:
            first = asyncio.create_task(client.fetch(["a"], max_age=30))
            await asyncio.sleep(19)
            await store.lease(key, "another client", seconds=10)
            store.fault = 0.3
            await asyncio.sleep(1.1)
            asked_at = loop.time()
            merged = await client.fetch(["b"])
            took = loop.time() - asked_at
            await first
        return merged.complete, took < 5

    assert run_virtually(main()) == (True, True)


def test_accounts_that_wait_for_a_permit_of_others_ask_for_it_once_a_second(with_clients):
    """While others have all permits, none that gets no permit makes the next one ask, and so on without an end."""

    async def steps(store, here, there):
        for number in range(4):
            await there.add(Till(f"till {number}"))
        for _ in range(5):
            await here.fetch()
        store.fault = 0.001
        asked_before = store.calls.count("acquire_permit")
        merged = await there.fetch()
        return merged.complete, store.calls.count("acquire_permit") - asked_before

    (complete, asked), _ = with_clients(steps, rate_limits={"till": RateLimit(5, per=10)})

    assert complete
    assert asked <= 5 * (10 + 2)
