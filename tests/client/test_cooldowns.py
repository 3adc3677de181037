"""What one call has learnt of an origin is used by the next: no request in its cooldown. Time is virtual."""

import asyncio
from itertools import pairwise

import pytest

from balancekit import NotReadError, RateLimitedError
from tests.support.providers import Bank, outage
from tests.support.shops import Shop, shops, since_first, too_many
from tests.support.watching import Seen

pytestmark = pytest.mark.filterwarnings("error")


async def complete_state(client):
    """Wait until a watch shows everything read."""
    async with client.watch() as states:
        while not (merged := await anext(states)).complete:
            pass
    return merged


CALLS = {
    "fetch": lambda client: client.fetch(),
    "fetch with max_age": lambda client: client.fetch(max_age=60),
    "fetch of another account": lambda client: client.fetch(["shop1"]),
    "fetch with stale_while_revalidate": lambda client: client.fetch(stale_while_revalidate=600),
    "stream": lambda client: drain(client.stream()),
    "stream with max_age": lambda client: drain(client.stream(max_age=60)),
}


async def drain(outcomes):
    """Take all outcomes."""
    return [outcome async for outcome in outcomes]


@pytest.mark.parametrize("name", CALLS)
def test_no_request_goes_to_an_origin_before_the_time_that_its_429_asked_for(with_client, name):
    """Whatever is called, for whichever account at the origin, and however often."""
    accounts = shops([too_many()], [])

    async def steps(client, *_):
        await client.fetch(["shop0"])
        for _ in range(12):
            await CALLS[name](client)
            await asyncio.sleep(5)

    with_client(steps, *accounts, deadline=2.0)

    assert not [moment for moment in since_first(accounts[0].sent) if 0 < moment < 60]


def test_a_watch_sends_no_request_during_a_cooldown(with_client):
    """It reads the account again when the cooldown is over, not before, invalidated or not."""
    accounts = shops([too_many()], [])

    async def steps(client, *_):
        watching = asyncio.create_task(complete_state(client))
        for _ in range(5):
            await asyncio.sleep(5)
            await client.invalidate("shop0")
            await client.invalidate("shop1")
        return await watching

    assert with_client(steps, *accounts).amount("BTC") == 2
    assert [moment for moment in since_first(accounts[0].sent) if 0 < moment < 60] == []


def test_retries_that_wait_already_wait_for_the_cooldown_too(with_client):
    """A 503 was to be repeated after a moment, when another account at the origin was sent a 429."""

    async def refuse_after_a_turn():
        await asyncio.sleep(0)
        raise too_many("shop1", 5.0)

    accounts = shops([outage("shop0")], [refuse_after_a_turn], [0.0])

    merged = with_client(lambda client, *_: client.fetch(), *accounts)

    assert merged.complete
    assert [round(moment) for moment in since_first(accounts[0].sent)] == [0, 0, 0, 5, 5]


def test_a_call_whose_deadline_lies_beyond_the_cooldown_waits_for_it(with_client):
    """It sends its request afterwards, and no caller fails who had the time."""
    accounts = shops([too_many(retry_after=5.0)], [])

    async def steps(client, *_):
        await client.fetch(["shop0"], deadline=1)
        return await client.fetch(["shop1"])

    assert with_client(steps, *accounts).complete
    assert since_first(accounts[0].sent)[1] == pytest.approx(5.0)


def test_a_call_that_cannot_wait_fails_at_once_with_the_seconds_that_are_left(with_client):
    """No request is sent, and no time is spent."""
    accounts = shops([too_many()], [])

    async def steps(client, *_):
        await client.fetch(["shop0"])
        await asyncio.sleep(20)
        started = asyncio.get_running_loop().time()
        merged = await client.fetch(["shop1"])
        return merged.failures[0].error, asyncio.get_running_loop().time() - started

    error, took = with_client(steps, *accounts)

    assert isinstance(error, RateLimitedError)
    assert (error.retry_after, took) == (pytest.approx(40), 0)


def test_calls_that_wait_for_a_slot_when_the_429_comes_fail_at_once(with_client):
    """The other forty-nine accounts are neither sent a request nor kept waiting for their deadline."""
    accounts = shops([too_many()], *[[]] * 49)

    async def steps(client, *_):
        started = asyncio.get_running_loop().time()
        merged = await client.fetch()
        return merged.failures, asyncio.get_running_loop().time() - started

    failures, took = with_client(steps, *accounts, concurrency=1)

    assert (len(accounts[0].sent), took) == (1, 0)
    assert {failure.error.retry_after for failure in failures} == {60}


def test_calls_that_wait_to_try_again_when_the_429_comes_fail_at_once(with_client):
    """A retry that the deadline does not allow any more is not waited for."""

    async def refuse_after_a_moment():
        await asyncio.sleep(1)
        raise too_many("shop1")

    accounts = shops([outage("shop0", retry_after=20.0)], [refuse_after_a_moment])

    async def steps(client, *_):
        started = asyncio.get_running_loop().time()
        merged = await client.fetch()
        return merged.failures, asyncio.get_running_loop().time() - started

    failures, took = with_client(steps, *accounts)

    assert took == pytest.approx(1)
    assert [type(failure.error) for failure in failures] == [RateLimitedError] * 2


