"""Replicas with one store: what one has failed with, the others know. Time is virtual but for the last tests."""

import asyncio
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from balancekit import AggregateClient, AuthenticationError, ProviderError, RateLimitedError, SnapshotStore
from balancekit.client.accounts import Account
from balancekit.client.origins import Origin
from balancekit.client.shared_failures import read_failure, write_failure
from balancekit.stores import FailureStore, MemoryStore, RedisStore
from tests.support.clock import LoopClock
from tests.support.providers import Scripted, Till, outage


class Known(Scripted):
    """A scripted provider that replicas recognize as one account."""

    fingerprint = "the same everywhere"


def refused(account="shop", retry_after=60.0):
    """Make the error of a 429."""
    return RateLimitedError("429", account=account, provider="scripted", status=429, retry_after=retry_after)


@pytest.fixture
def with_replicas(run_virtually):
    """Run a test's steps with clients that share a store, each with a provider of its own for the same account."""

    def run(steps, *providers, make_store=lambda: MemoryStore(clock=LoopClock()), **settings):
        async def main():
            store = make_store()
            async with AsyncExitStack() as stack:
                clients = [
                    await stack.enter_async_context(
                        AggregateClient([provider], store=store, clock=LoopClock(), **{"attempts": 1} | settings)
                    )
                    for provider in providers
                ]
                return await steps(*clients)

        return run_virtually(main())

    return run


def test_a_replica_is_given_the_failure_that_another_has_met(with_replicas):
    """Without a request of its own, and with the failure's age."""
    first, second = Known("shop", outage("shop", code="maintenance", hint="Wait")), Known("shop")

    async def steps(one, two):
        await one.fetch(max_age=60)
        await asyncio.sleep(0.6)
        return (await two.fetch(max_age=60)).failures[0].error, two.status()["shop"]

    error, status = with_replicas(steps, first, second)

    assert second.calls == 0
    assert (type(error).__name__, error.status, error.code, error.retryable) == (
        "ServiceUnavailableError", 503, "maintenance", True,
    )  # fmt: skip
    assert str(error) == "shop (scripted): 503 (1 s ago). Wait"
    assert 0.3 < error.retry_after < 0.7
    assert (status.up, status.next_attempt is None) == (False, False)


@pytest.mark.parametrize("max_age", [0, 60])
def test_no_replica_sends_a_request_during_a_429(with_replicas, max_age):
    """Each knows how many seconds are left."""
    first, second = Known("shop", refused()), Known("shop")

    async def steps(one, two):
        await one.fetch()
        await asyncio.sleep(20)
        error = (await two.fetch(max_age=max_age)).failures[0].error
        await asyncio.sleep(41)
        return error, await two.fetch(max_age=max_age)

    error, merged = with_replicas(steps, first, second)

    assert isinstance(error, RateLimitedError)
    assert error.retry_after == pytest.approx(40, abs=0.1)
    assert merged.complete
    assert second.calls == 1


@pytest.mark.parametrize("max_age", [0, 60])
def test_a_replica_that_is_trying_again_stops_when_another_is_refused(with_replicas, max_age):
    """Its next attempt would come during the cooldown."""
    first, second = Known("shop", refused()), Known("shop", outage("shop", retry_after=5.0))

    async def steps(one, two):
        trying = asyncio.create_task(two.fetch(max_age=max_age))
        await asyncio.sleep(3)
        await one.fetch()
        return (await trying).failures[0].error

    assert isinstance(with_replicas(steps, first, second, attempts=3), RateLimitedError)
    assert second.calls == 1


@pytest.mark.parametrize("end", ["success", "invalidation"])
def test_what_ends_a_cooldown_ends_it_for_all(with_replicas, end):
    """Another replica has read the account since, or its balances may have changed."""
    first, second = Known("shop", outage("shop", retry_after=50.0)), Known("shop")

    async def steps(one, two):
        await one.fetch(max_age=60)
        await two.fetch(max_age=60)
        if end == "success":
            await one.fetch()
        else:
            await one.invalidate("shop")
        await asyncio.sleep(0)
        return await two.fetch(max_age=60)

    assert with_replicas(steps, first, second).complete
    assert (first.calls, second.calls) == ((2, 0) if end == "success" else (1, 1))


def test_a_replica_that_waits_for_another_fails_with_it(with_replicas):
    """It does not send a request of its own when the other gives up its lease."""

    async def fail_slowly():
        await asyncio.sleep(2)
        raise outage("shop")

    first, second = Known("shop", fail_slowly), Known("shop")

    async def steps(one, two):
        results = await asyncio.gather(one.fetch(max_age=60), two.fetch(max_age=60))
        return [merged.failures[0].error.status for merged in results]

    assert with_replicas(steps, first, second) == [503, 503]
    assert second.calls == 0


def test_replicas_double_the_cooldown_together(with_replicas):
    """Two replicas with a caller each send no more requests than one would."""
    broken = [Known("shop", *[outage("shop")] * 999) for _ in range(2)]

    async def steps(*clients):
        for _ in range(1200):
            await asyncio.gather(*(client.fetch(max_age=1) for client in clients))
            await asyncio.sleep(0.1)

    with_replicas(steps, *broken)

    # After 0, 1, 3, 7, 15, 31 and 63 seconds, and a little more each time.
    assert sum(account.calls for account in broken) <= 8


