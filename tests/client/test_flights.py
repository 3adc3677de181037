"""One request for all callers who want the same account at the same time. Time is virtual."""

import asyncio

import pytest

from balancekit.client import flights as flights_module
from balancekit.client.account_book import AccountBook
from balancekit.client.account_state import Moment
from balancekit.client.flights import CallOptions, Flights, Waiter
from balancekit.client.origins import Origins
from balancekit.clock import Clock
from tests.support.providers import Till


def test_callers_at_the_same_time_share_one_request(with_client):
    """Ten thousand callers of three accounts make three requests, and are given one and the same result."""

    async def steps(client, *tills):
        results = await asyncio.gather(*(client.fetch(max_age=5) for _ in range(10_000)))
        return [till.requests for till in tills], len({id(merged) for merged in results})

    assert with_client(steps, Till("a"), Till("b"), Till("c")) == ([1, 1, 1], 1)


def test_a_caller_joins_a_request_that_is_young_enough(with_client):
    """A request that was sent a second ago will do for a caller who takes what is five seconds old, and no less."""

    async def steps(client, till):
        first = asyncio.create_task(client.fetch())
        await asyncio.sleep(1)
        results = await asyncio.gather(client.fetch(max_age=5), client.fetch(max_age=0.5), first)
        return till.requests, [merged.amount("BTC") for merged in results]

    assert with_client(steps, Till(takes=3)) == (2, [1, 2, 1])


def test_cancelling_one_caller_cancels_nobody_else(with_client):
    """A request that somebody else waits for goes on, even if the one who began it has left."""

    async def steps(client, till):
        first, second = (asyncio.create_task(client.fetch(max_age=5)) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        merged = await second
        return till.requests, merged.complete, first.cancelled()

    assert with_client(steps) == (1, True, True)


def test_the_last_caller_to_leave_cancels_the_request(with_client):
    """A request that nobody waits for is ended."""

    async def steps(client, till):
        callers = [asyncio.create_task(client.fetch(max_age=5)) for _ in range(3)]
        await asyncio.sleep(0.5)
        for caller in callers[:2]:
            caller.cancel()
        await asyncio.sleep(0.1)
        going_on = till.ended
        callers[2].cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        return going_on, till.ended

    assert with_client(steps) == (0, 1)


def test_each_caller_has_its_own_deadline(with_client):
    """A caller that joins late is not cut off at the deadline of the first."""

    async def steps(client, till):
        first = asyncio.create_task(client.fetch(max_age=60))
        await asyncio.sleep(4)
        second = await client.fetch(max_age=60)
        return till.requests, (await first).complete, second.complete

    assert with_client(steps, Till(takes=7), deadline=5.0) == (1, False, True)


def test_a_request_from_before_an_invalidation_serves_nobody_who_came_after_it(with_client):
    """What was asked before the change may not show it; those who asked before the change may have it all the same."""

    async def steps(client, till):
        before = asyncio.create_task(client.fetch(max_age=60))
        await asyncio.sleep(0.5)
        await client.invalidate("till")
        after = await client.fetch(max_age=60)
        later = await client.fetch(max_age=60)
        return till.requests, [merged.amount("BTC") for merged in (await before, after, later)]

    assert with_client(steps) == (2, [1, 2, 2])


def test_a_failure_is_shared_and_remembered(with_client):
    """Who waits for a request shares its failure; who comes within a second is given it again, without a request."""

    async def steps(client, till):
        till.broken = True
        together = await asyncio.gather(client.fetch(max_age=5), client.fetch(max_age=5))
        till.broken = False
        after = await client.fetch(max_age=5)
        await asyncio.sleep(1.5)
        later = await client.fetch(max_age=5)
        return till.requests, [merged.complete for merged in (*together, after, later)]

    assert with_client(steps) == (2, [False, False, False, True])


def moment():
    """Return this moment."""
    return Moment.of(Clock())


def flight_of(*waiters):
    """Begin a flight that some callers wait for."""
    (account,) = AccountBook([Till()], Origins(), Clock()).values()
    flights = Flights()
    for one in waiters:
        flights.enqueue(one, account, "0")
    return flights, account, flights.begin(waiters[0], account)


def waiter(*, deadline=30.0, store_result=True, max_age=60.0):
    """Make a caller."""
    options = CallOptions(max_age=max_age, deadline=deadline, store_result=store_result)
    return Waiter(1, options, Clock(), expire=lambda _: None, on_change=lambda _: None)


def test_a_flight_goes_on_until_the_last_deadline(run_virtually):
    """A caller with little time takes none away from another."""

    async def main():
        _, _, flight = flight_of(waiter(deadline=5.0), waiter(deadline=30.0), waiter(deadline=10.0))
        return flight.ends_at - asyncio.get_running_loop().time()

    assert run_virtually(main()) == 30.0


@pytest.mark.parametrize("first", [True, False])
def test_a_result_is_kept_if_any_caller_keeps_it(run_virtually, first):
    """Whether that caller began the flight or joined it."""

    async def main():
        _, _, flight = flight_of(waiter(store_result=first), waiter(store_result=not first))
        return flight.store_result

    assert run_virtually(main())


def test_forgetting_a_flight_leaves_a_later_one(run_virtually):
    """One that was overtaken by an invalidation ends without taking its successor with it."""

    async def main():
        flights, account, overtaken = flight_of(waiter())
        later = waiter()
        flights.enqueue(later, account, "1")
        successor = flights.begin(later, account)
        flights.forget(overtaken)
        return successor is not None, flights.join(waiter(), account, "1", moment())

    assert run_virtually(main()) == (True, True)


def test_a_caller_that_could_not_be_made_leaves_no_timer(run_virtually, monkeypatch):
    """Tools that observe a fetch may raise."""

    def fail(accounts):
        raise RuntimeError("a processor of spans")

    monkeypatch.setattr(flights_module, "FetchSpan", fail)
    expired = []

    async def main():
        with pytest.raises(RuntimeError, match="a processor of spans"):
            Waiter(1, CallOptions(max_age=0.0, deadline=1.0), Clock(), expire=expired.append, on_change=print)
        await asyncio.sleep(5)

    run_virtually(main())

    assert expired == []
