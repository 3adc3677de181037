"""Consumers of a stream that are slow, or never come back: they slow down their own reading, and nobody else's."""

import asyncio
import gc
from contextlib import aclosing

import pytest

from balancekit import AccountFailure, AggregateClient, ProviderTimeoutError, RateLimit
from tests.support.clock import LoopClock
from tests.support.providers import Bank, QuickTill

CONCURRENCY = 10
MOST_WAITING = 3 * CONCURRENCY
"""Twice as many outcomes as requests at a time may wait, and the requests that are under way may end then."""


def tills(count, *, origins=1, **settings):
    """Make many tills, at some origins."""
    made = [QuickTill(f"till-{number}", takes=0.01, **settings) for number in range(count)]
    for number, till in enumerate(made):
        till.provider = f"provider-{number % origins}"
    return made


def read(accounts):
    """Return how many requests were made for accounts."""
    return sum(till.requests for till in accounts)


@pytest.mark.parametrize("origins", [1, 1000])
def test_no_more_is_read_ahead_than_a_bound(with_client, origins):
    """However many accounts there are, only a bounded number of outcomes waits for the consumer."""
    accounts = tills(1000, origins=origins)

    async def steps(client, *_):
        taken, most = 0, 0
        async for _ in client.stream(deadline=300):
            taken += 1
            if taken < 500:
                await asyncio.sleep(0.1)
            most = max(most, read(accounts) - taken)
        return taken, most

    taken, most = with_client(steps, *accounts, concurrency=CONCURRENCY, deadline=300)

    assert taken == 1000
    assert most <= MOST_WAITING


def test_what_is_known_already_does_not_lift_the_bound(with_client):
    """A thousand fresh snapshots wait at once, since they are kept anyway; what is not known is not read meanwhile."""
    known, unknown = tills(100), [QuickTill(f"more-{number}", takes=0.01) for number in range(100)]

    async def steps(client, *_):
        await client.fetch([till.account for till in known])
        taken = 0
        async with aclosing(client.stream(max_age=3600)) as outcomes:
            async for _ in outcomes:
                taken += 1
                await asyncio.sleep(1)
                if taken == 50:
                    break
        return read(unknown)

    assert with_client(steps, *known, *unknown, concurrency=CONCURRENCY) == 0


def test_a_slow_consumer_keeps_nobody_else_waiting(with_client):
    """Another caller of the same origin, and of the same accounts, is served as if there were no other."""
    accounts = tills(200)

    async def steps(client, *_):
        loop = asyncio.get_running_loop()
        async with aclosing(client.stream(max_age=1)) as outcomes:
            await anext(outcomes)
            await asyncio.sleep(2)
            assert read(accounts) <= MOST_WAITING + 1
            started = loop.time()
            merged = await client.fetch(max_age=1)
            took = loop.time() - started
            rest = [outcome async for outcome in outcomes]
        return merged.complete, took, len(rest)

    complete, took, rest = with_client(steps, *accounts, concurrency=CONCURRENCY)

    assert (complete, rest) == (True, 199)
    assert took == pytest.approx(200 / CONCURRENCY * 0.01, abs=0.02)


def test_the_deadline_names_what_was_not_read(with_client):
    """A consumer that takes too long gets what has arrived, and a failure for each of the others."""
    accounts = tills(100)

    async def steps(client, *_):
        outcomes = []
        async for outcome in client.stream(deadline=5):
            outcomes.append(outcome)
            if len(outcomes) < 20:
                await asyncio.sleep(1)
        return outcomes

    outcomes = with_client(steps, *accounts, concurrency=CONCURRENCY)
    failures = [outcome for outcome in outcomes if isinstance(outcome, AccountFailure)]

    assert {outcome.account for outcome in outcomes} == {till.account for till in accounts}
    assert len(outcomes) == 100
    assert 100 - MOST_WAITING - 5 <= len(failures) < 100
    assert {type(failure.error) for failure in failures} == {ProviderTimeoutError}
    assert "no request sent before the deadline of 5 s" in str(failures[0].error)