def test_a_rejected_key_is_tried_by_one_replica_alone(with_replicas):
    """For a minute no other tries it."""
    rejected = AuthenticationError("401", account="shop", provider="scripted", status=401)
    first, second = Known("shop", rejected), Known("shop")

    async def steps(one, two):
        await one.fetch(max_age=60)
        for _ in range(59):
            assert not (await two.fetch(max_age=60)).complete
            await asyncio.sleep(1)

    with_replicas(steps, first, second)

    assert second.calls == 0


class OldStore(MemoryStore):
    """A store of a third party, which knows nothing of failures."""

    put_failure = None

    def __init__(self):
        super().__init__(clock=LoopClock())


def test_a_store_that_does_not_share_failures_works_as_before(with_replicas):
    """Each replica finds out for itself."""
    store = OldStore()
    assert isinstance(store, SnapshotStore)
    assert not isinstance(store, FailureStore)
    first, second = Known("shop", outage("shop")), Known("shop")

    async def steps(one, two):
        return await one.fetch(max_age=60), await two.fetch(max_age=60)

    failed, read = with_replicas(steps, first, second, make_store=OldStore)

    assert (failed.complete, read.complete) == (False, True)


def account(label="shop"):
    """Make an account."""
    return Account(label, "scripted", Scripted(label), Origin("scripted"))


@pytest.mark.parametrize(
    "text",
    ["", "x", "{}", "[]", '{"kind": "OSError"}', '{"kind": "ProviderError", "message": 1}', "{" * 999, "\ud800"],
    ids=lambda text: ascii(text)[:12],
)
def test_anything_else_in_the_place_of_a_failure_counts_as_absent(text):
    """Whatever wrote it."""
    assert read_failure(text.encode(errors="replace").decode(), account()) is None


class Deaf(MemoryStore):
    """A store whose messages never come."""

    async def changes(self):
        """Give no change."""
        await asyncio.Event().wait()
        yield


def test_a_watch_shows_a_failure_that_its_read_finds_once_it_has_the_lease(with_replicas):
    """Another process was reading the account: how that ended is shown, and the account is tried again later."""
    first, second = Till(takes=0.5), Till(takes=0.5)
    first.broken = True

    async def steps(one, two):
        reading = asyncio.create_task(one.fetch(max_age=1))
        await asyncio.sleep(0.2)
        async with two.watch() as states, asyncio.timeout(60):
            complete = [(await anext(states)).complete for _ in range(2)]
        await reading
        return complete, second.requests

    assert with_replicas(steps, first, second, make_store=lambda: Deaf(clock=LoopClock())) == ([False, True], 1)


def test_a_failure_in_a_store_is_short_and_in_one_line():
    """However much an adapter says."""
    error = ProviderError("m\n" * 9999, account="shop", provider="scripted", code="c" * 9999, hint="h\x1b" * 9999)

    text = write_failure(error)
    read, _ = read_failure(text, account())

    assert len(text) < 4000
    assert max(len(read.message), len(read.code), len(read.hint)) <= 500
    assert str(read).isprintable()


def test_the_error_of_an_adapter_of_ones_own_is_shared_as_what_it_derives_from():
    """Another process may not know its class."""

    class OddError(AuthenticationError):
        """An error of somebody's own."""

    read, _ = read_failure(write_failure(OddError("no", account="shop", provider="scripted")), account())

    assert type(read) is AuthenticationError


@pytest.mark.parametrize("failure", [outage("shop"), refused()], ids=["an outage", "a 429"])
async def test_replicas_with_a_redis_share_failures(server, failure):
    """Over a real Redis, by its clock, and with its versions."""
    first, second = Known("shop", failure), Known("shop")

    async with (
        RedisStore.from_url(server.url) as one,
        RedisStore.from_url(server.url) as two,
        AggregateClient([first], store=one, attempts=1) as here,
        AggregateClient([second], store=two) as there,
    ):
        await here.fetch(max_age=60)
        error = (await there.fetch(max_age=60)).failures[0].error

    assert (type(error), second.calls) == (type(failure), 0)
    assert 0 < error.retry_after <= 60


@pytest.mark.parametrize("field", ["failure", "failed_at", "until"])
@pytest.mark.parametrize("value", ["", "x", "9" * 40, "{}", "-5", "x" * 9999])
async def test_a_cooldown_in_redis_that_nobody_wrote_counts_as_absent(server, field, value):
    """The account is read, and the next failure takes its place."""
    first, second, third = Known("shop", outage("shop")), Known("shop", outage("shop")), Known("shop")

    async with RedisStore.from_url(server.url) as store, redis.asyncio.from_url(server.url) as commands:
        async with AggregateClient([first], store=store, attempts=1) as client:
            await client.fetch(max_age=60)
        for key in await commands.keys("*:account:*"):
            await commands.hset(key, field, value)
        async with AggregateClient([second], store=store, attempts=1) as client:
            await client.fetch(max_age=60)
        async with AggregateClient([third], store=store) as client:
            await client.fetch(max_age=60)

    assert (second.calls, third.calls) == (1, 0)
