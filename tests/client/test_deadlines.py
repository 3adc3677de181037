"""The deadline of one call ends whatever it waits for, and nobody else's. Time is virtual."""

import asyncio
import math

import pytest

from balancekit import (
    AggregateClient,
    ConfigError,
    ProviderTimeoutError,
    RateLimit,
    RateLimitedError,
)
from balancekit.stores import MemoryStore
from tests.support.clock import LoopClock
from tests.support.providers import Bank, Scripted, outage
from tests.support.stores import FlakyStore


async def timed_fetch(client, *args, **options):
    """Fetch; return the result and how many seconds it took."""
    started = asyncio.get_running_loop().time()
    merged = await client.fetch(*args, **options)
    return merged, asyncio.get_running_loop().time() - started


def test_what_has_arrived_is_returned_and_what_has_not_is_named(with_client):
    """A chat that answers within three seconds shows the accounts that were read by then."""
    quick, slow = Scripted("quick", 0.1), Scripted("slow", 9.0)

    merged, took = with_client(lambda client, *_: timed_fetch(client, deadline=3), quick, slow)

    assert took == pytest.approx(3)
    assert [snapshot.account for snapshot in merged.accounts] == ["quick"]
    assert [failure.account for failure in merged.failures] == ["slow"]
    assert "no response before the deadline of 3 s" in str(merged.failures[0].error)


def test_a_stream_ends_at_its_deadline(with_client):
    """Each account has an outcome, the last of them then."""
    quick, slow = Scripted("quick", 0.1), Scripted("slow", 9.0)

    async def steps(client, *_):
        started = asyncio.get_running_loop().time()
        outcomes = [(outcome.account, type(outcome).__name__) async for outcome in client.stream(deadline=3)]
        return outcomes, asyncio.get_running_loop().time() - started

    outcomes, took = with_client(steps, quick, slow)

    assert took == pytest.approx(3)
    assert outcomes == [("quick", "AccountBalances"), ("slow", "AccountFailure")]


def test_a_request_goes_on_for_the_callers_to_come(with_client):
    """One that was sent for a call with a short deadline is what the next one is given."""
    slow = Scripted("slow", 5.0)

    async def steps(client, _):
        await client.fetch(deadline=0.5)
        merged, took = await timed_fetch(client, max_age=60)
        return merged.complete, took

    assert with_client(steps, slow) == (True, pytest.approx(4.5))
    assert slow.calls == 1


def test_an_account_that_hangs_uses_one_slot_however_many_calls_leave_it(with_client):
    """Of its requests that outlive their calls one goes on, so that the other accounts get their turn."""
    hung, healthy = Scripted("hung", *[9e9] * 50), Scripted("healthy")

    async def steps(client, *_):
        for _ in range(25):
            await client.fetch(["hung"], deadline=0.1)
        return hung.running.now, (await client.fetch(["healthy"], deadline=1)).complete

    assert with_client(steps, hung, healthy, concurrency=20, timeout=60, deadline=60) == (1, True)


def test_an_account_that_is_slow_is_read_although_each_call_leaves_early(with_client):
    """The request that goes on is the first, so that one comes to its end."""
    slow = Scripted("slow", *[1.0] * 50)

    async def steps(client, _):
        for _ in range(12):
            await client.fetch(deadline=0.1)
        return client.latest().complete

    assert with_client(steps, slow)


def test_a_request_that_outlives_a_stream_keeps_no_snapshot(with_client):
    """What a stream without ages reads is not kept, at its deadline as before."""
    slow = Scripted("slow", 1.0)

    async def steps(client, _):
        async for _ in client.stream(deadline=0.5):
            pass
        await asyncio.sleep(1)
        return client.status()["slow"].up, client.latest().accounts

    assert with_client(steps, slow) == (True, ())


def test_no_account_that_is_queued_is_begun_at_the_deadline(with_client):
    """What ends there gives its slots to others, not to the accounts that end next."""
    tasks = []

    async def hang():
        try:
            await asyncio.sleep(9e9)
        finally:
            tasks.append(len(asyncio.all_tasks()))

    accounts = [Scripted(f"hung-{number}", hang) for number in range(200)]

    with_client(lambda client, *_: client.fetch(), *accounts, concurrency=5, timeout=9.0, deadline=1.0)

    assert max(tasks) < 20


def test_a_request_ends_with_the_deadline_of_the_client(with_client):
    """Nobody's request goes on for longer than that, even if nobody waits for it."""
    slow = Scripted("slow", *[9e9] * 9)

    async def steps(client, _):
        await client.fetch(deadline=0.5)
        await asyncio.sleep(30)
        return client.status()["slow"]

    status = with_client(steps, slow, timeout=9.0, deadline=20.0)

    assert status.up is False
    assert slow.calls <= 3


def test_a_call_that_was_cut_short_says_nothing_of_an_account_that_responds_in_time(with_client):
    """A deadline of a tenth of a second does not put it down."""
    slow = Scripted("slow", 0.5)

    async def steps(client, _):
        await client.fetch(deadline=0.1)
        early = client.status()["slow"].up
        await asyncio.sleep(1)
        return early, client.status()["slow"].up

    assert with_client(steps, slow) == (None, True)


def test_a_call_of_a_second_puts_down_an_account_that_hangs(with_client):
    """Although its request is sent a moment after the call begins: it waits for its turn."""
    quick, hung = Scripted("quick", 0.1), Scripted("hung", 9e9)

    async def steps(client, *_):
        await client.fetch(["quick", "hung"], deadline=1)
        return client.status()["hung"].up

    assert with_client(steps, quick, hung, concurrency=1, timeout=60.0, deadline=60.0) is False