def test_a_429_that_does_not_say_when_doubles_up_to_a_minute(with_client):
    """One second at first; and again one second after a success."""
    accounts = shops([too_many(retry_after=None)] * 9 + [0.0, too_many(retry_after=None)])

    async def steps(client, *_):
        while accounts[0].script:
            await client.fetch(deadline=100)
        await client.fetch()

    with_client(steps, *accounts, attempts=1, deadline=100.0)

    sent = accounts[0].sent
    gaps = [round(later - earlier) for earlier, later in pairwise(sent)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60, 0, 1]


@pytest.mark.parametrize("retry_after", [0.0, -5.0, float("nan")])
def test_a_429_that_asks_for_no_wait_is_as_one_that_does_not_say_when(with_client, retry_after):
    """It is never repeated at once."""
    accounts = shops([too_many(retry_after=retry_after)] * 3)

    with_client(lambda client, *_: client.fetch(), *accounts, attempts=3)

    assert [int(moment) for moment in since_first(accounts[0].sent)] == [0, 1, 3]


def test_refusals_of_requests_that_were_sent_together_are_one(with_client):
    """Ten accounts that are sent a 429 at the same time do not double the cooldown ten times."""
    accounts = shops(*[[too_many(retry_after=None)]] * 10)

    async def steps(client, *_):
        await client.fetch(deadline=0.5)
        return (await client.fetch(deadline=0.5)).failures[0].error.retry_after

    assert with_client(steps, *accounts) == pytest.approx(1.0)


def test_a_longer_cooldown_is_not_shortened(with_client):
    """A 429 with a short wait, which arrives later, does not end a longer one."""

    async def refuse_late():
        await asyncio.sleep(1)
        raise too_many("shop1", 2.0)

    accounts = shops([too_many()], [refuse_late])

    async def steps(client, *_):
        await client.fetch()
        return client.status()["shop0"].next_attempt - client.status()["shop0"].last_failure

    assert with_client(steps, *accounts).total_seconds() == pytest.approx(60)


def test_an_origin_in_a_cooldown_delays_no_other(with_client):
    """Accounts elsewhere are read in their own time."""
    limited, free = Shop("limited", too_many()), Bank("free", takes=0.1)
    limited.sent = []

    async def steps(client, *_):
        await client.fetch(["limited"])
        started = asyncio.get_running_loop().time()
        merged = await client.fetch()
        return merged, asyncio.get_running_loop().time() - started

    merged, took = with_client(steps, limited, free)

    assert [snapshot.account for snapshot in merged.accounts] == ["free"]
    assert took == pytest.approx(0.1)


def test_an_account_that_was_not_asked_could_not_be_read(with_client):
    """Its last read has failed, though no request was sent: it is down, and what was read before is stale."""
    accounts = shops([], [too_many()])

    async def steps(client, *_):
        await client.fetch(["shop0"])
        await client.fetch(["shop1"])
        before = client.latest(["shop0"]).complete
        await client.fetch(["shop0"])
        merged, status = client.latest(["shop0"]), client.status()["shop0"]
        stale = [snapshot.stale for snapshot in merged.accounts]
        return before, merged.complete, stale, type(merged.failures[0].error), status.up, type(status.error)

    assert with_client(steps, *accounts) == (True, False, [True], RateLimitedError, False, RateLimitedError)


def test_an_account_that_was_queued_when_the_429_came_could_not_be_read(with_client):
    """As one that is asked for later."""
    accounts = shops([too_many()], [])

    async def steps(client, *_):
        await client.fetch()
        return [type(failure.error) for failure in client.latest().failures]

    assert with_client(steps, *accounts, concurrency=1) == [RateLimitedError] * 2


def test_a_watch_shows_an_account_that_was_not_asked_until_it_is_read_again(with_client):
    """It is read as soon as the cooldown is over."""
    accounts = shops([], [too_many()])

    async def steps(client, *_):
        seen = Seen(client, "shop0")
        await asyncio.sleep(1)
        await client.fetch(["shop1"])
        await client.fetch(["shop0"])
        await asyncio.sleep(80)
        return [merged.complete for merged in seen.states]

    assert with_client(steps, *accounts) == [True, False, True]


def test_an_account_whose_response_is_on_its_way_does_not_fail_for_others(with_client):
    """A caller who cannot wait for the end of the cooldown is told so; a watch shows the response."""

    class Slow(Shop):
        async def fetch_balances(self, session):
            await asyncio.sleep(5)
            return await super().fetch_balances(session)

    _, limited = shops([], [too_many()])
    slow = Slow("shop0")
    slow.sent = limited.sent

    async def steps(client, *_):
        reading = asyncio.create_task(client.fetch(["shop0"]))
        await asyncio.sleep(1)
        await client.fetch(["shop1"])
        (failure,) = (await client.fetch(["shop0"], deadline=1)).failures
        failures = [type(one.error) for one in client.latest(["shop0"]).failures]
        return type(failure.error), failures, (await reading).complete

    assert with_client(steps, slow, limited) == (RateLimitedError, [NotReadError], True)
