"""What Redis does in one step: permits as in memory, clocks that go back, keys that others wrote, and expiry."""

import asyncio
import time

import pytest
from hypothesis import given, settings, strategies as st
from redis import exceptions

from balancekit import RateLimit
from balancekit.stores import RedisStore
from tests.support.clock import COUNTING, Clock, Suspensions
from tests.support.stores import known, put

# Binary fractions, so that no moment is rounded; few of them, so that moments coincide.
HALVES = st.integers(0, 6).map(lambda halves: halves / 2)
STEPS = st.lists(
    st.tuples(HALVES, st.sampled_from(["acquire", "release"]), st.integers(0, 3), st.integers(1, 3), HALVES),
    min_size=10,
)


@settings(max_examples=100)
@given(per=HALVES.filter(bool), steps=STEPS)
def test_permits_are_given_as_in_memory(make_memory_world, make_redis_world, per, steps):
    """Whatever requests come and go, in whichever order, and even if the limit changes: each waits equally long."""

    async def run():
        async with make_memory_world() as memory, make_redis_world() as redis:
            for passes, step, number, requests, hold in steps:
                limit, request_id, waits = RateLimit(requests, per=per), f"request {number}", set()
                for world in (memory, redis):
                    world.time.now += passes
                    if step == "release":
                        await world.store.release_permit("host", limit, request_id)
                    else:
                        waits.add(await world.store.acquire_permit("host", limit, request_id, hold=hold))
                assert len(waits) <= 1

    asyncio.run(run())


async def put_before_a_late_reply(world, snapshot, monkeypatch):
    """Put a snapshot, of which the next reply takes five seconds; returns the monotonic clock before that."""
    moments = Clock()
    monkeypatch.setattr(world.store, "monotonic", moments)
    await put(world.store, snapshot)
    readings = iter([moments.now, moments.now + 5])
    monkeypatch.setattr(world.store, "monotonic", lambda: next(readings))
    return moments


class TestClock:
    """The clock of Redis, which may be set back."""

    async def test_a_snapshot_from_the_future_is_not_valid(self, make_redis_world, snapshot):
        """Its age is unknown; the next one replaces it."""
        async with make_redis_world() as world:
            await put(world.store, snapshot)
            world.time.now -= 3600

            assert not (await known(world.store)).valid
            await put(world.store, snapshot)
            assert (await known(world.store)).valid

    async def test_what_the_clock_was_set_back_is_added_to_ages(self, make_redis_world, make_snapshot, monkeypatch):
        """A process that has seen it before knows how old a snapshot is; the next one is as old as it is."""
        old, new = make_snapshot("shop", ("BTC", "1")), make_snapshot("shop", ("BTC", "2"))
        async with make_redis_world() as world:
            monkeypatch.setattr(world.store, "monotonic", monotonic := Clock())
            await put(world.store, old)
            for clock in (world.time, monotonic):
                clock.now += 10
            world.time.now -= 4
            monotonic.now += 1
            world.time.now += 1
            stored = await known(world.store)
            assert (stored.age, stored.valid) == (pytest.approx(11, abs=0.1), True)

            # Its request was sent at what Redis takes for an earlier moment than that of the old one.
            await world.store.put("shop", new, version=stored.version, age=7.5)
            later = await known(world.store)
            assert (later.snapshot, later.age) == (new, pytest.approx(7.5, abs=0.1))

    @pytest.mark.skipif(COUNTING is None, reason="no clock shows it")
    async def test_it_is_seen_to_be_set_back_by_as_much_as_this_machine_was_suspended(
        self, make_redis_world, snapshot, monkeypatch
    ):
        """The hour makes the snapshot an hour older, although the clock of Redis shows the same as before."""
        suspensions = Suspensions(monkeypatch)
        async with make_redis_world() as world:
            await put(world.store, snapshot)
            suspensions.seconds = 3600

            assert (await known(world.store)).age == pytest.approx(3600, abs=60)

    async def test_a_response_that_is_late_is_no_clock_that_was_set_back(self, make_redis_world, snapshot, monkeypatch):
        """Between the call and its response Redis may have run it at any moment."""
        async with make_redis_world() as world:
            await put_before_a_late_reply(world, snapshot, monkeypatch)

            assert (await known(world.store)).age == 0

    async def test_a_response_that_was_late_hides_nothing_of_what_the_clock_is_set_back(
        self, make_redis_world, snapshot, monkeypatch
    ):
        """What was known of the clock before is still known."""
        async with make_redis_world() as world:
            moments = await put_before_a_late_reply(world, snapshot, monkeypatch)
            world.time.now += 5
            await known(world.store)

            moments.now += 5
            monkeypatch.setattr(world.store, "monotonic", moments)
            world.time.now -= 3

            assert 5 <= (await known(world.store)).age < 6

    async def test_a_released_permit_is_waited_for_no_longer_than_the_limit(self, make_redis_world):
        """An hour back is no hour's wait."""
        limit = RateLimit(1, per=10)
        async with make_redis_world() as world:
            await world.store.acquire_permit("host", limit, "a", hold=5)
            await world.store.release_permit("host", limit, "a")
            world.time.now -= 3600

            assert await world.store.acquire_permit("host", limit, "b", hold=5) == pytest.approx(10)
            world.time.now += 10
            assert await world.store.acquire_permit("host", limit, "b", hold=5) == 0

    async def test_a_command_that_waited_makes_no_snapshot_younger(self, short_timeouts, server, snapshot):
        """A snapshot that lay in a socket while Redis was paused has grown older there."""
        async with RedisStore.from_url(server.url) as store:
            version = (await known(store)).version
            await store.put("shop", snapshot, version=version, age=5)
            server.pause()
            began = time.monotonic()
            try:
                with pytest.raises((exceptions.TimeoutError, exceptions.ConnectionError)):
                    await store.put("shop", snapshot, version=version, age=0)
            finally:
                paused = time.monotonic() - began
                server.resume()

            # The first is older still, and the second may not have reached Redis at all.
            assert (await known(store)).age >= paused