def test_waiting_for_a_request_of_another_call_ends_at_ones_own_deadline(with_client):
    """The other call goes on."""
    slow = Scripted("slow", 5.0)

    async def steps(client, _):
        first = asyncio.create_task(client.fetch(max_age=60))
        await asyncio.sleep(0.1)
        second, took = await timed_fetch(client, max_age=60, deadline=1)
        return second.complete, took, (await first).complete

    assert with_client(steps, slow) == (False, pytest.approx(1), True)
    assert slow.calls == 1


def test_waiting_for_a_slot_ends_at_the_deadline(with_client):
    """The account is named, and no request is sent for it."""
    busy, waiting = Scripted("busy", 9.0), Scripted("waiting")

    async def steps(client, *_):
        first = asyncio.create_task(client.fetch(["busy"]))
        await asyncio.sleep(0.1)
        merged, took = await timed_fetch(client, ["waiting"], deadline=1)
        await first
        return merged.failures[0].error, took

    error, took = with_client(steps, busy, waiting, concurrency=1)

    assert took == pytest.approx(1)
    assert isinstance(error, ProviderTimeoutError)
    assert "no request sent before the deadline of 1 s" in str(error)
    assert waiting.calls == 0


def test_a_permit_that_would_come_too_late_is_not_waited_for(with_client):
    """The call fails at once, with the time after which it is worth trying again."""
    accounts = [Scripted("first"), Scripted("second")]

    async def steps(client, *_):
        await client.fetch(["first"])
        merged, took = await timed_fetch(client, ["second"], deadline=5)
        return merged.failures[0].error, took

    error, took = with_client(steps, *accounts, rate_limits={"scripted": RateLimit(1, per=60)})

    assert isinstance(error, RateLimitedError)
    assert (took, error.retry_after) == (0, pytest.approx(60, abs=1))


class Known(Scripted):
    """A scripted provider that replicas recognize as one account."""

    fingerprint = "the same everywhere"


def test_waiting_for_a_lease_ends_at_the_deadline(run_virtually):
    """Another process reads the account, for longer than this call may take."""

    async def main():
        store = MemoryStore(clock=LoopClock())
        async with (
            AggregateClient([Known("shop", 9.0)], store=store, clock=LoopClock()) as there,
            AggregateClient([Known("shop")], store=store, clock=LoopClock()) as here,
        ):
            reading = asyncio.create_task(there.fetch(max_age=60))
            await asyncio.sleep(0.1)
            merged, took = await timed_fetch(here, max_age=60, deadline=2)
            await reading
        return str(merged.failures[0].error), took

    error, took = run_virtually(main())

    assert took == pytest.approx(2)
    assert "another process has not read it before the deadline of 2 s" in error


@pytest.mark.parametrize("max_age", [0, 60])
def test_waiting_for_the_store_ends_at_the_deadline(run_virtually, max_age):
    """However slow it is, and what was known before is kept."""

    async def main():
        store = FlakyStore()
        async with AggregateClient([Known("shop")], store=store, clock=LoopClock()) as client:
            await client.fetch(max_age=60)
            store.fault = 0.4
            _, took = await timed_fetch(client, max_age=max_age, deadline=0.1)
            store.fault = None
            return took, client.latest().accounts[0].stale, client.latest().amount("BTC")

    took, _, amount = run_virtually(main())

    assert took == pytest.approx(0.1, abs=0.06)
    assert amount == 1


def test_a_deadline_that_has_passed_before_the_store_answers_makes_nothing_stale(run_virtually):
    """The last snapshot is as valid as it was."""

    async def main():
        store = FlakyStore()
        async with AggregateClient([Known("shop")], store=store, clock=LoopClock()) as client:
            await client.fetch(max_age=60)
            store.fault = 0.4
            await client.fetch(max_age=60, deadline=0.1)
            return client.latest().complete

    assert run_virtually(main())


@pytest.mark.parametrize("deadline", [0, -1, math.nan, math.inf, True, "3", [3], 10**400], ids=repr)
def test_a_deadline_that_is_none_is_rejected(with_client, deadline):
    """Before anything is sent; by `stream` at the call."""
    shop = Scripted("shop")

    async def steps(client, _):
        with pytest.raises(ConfigError, match="deadline: expected seconds above zero"):
            await client.fetch(deadline=deadline)
        with pytest.raises(ConfigError, match="deadline: expected seconds above zero"):
            client.stream(deadline=deadline)

    with_client(steps, shop)

    assert shop.calls == 0


def test_a_deadline_is_never_more_than_the_clients(with_client):
    """The client's is the longest."""
    hung = Scripted("hung", 9e9, 9e9)

    merged, took = with_client(lambda client, _: timed_fetch(client, deadline=600), hung, deadline=5.0)

    assert took == pytest.approx(5)
    assert "the deadline of 5 s" in str(merged.failures[0].error)


def test_one_slow_account_delays_no_other_call(with_client):
    """Calls for other accounts take their own time."""
    slow, quick = Scripted("slow", 9.0), Bank("quick", takes=0.1)

    async def steps(client, *_):
        first = asyncio.create_task(client.fetch(["slow"]))
        _, took = await timed_fetch(client, ["quick"], deadline=3)
        await first
        return took

    assert with_client(steps, slow, quick) == pytest.approx(0.1)


def test_a_failure_is_as_old_as_its_response_when_a_retry_waits_for_another_caller(with_client):
    """A deadline that passes in a retry's delay makes what was responded before that no younger."""

    async def steps(client, shop):
        patient = asyncio.create_task(client.fetch(max_age=1))
        await client.fetch(max_age=1, deadline=5)
        status = client.status()["shop"]
        await patient
        return status.error.message

    shop = Scripted("shop", outage("shop", retry_after=20))

    assert with_client(steps, shop) == "503 (5 s ago)"
