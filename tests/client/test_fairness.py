"""Nobody waits behind another's backlog: origins, callers, retries and accounts. Time is virtual."""

import asyncio
import gc
from collections import Counter

import pytest

from balancekit import AccountBalances, RateLimit
from balancekit.client.flights import Waiter
from tests.support.providers import Scripted, outage

# Each origin may use a slot, so that there have to be a few more.
BESIDE = [(origins, concurrency) for origins in (1, 5, 30) for concurrency in (10, 100, 1000) if origins < concurrency]


def at(origin, label, *script):
    """Make an account at an origin of that name."""
    account = Scripted(label, *script)
    account.provider = origin
    return account


def hung_at(origins, number=300):
    """Make accounts that never respond, at so many origins."""
    return [at(f"hung{n % origins}", f"a{n}", *[9e9] * 9) for n in range(number)]


async def timed(call):
    """Return the result of a call, and how many seconds it took."""
    started = asyncio.get_running_loop().time()
    result = await call
    return result, asyncio.get_running_loop().time() - started


async def seconds_until_read(client, label):
    """Stream all accounts; return after how many seconds one was read."""
    started = asyncio.get_running_loop().time()
    async for outcome in client.stream():
        if outcome.account == label:
            assert isinstance(outcome, AccountBalances)
            return asyncio.get_running_loop().time() - started
    return None


@pytest.mark.parametrize(("origins", "concurrency"), BESIDE)
def test_a_healthy_origin_beside_300_accounts_that_hang_is_read_in_its_own_time(with_client, origins, concurrency):
    """In the same call, though it is the last of all."""
    took = with_client(
        lambda client, *_: seconds_until_read(client, "healthy"),
        *hung_at(origins),
        at("healthy", "healthy", 0.2),
        concurrency=concurrency,
    )

    assert took <= 0.2 * 1.2


@pytest.mark.parametrize(("origins", "concurrency"), BESIDE)
def test_another_caller_of_a_healthy_origin_does_not_wait_for_those_that_hang(with_client, origins, concurrency):
    """Whenever it comes."""

    async def steps(client, *_):
        job, took = asyncio.create_task(client.fetch()), []
        for _ in range(10):
            await asyncio.sleep(2.1)
            took.append((await timed(client.fetch(["healthy"])))[1])
        job.cancel()
        return took

    took = with_client(
        steps, *hung_at(origins), at("healthy", "healthy", *[0.2] * 99), concurrency=concurrency, timeout=1.0
    )

    assert max(took) <= 0.2 * 1.2


def test_accounts_that_hung_are_read_after_the_others_at_their_origin(with_client):
    """The second call reads the healthy one first, with as many slots as there are accounts that hang."""
    accounts = [*(at("bank", f"a{n}", *[9e9] * 9) for n in range(20)), at("bank", "healthy", 0.2, 0.2)]

    async def steps(client, *_):
        await client.fetch()
        return await seconds_until_read(client, "healthy")

    assert with_client(steps, *accounts, concurrency=10, timeout=2.0, deadline=5.0) <= 0.2 * 1.2


def test_one_account_does_not_wait_behind_a_caller_of_a_thousand(with_client):
    """A bot beside a nightly job waits for the next slot, and no longer."""
    accounts = [Scripted(f"a{n}", *[0.05] * 9) for n in range(1000)]

    async def steps(client, *_):
        job = asyncio.create_task(client.fetch())
        await asyncio.sleep(0.12)
        _, took = await timed(client.fetch(["a999"]))
        await job
        return took

    assert with_client(steps, *accounts, concurrency=10) <= 0.1 + 1e-6


def test_a_retry_does_not_wait_behind_a_backlog(with_client):
    """It comes after its delay, and the next slot that is free."""
    sent = []

    async def fail_once():
        sent.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.05)
        if len(sent) == 1:
            raise outage("once")
        return []

    accounts = [Scripted("once", fail_once, fail_once), *(Scripted(f"a{n}", 0.05) for n in range(800))]

    with_client(lambda client, *_: client.fetch(), *accounts, concurrency=10)

    assert sent[1] - sent[0] <= 0.05 + 0.1 + 0.05 + 1e-6


