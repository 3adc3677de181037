"""The second look after an event of a webhook: when it comes, what it costs, and how it ends. Time is virtual."""

import asyncio

import aiohttp
import pytest

from balancekit import AggregateClient
from tests.support.providers import QuickTill
from tests.support.stores import FlakyStore
from tests.support.virtual_time import VirtualLoop
from tests.support.watching import Seen


def settle(client, number=1):
    """Deliver an event after which balances may have changed."""
    return client.handle_webhook("till", {}, f"event-{number}".encode())


def test_a_watch_sees_what_is_booked_after_the_event(with_quick_till):
    """The account is read at once, and once more after five seconds; then not again."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        await settle(client)
        await asyncio.sleep(0.5)
        till.held = "9"
        await asyncio.sleep(5)
        soon = till.requests
        await asyncio.sleep(3600)
        return seen.amounts, soon, till.requests

    assert with_quick_till(steps) == ([1, 1, 9], 3, 3)


def test_a_fetch_sees_what_is_booked_after_the_event(with_quick_till):
    """What was read right after the event counts as fresh until the second look, and not for all of `max_age`."""

    async def steps(client, till):
        await settle(client)
        amounts = []
        for seconds in (0.5, 4, 1):
            amounts.append((await client.fetch(max_age=3600)).amount("BTC"))
            till.held = "9"
            await asyncio.sleep(seconds)
        amounts.append((await client.fetch(max_age=3600)).amount("BTC"))
        return amounts, till.requests

    assert with_quick_till(steps) == ([1, 1, 1, 9], 2)


def test_nothing_is_read_if_nobody_asks(with_quick_till):
    """The second look invalidates; it is a caller or a watch that reads."""

    async def steps(client, till):
        await settle(client)
        await asyncio.sleep(60)
        return till.requests

    assert with_quick_till(steps) == 0


@pytest.mark.parametrize("events", [1, 100])
def test_events_that_come_close_together_have_one_second_look(with_quick_till, events):
    """A hundred events cost one more request, as one does."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        for number in range(events):
            await settle(client, number)
        await asyncio.sleep(60)
        return len(seen.states), till.requests

    assert with_quick_till(steps) == (3, 3)