async def test_keys_of_another_type_are_replaced(server, store, snapshot):
    """Whatever wrote them, the store works."""
    with server.client() as client:
        for label in ("shop", "till", "desk"):
            client.set(f"balancekit:account:{{{label}}}", "x")
            client.hset(f"balancekit:lease:{{{label}}}", "x", "y")
        client.set("balancekit:permits:{host}", "x")
        client.set("balancekit:permits:{other}", "x")

    await put(store, snapshot)
    await store.put("till", snapshot, version="", age=0)
    await store.invalidate("desk")
    await store.release("till", "me")
    await store.release_permit("other", RateLimit(1, per=1), "a")

    assert (await known(store)).valid
    assert await store.lease("shop", "me", seconds=1) == 0
    assert await store.acquire_permit("host", RateLimit(1, per=1), "a", hold=1) == 0


async def test_a_lease_that_is_longer_than_any_is_none(server, store):
    """A foreign one of eleven days would delay every read."""
    with server.client() as client:
        client.set("balancekit:lease:{shop}", "x", ex=11 * 86400)

    assert await store.lease("shop", "me", seconds=10.5) == 0
    assert 5 < await store.lease("shop", "you", seconds=10.5) <= 10.5


async def test_what_others_wrote_among_permits_is_none(server, store):
    """However near in time it is, and although the set has more members than the limit."""
    with server.client() as client:
        until = (time.time() + 60) * 1e6
        client.zadd("balancekit:permits:{host}", {f"junk{number}": until + number for number in range(5)})
        limit = RateLimit(2, per=30)

        waits = [await store.acquire_permit("host", limit, request_id, hold=1.0) for request_id in ("a", "b", "c")]

        assert [wait > 0 for wait in waits] == [False, False, True]
        assert sorted(client.zrange("balancekit:permits:{host}", 0, -1)) == ["held:a", "held:b"]


async def test_permits_that_are_longer_than_any_are_none(server, store):
    """Foreign ones of years would use up the limit for as long."""
    with server.client() as client:
        client.zadd("balancekit:permits:{host}", {"held:x": 1e17, "released:y": float("inf"), "z": 1e300})

    assert await store.acquire_permit("host", RateLimit(1, per=10), "a", hold=5) == 0
    assert await store.acquire_permit("host", RateLimit(1, per=10), "b", hold=5) > 0


async def test_every_key_expires(server, snapshot):
    """Nothing is left in Redis of a service that is no more."""
    async with RedisStore.from_url(server.url, keep=1000) as store:
        await put(store, snapshot)
        await store.get(["other"])
        await store.invalidate("third")
        await store.lease("shop", "me", seconds=10)
        await store.remember("msg_1", seconds=20)
        for request_id in ("a", "b"):
            await store.acquire_permit("host", RateLimit(2, per=10), request_id, hold=30)
        await store.release_permit("host", RateLimit(2, per=10), "a")

    with server.client() as client:
        ends = {key: client.ttl(key) for key in client.scan_iter()}

    assert len(ends) == 6
    assert all(0 < end <= 1000 for end in ends.values())
    assert ends["balancekit:permits:{host}"] >= 30