def test_cancelling_a_consumer_while_reading_is_paused_ends_it(with_client):
    """Nothing more is read for it, and the next caller has all slots."""
    accounts = tills(100)

    async def steps(client, *_):
        async def consume():
            async with aclosing(client.stream()) as outcomes:
                async for _ in outcomes:
                    await asyncio.sleep(9e9)

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(2)
        consumer.cancel()
        await asyncio.wait([consumer])
        before = read(accounts)
        await asyncio.sleep(60)
        assert read(accounts) == before
        return (await client.fetch()).complete

    assert with_client(steps, *accounts, concurrency=CONCURRENCY)


def test_an_account_that_is_removed_while_reading_is_paused_is_not_read(with_client):
    """Its failure comes in its turn, also if there is no room for more outcomes."""
    accounts = tills(100)

    async def steps(client, *_):
        outcomes = []
        async for outcome in client.stream():
            outcomes.append(outcome)
            if len(outcomes) == 1:
                await asyncio.sleep(1)
                await client.remove("till-99")
        return (
            [one.account for one in outcomes if isinstance(one, AccountFailure)],
            len(outcomes),
            accounts[99].requests,
        )

    assert with_client(steps, *accounts, concurrency=CONCURRENCY) == (["till-99"], 100, 0)


def test_a_consumer_that_never_comes_back_holds_nothing_up(run_virtually):
    """Its deadline ends its reads, others are served, and the client closes."""
    accounts = tills(100)

    async def main():
        client = AggregateClient(accounts, concurrency=CONCURRENCY, deadline=5, clock=LoopClock())
        outcomes = client.stream()
        await anext(outcomes)
        await asyncio.sleep(3600)
        complete = (await client.fetch()).complete
        started = asyncio.get_running_loop().time()
        await client.aclose()
        took = asyncio.get_running_loop().time() - started
        await outcomes.aclose()
        return complete, took

    complete, took = run_virtually(main())

    assert complete
    assert took < 1


def test_a_stream_that_is_dropped_is_ended(run_virtually):
    """Leaving the loop early without closing the stream ends its reads as well."""
    accounts = tills(100)

    async def main():
        async with AggregateClient(accounts, concurrency=CONCURRENCY, clock=LoopClock()) as client:
            async for _ in client.stream():
                break
            gc.collect()
            await asyncio.sleep(1)
            before = read(accounts)
            await asyncio.sleep(60)
            return read(accounts) - before, before

    later, before = run_virtually(main())

    assert later == 0
    assert before <= MOST_WAITING


def test_failures_for_want_of_a_permit_are_given_at_once(with_client):
    """However many accounts there are, and whatever of them was queued before."""
    accounts = [Bank(f"bank-{number}") for number in range(300)]

    async def steps(client, *_):
        await client.fetch(["bank-0"])
        started = asyncio.get_running_loop().time()
        return [asyncio.get_running_loop().time() - started async for _ in client.stream()]

    limits = {"https://bank.example": RateLimit(1, per=100.0)}
    times = with_client(steps, *accounts, concurrency=10, rate_limits=limits)

    assert len(times) == 300
    assert max(times) < 1


def test_nothing_is_read_while_failures_wait_for_the_consumer(with_client):
    """What is queued while as many outcomes wait as may is read when there is room."""
    accounts = [Bank(f"bank-{number}") for number in range(300)]

    async def steps(client, *_):
        async with aclosing(client.stream()) as outcomes:
            await anext(outcomes)
            await asyncio.sleep(15)
            return sum(len(account.calls) for account in accounts)

    limits = {"https://bank.example": RateLimit(1, per=1.0)}
    assert with_client(steps, *accounts, concurrency=10, rate_limits=limits) <= MOST_WAITING