def test_the_last_event_has_all_of_the_delay(with_quick_till):
    """One that comes just before a second look moves it."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        await settle(client, 1)
        await asyncio.sleep(4)
        await settle(client, 2)
        await asyncio.sleep(4)
        till.held, before = "9", till.requests
        await asyncio.sleep(2)
        return seen.amounts, before, till.requests

    assert with_quick_till(steps) == ([1, 1, 1, 9], 3, 4)


def test_each_account_has_its_own_second_look(with_quick_till):
    """An event of one account does not move that of another."""

    async def steps(client, till, kiosk):
        seen = Seen(client)
        await asyncio.sleep(1)
        await settle(client)
        await asyncio.sleep(4)
        await client.handle_webhook("kiosk", {}, b"1")
        await asyncio.sleep(2)
        return len(seen.states), till.requests, kiosk.requests

    assert with_quick_till(steps, QuickTill(), QuickTill("kiosk")) == (4, 3, 2)


@pytest.mark.parametrize(("settle_delay", "requests"), [(0, 2), (0.5, 3), (30, 2), (3, 3)])
def test_the_delay_can_be_set(with_client, settle_delay, requests):
    """It is in seconds, and zero switches the second look off."""

    async def steps(client, till):
        Seen(client)
        await asyncio.sleep(1)
        await settle(client)
        await asyncio.sleep(4)
        return till.requests

    assert with_client(steps, QuickTill(), settle_delay=settle_delay) == requests


async def _deliver_pending(client):
    await client.handle_webhook("till", "pending", b"1")


async def _invalidate(client):
    await client.invalidate("till")


@pytest.mark.parametrize("act", [_deliver_pending, _invalidate])
def test_only_a_settled_event_has_a_second_look(with_quick_till, act):
    """A caller of `invalidate` knows that the balance has changed, and an event that is not settled says nothing."""

    async def steps(client, till):
        await client.fetch()
        await act(client)
        await client.fetch(max_age=3600)
        requests = till.requests
        await asyncio.sleep(60)
        await client.fetch(max_age=3600)
        return till.requests - requests

    assert with_quick_till(steps) == 0


def test_a_delay_of_zero_invalidates_once(run_virtually):
    """There is no second look, not even at once."""

    async def main():
        store = FlakyStore()
        async with AggregateClient([QuickTill()], store=store, settle_delay=0) as client:
            await settle(client)
            await asyncio.sleep(60)
        return store.calls.count("invalidate")

    assert run_virtually(main()) == 1


def test_a_client_that_is_closed_at_the_event_does_not_look_again(run_virtually):
    """It may be closed while the store notes the event."""

    async def main():
        store = FlakyStore()
        client = AggregateClient([QuickTill()], store=store)
        store.fault = 0.1
        delivery = asyncio.create_task(settle(client))
        await asyncio.sleep(0.15)
        await client.aclose()
        await delivery
        await asyncio.sleep(60)
        return store.calls.count("invalidate")

    assert run_virtually(main()) == 1


@pytest.mark.parametrize("seconds", [0, 5], ids=["before the second look", "during it"])
def test_closing_the_client_ends_it(run_virtually, seconds):
    """No timer and no task is left, and the store is not called again."""

    async def main():
        store, loop = FlakyStore(), asyncio.get_running_loop()
        client = AggregateClient([QuickTill()], store=store)
        await settle(client)
        store.fault = 0.2
        await asyncio.sleep(seconds)
        await client.aclose()
        tasks, started = asyncio.all_tasks() - {asyncio.current_task()}, loop.time()
        store.calls.clear()
        await asyncio.sleep(60)
        return tasks, loop.time() - started, store.calls

    assert run_virtually(main()) == (set(), 60, [])


def test_leaving_the_event_loop_ends_it(run_virtually):
    """A second look that one `asyncio.run` did not come to is dropped, and the next works as the first."""
    till = QuickTill()
    client = AggregateClient([till])

    async def first():
        await settle(client)
        await client.fetch()
        await till.session.close()

    async def second():
        async with client:
            await client.fetch(max_age=3600)
            await settle(client, 2)
            await client.fetch(max_age=3600)
            await asyncio.sleep(6)
            await client.fetch(max_age=3600)

    run_virtually(first())
    run_virtually(second())

    assert till.requests == 3


def test_a_loop_that_was_left_does_not_look_again():
    """It may run again while the client is in use in another."""
    till = QuickTill()

    async def first():
        session = aiohttp.ClientSession()
        client = AggregateClient([till], session=session)
        await settle(client)
        return client, session

    with asyncio.Runner(loop_factory=VirtualLoop) as left, asyncio.Runner(loop_factory=VirtualLoop) as used:
        client, session = left.run(first())
        used.run(client.fetch())
        left.run(asyncio.sleep(60))
        used.run(client.fetch(max_age=3600))
        used.run(client.aclose())
        left.run(session.close())

    assert till.requests == 1


def test_only_the_client_that_acted_on_an_event_looks_again(run_virtually):
    """All that share its store learn of it: two invalidations for an event, however many deliveries and clients."""

    async def main():
        store, tills = FlakyStore(), [QuickTill(), QuickTill()]
        here, there = (AggregateClient([till], store=store) for till in tills)
        async with here, there:
            seen = Seen(there)
            await asyncio.sleep(1)
            await settle(here)
            await asyncio.sleep(0.5)
            await settle(there)
            for till in tills:
                till.held = "9"
            await asyncio.sleep(60)
            return store.calls.count("invalidate"), seen.amounts, [till.requests for till in tills]

    assert run_virtually(main()) == (2, [1, 1, 9], [0, 3])


def test_a_store_that_is_down_learns_of_it_later(run_virtually):
    """A second look in an outage of the store is passed on when that is back, and nothing is raised."""

    async def main():
        store, problems = FlakyStore(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with AggregateClient([QuickTill()], store=store) as client:
            await settle(client)
            (before,) = await store.get(list(store._accounts))
            store.fault = ConnectionError()
            await asyncio.sleep(6)
            store.fault = None
            await asyncio.sleep(2)
            (after,) = await store.get(list(store._accounts))
        return before.version != after.version, problems

    assert run_virtually(main()) == (True, [])


def test_a_lent_session_that_is_closed_is_no_problem(run_virtually):
    """An invalidation needs no session."""

    async def main():
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with aiohttp.ClientSession() as session:
            client = AggregateClient([QuickTill()], session=session)
            await settle(client)
        await asyncio.sleep(60)
        await client.aclose()
        return problems

    assert run_virtually(main()) == []