def read_in(with_client, rounds, accounts, one_round, **settings):
    """Return how often each account was asked in so many rounds."""

    async def steps(client, *_):
        for _ in range(rounds):
            await one_round(client)

    with_client(steps, *accounts, **settings)
    return Counter({account.account: account.calls for account in accounts})


async def fetch_and_wait(client):
    """Fetch, as a timer would."""
    await client.fetch()
    await asyncio.sleep(2.1)


async def by_all_means(client):
    """Fetch, stream and refresh a part at once, as a service would."""

    async def drain():
        async for _ in client.stream():
            pass

    await asyncio.gather(client.fetch(), drain(), client.fetch(["a1", "a0"], max_age=1), client.fetch(["a2"]))
    await asyncio.sleep(2.1)


@pytest.mark.parametrize("one_round", [fetch_and_wait, by_all_means])
def test_under_a_limit_every_account_is_read_as_often_as_the_others(with_client, one_round):
    """Not only the first in the list: the one that has waited longest is next, whatever call wants it."""
    accounts = [Scripted(f"a{n}", *[0.0] * 999) for n in range(10)]

    calls = read_in(
        with_client, 40, accounts, one_round, deadline=1.0, rate_limits={"scripted": RateLimit(3, per=2)}, attempts=1
    )

    assert min(calls.values()) >= max(calls.values()) * 2 / 3
    assert sum(calls.values()) >= 100


def test_a_watch_under_a_limit_has_its_turn(with_client):
    """Beside callers who want all accounts again and again."""
    accounts = [Scripted(f"a{n}", *[0.0] * 999) for n in range(10)]

    async def steps(client, *_):
        async def ask():
            while True:
                await client.fetch()
                await asyncio.sleep(0.5)

        asking = asyncio.create_task(ask())
        await asyncio.sleep(5)
        async with asyncio.timeout(15), client.watch(["a9"], max_age=0.0) as states:
            while not (merged := await anext(states)).complete:
                pass
        asking.cancel()
        return merged

    limits = {"scripted": RateLimit(3, per=2)}
    assert with_client(steps, *accounts, deadline=1.0, rate_limits=limits).complete


def test_under_a_limit_no_retry_goes_before_an_account_that_waits_for_its_first_request(with_client):
    """One that fails does not use up the permits that there are before the deadline."""
    bad, good = Scripted("bad", *[outage("bad")] * 99), Scripted("good", *[0.0] * 99)

    calls = read_in(
        with_client, 3, [bad, good], lambda client: client.fetch(), rate_limits={"scripted": RateLimit(1, per=12)}
    )

    assert calls["good"] == 3


def test_with_too_little_time_for_all_every_account_is_read_eventually(with_client):
    """Those that were not reached in one call come first in the next."""
    accounts = [Scripted(f"a{n}", *[1.0] * 99) for n in range(40)]

    calls = read_in(with_client, 5, accounts, lambda client: client.fetch(), concurrency=4, deadline=3.5)

    assert min(calls.values()) >= 1


def test_callers_that_come_and_go_leave_nothing(with_client):
    """Those that have what they wanted, that leave early, or that refresh in the background are forgotten."""
    accounts = [Scripted(f"a{n}", *[0.01] * 9999) for n in range(3)]

    async def steps(client, *_):
        for _ in range(200):
            await client.fetch(stale_while_revalidate=60)
            await asyncio.sleep(0.1)
            leaving = asyncio.create_task(client.fetch())
            await asyncio.sleep(0)
            leaving.cancel()
        await asyncio.sleep(1)
        return waiters()

    before = waiters()
    assert with_client(steps, *accounts, concurrency=1) < before + 20


def waiters():
    """Count the callers that this process has not forgotten, of whichever client."""
    gc.collect()
    return sum(isinstance(one, Waiter) for one in gc.get_objects())
