"""What every store promises, in memory as in Redis."""

import asyncio
import heapq
import itertools
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings, strategies as st

from balancekit import AccountBalances, AssetType, Balance, RateLimit, SnapshotStore
from balancekit.money.amounts import parse_amount
from balancekit.stores import Change

LIMIT = RateLimit(2, per=10)
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def first(make_snapshot):
    """Be a snapshot."""
    return make_snapshot("shop", ("BTC", "1.50"))


@pytest.fixture
def second(make_snapshot):
    """Be another snapshot of the same account."""
    return make_snapshot("shop", ("BTC", "2.50"))


async def _one(store, key="shop"):
    (stored,) = await store.get([key])
    return stored


def test_it_is_a_store(store):
    """Both stores have all that a client needs."""
    assert isinstance(store, SnapshotStore)


class TestSnapshots:
    """What is known of an account, and whether it still holds."""

    async def test_nothing_is_known_of_a_new_account(self, store):
        """It has a version that stays the same, and nothing else."""
        new = await _one(store)

        assert (new.snapshot, new.valid) == (None, False)
        assert await _one(store) == new

    async def test_accounts_come_in_the_order_of_the_keys(self, store, first, second):
        """Each is where it was asked for, as often as it was."""
        for key, snapshot in (("b", second), ("a", first)):
            await store.put(key, snapshot, version=(await _one(store, key)).version, age=0)

        stored = await store.get(["a", "none", "b", "a"])

        assert [one.snapshot for one in stored] == [first, None, second, first]
        assert await store.get([]) == []

    async def test_a_snapshot_is_valid_at_its_version(self, store, first):
        """What was read after the last invalidation may be shown."""
        version = (await _one(store)).version

        await store.put("shop", first, version=version, age=0)

        stored = await _one(store)
        assert (stored.version, stored.snapshot, stored.valid) == (version, first, True)

    async def test_a_snapshot_ages(self, world, first):
        """The age is counted from when the request was sent."""
        await world.store.put("shop", first, version=(await _one(world.store)).version, age=2)
        world.pass_time(3)

        assert (await _one(world.store)).age == pytest.approx(5, abs=1e-3)

    async def test_an_invalidation_makes_another_version(self, store, first):
        """The snapshot is kept as the last known one, and is valid no more."""
        before = (await _one(store)).version
        await store.put("shop", first, version=before, age=0)

        await store.invalidate("shop")

        stored = await _one(store)
        assert (stored.snapshot, stored.valid) == (first, False)
        assert stored.version != before

    async def test_versions_do_not_come_back(self, store):
        """Each invalidation makes a version that has not been."""
        versions = set()
        for _ in range(20):
            await store.invalidate("shop")
            versions.add((await _one(store)).version)

        assert len(versions) == 20

    async def test_a_request_from_before_the_invalidation_does_not_count(self, store, first):
        """What arrives after an invalidation, but was sent before, is no more than the last known."""
        before = (await _one(store)).version
        await store.invalidate("shop")

        await store.put("shop", first, version=before, age=0)

        stored = await _one(store)
        assert (stored.snapshot, stored.valid) == (first, False)

    async def test_a_valid_snapshot_stays_where_another_version_comes_late(self, store, first, second):
        """Not even a later request takes its place, if it was sent at an earlier version."""
        before = (await _one(store)).version
        await store.invalidate("shop")
        await store.put("shop", first, version=(await _one(store)).version, age=5)

        await store.put("shop", second, version=before, age=0)

        stored = await _one(store)
        assert (stored.snapshot, stored.valid) == (first, True)

    async def test_a_valid_snapshot_takes_the_place_of_one_that_is_not(self, store, first, second):
        """It does so though the other was sent later."""
        await store.put("shop", second, version=(await _one(store)).version, age=0)
        await store.invalidate("shop")

        await store.put("shop", first, version=(await _one(store)).version, age=5)

        stored = await _one(store)
        assert (stored.snapshot, stored.valid) == (first, True)

    @pytest.mark.parametrize(("age", "wins"), [(3, "second"), (5, "second"), (6, "first")], ids=str)
    async def test_of_one_version_the_later_request_is_kept(self, store, first, second, age, wins):
        """Answers may arrive in another order than their requests were sent in."""
        version = (await _one(store)).version
        await store.put("shop", first, version=version, age=5)

        await store.put("shop", second, version=version, age=age)

        assert (await _one(store)).snapshot == {"first": first, "second": second}[wins]

    async def test_accounts_are_apart(self, store, first):
        """What happens to one says nothing of another."""
        other = await _one(store, "other")
        await store.put("shop", first, version=(await _one(store)).version, age=0)
        await store.invalidate("shop")

        assert await _one(store, "other") == other

    @pytest.mark.parametrize("amount", ["1E+100", "-0.00", "123456789012345678901234567890.123456789012345678901234"])
    async def test_a_snapshot_comes_back_exactly(self, store, amount):
        """Every digit, scale and name comes back, whatever script it is in."""
        balance = Balance("ÅB", parse_amount(amount), AssetType.UNKNOWN, "løja", "fake", "åb", "ethereum", "ref-1")
        snapshot = AccountBalances("løja", "fake", (balance,), MOMENT)

        await store.put("løja", snapshot, version=(await _one(store, "løja")).version, age=0)

        (back,) = (await _one(store, "løja")).snapshot.balances
        assert back == balance
        assert back.amount.as_tuple() == balance.amount.as_tuple() or amount == "1E+100"


class TestLeases:
    """One reads an account while the others wait."""

    async def test_a_lease_is_one_owners(self, world):
        """Another is told for how long it is taken at most."""
        assert await world.store.lease("shop", "me", seconds=10) == 0
        world.pass_time(4)

        assert await world.store.lease("shop", "you", seconds=10) == pytest.approx(6, abs=0.5)
        assert await world.store.lease("other", "you", seconds=10) == 0

    async def test_a_lease_ends_by_itself(self, world):
        """Whoever took it may have died."""
        await world.store.lease("shop", "me", seconds=10)
        world.pass_time(10)

        assert await world.store.lease("shop", "you", seconds=10) == 0
        assert await world.store.lease("shop", "me", seconds=10) > 0

    async def test_a_lease_can_be_renewed(self, world):
        """It lasts from then on."""
        await world.store.lease("shop", "me", seconds=10)
        world.pass_time(8)
        assert await world.store.lease("shop", "me", seconds=10) == 0
        world.pass_time(8)

        assert await world.store.lease("shop", "you", seconds=10) > 0

    async def test_a_lease_that_was_given_back_is_free(self, store):
        """Nobody waits for its end."""
        await store.lease("shop", "me", seconds=10)

        await store.release("shop", "me")

        assert await store.lease("shop", "you", seconds=10) == 0

    async def test_only_the_owner_gives_a_lease_back(self, store):
        """One that comes late does not end another's."""
        await store.lease("shop", "me", seconds=10)

        await store.release("shop", "you")
        await store.release("other", "you")

        assert await store.lease("shop", "you", seconds=10) > 0


class TestChanges:
    """Being told what happens."""

    async def test_what_happens_is_told_in_order(self, store, first):
        """Whatever may concern somebody who waits is told, after the word that it has begun."""
        version = (await _one(store)).version
        async with aclosing(store.changes()) as changes:
            begun = await anext(changes)
            await store.lease("shop", "me", seconds=10)
            await store.put("shop", first, version=version, age=0)
            await store.invalidate("shop")
            await store.release("other", "me")
            await store.lease("other", "me", seconds=10)
            await store.release("other", "me")

            told = [await anext(changes) for _ in range(3)]

        assert begun == Change(None)
        assert told == [Change("shop"), Change("shop", invalidated=True), Change("other")]

    async def test_a_snapshot_that_is_left_out_is_not_told(self, store, first, second):
        """Nothing happened."""
        version = (await _one(store)).version
        await store.put("shop", first, version=version, age=0)
        async with aclosing(store.changes()) as changes:
            await anext(changes)

            await store.put("shop", second, version=version, age=60)
            await store.invalidate("other")

            assert await anext(changes) == Change("other", invalidated=True)

    async def test_all_who_listen_are_told(self, store):
        """Each has its own."""
        async with aclosing(store.changes()) as one, aclosing(store.changes()) as other:
            assert [await anext(one), await anext(other)] == [Change(None)] * 2

            await store.invalidate("shop")

            assert [await anext(one), await anext(other)] == [Change("shop", invalidated=True)] * 2

    async def test_listening_can_be_cancelled(self, store):
        """Whoever waits for the next change may leave."""
        changes = store.changes()
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)

        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting
        await changes.aclose()
        await store.invalidate("shop")


class TestEvents:
    """Ids of events that have been handled."""

    async def test_an_event_is_remembered(self, world):
        """It is, for at least as long as was asked."""
        assert not await world.store.seen("msg_1")

        await world.store.remember("msg_1", seconds=60)
        world.pass_time(59)

        assert await world.store.seen("msg_1")
        assert not await world.store.seen("msg_2")

    async def test_an_event_is_forgotten(self, world):
        """What is too old to be delivered again needs no memory."""
        await world.store.remember("msg_1", seconds=60)
        world.pass_time(61)

        assert not await world.store.seen("msg_1")

    async def test_an_event_is_remembered_for_the_longest(self, world):
        """A second delivery makes the memory longer, never shorter."""
        await world.store.remember("msg_1", seconds=60)
        await world.store.remember("msg_1", seconds=10)
        world.pass_time(30)
        assert await world.store.seen("msg_1")

        await world.store.remember("msg_1", seconds=60)
        world.pass_time(50)

        assert await world.store.seen("msg_1")


class TestTurns:
    """A limit on the rate that all keep together."""

    async def _take(self, world, ticket, host="https://pay.example"):
        return await world.store.acquire_permit(host, LIMIT, ticket, hold=30)

    async def test_no_more_turns_than_allowed(self, world):
        """The next is told when the earliest can be over, and other hosts are apart."""
        assert [await self._take(world, ticket) for ticket in ("a", "b")] == [0, 0]
        assert await self._take(world, "c") == pytest.approx(10)
        assert await self._take(world, "c", host="https://other.example") == 0

    async def test_a_slot_is_free_again_after_its_turn_ended(self, world):
        """It is, `per` after the end, whenever the turn began."""
        await self._take(world, "a")
        await self._take(world, "b")
        world.pass_time(4)
        await world.store.release_permit("https://pay.example", LIMIT, "a")
        world.pass_time(3)

        assert await self._take(world, "c") == pytest.approx(7)
        world.pass_time(7)
        assert await self._take(world, "c") == 0
        assert await self._take(world, "d") == pytest.approx(10)

    async def test_a_turn_that_is_never_ended_is_over_after_all(self, world):
        """Its process may have died: its slot is free `per` after the hold."""
        await self._take(world, "a")
        await self._take(world, "b")
        world.pass_time(35)
        assert await self._take(world, "c") == pytest.approx(5)
        world.pass_time(5)

        assert await self._take(world, "c") == 0

    async def test_a_turn_that_is_asked_for_again_is_the_same(self, world):
        """An answer may be lost on its way."""
        assert [await self._take(world, ticket) for ticket in ("a", "a", "b", "a")] == [0, 0, 0, 0]

        assert await self._take(world, "c") > 0

    async def test_a_ticket_may_have_another_turn(self, world):
        """One that ended keeps its slot until `per` later, and the new one has its own."""
        for _ in range(2):
            assert await self._take(world, "a") == 0
            world.pass_time(1)
            await world.store.release_permit("https://pay.example", LIMIT, "a")

        assert await self._take(world, "a") == pytest.approx(9)

    async def test_ending_what_was_not_begun_changes_nothing(self, world):
        """Neither a slot is freed nor one taken."""
        await self._take(world, "a")
        await world.store.release_permit("https://pay.example", LIMIT, "b")

        assert await self._take(world, "b") == 0
        await world.store.release_permit("https://pay.example", LIMIT, "c")
        assert await self._take(world, "c") > 0


async def _law(world, limit, calls):
    """Let callers come at random, and return the moments at which the server sees their requests."""
    started, seen, order = world.time.now, [], itertools.count(len(calls))
    events = [(started + at, number, (took, reach)) for number, (at, took, reach) in enumerate(calls)]
    heapq.heapify(events)
    tickets = {}
    while events:
        world.time.now, number, call = heapq.heappop(events)
        if call is None:
            await world.store.release_permit("host", limit, tickets[number])
            continue
        took, reach = call
        wait = await world.store.acquire_permit("host", limit, f"ticket {number}", hold=60)
        if wait > 0:
            heapq.heappush(events, (world.time.now + wait, number, call))
            continue
        end = next(order)
        tickets[end] = f"ticket {number}"
        seen.append(world.time.now + took * reach)
        heapq.heappush(events, (world.time.now + took, end, None))
    return sorted(seen)


# Binary fractions, so that no moment is rounded; few of them, so that moments coincide.
HALVES = st.integers(0, 6).map(lambda halves: halves / 2)
STEPS = st.lists(
    st.tuples(HALVES, st.sampled_from(["acquire", "release"]), st.integers(0, 3), st.integers(1, 3), HALVES),
    min_size=10,
)


@settings(max_examples=100)
@given(per=HALVES.filter(bool), steps=STEPS)
def test_redis_gives_permits_as_memory_does(make_memory_world, make_redis_world, per, steps):
    """Whatever requests come and go, in whichever order, and even if the limit changes: each waits equally long."""

    async def run():
        memory, redis = make_memory_world(), make_redis_world()
        async with redis.store:
            for passes, step, number, requests, hold in steps:
                limit, request_id = RateLimit(requests, per=per), f"request {number}"
                waits = []
                for world in (memory, redis):
                    world.time.now += passes
                    if step == "release":
                        await world.store.release_permit("https://pay.example", limit, request_id)
                    else:
                        waits.append(
                            await world.store.acquire_permit("https://pay.example", limit, request_id, hold=hold)
                        )
                assert len(set(waits)) <= 1

    asyncio.run(run())


REQUESTS = st.integers(1, 5)
CALLS = st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5), st.floats(0, 1)), max_size=40)


@given(requests=REQUESTS, per=st.floats(0.5, 10), calls=CALLS)
def test_no_window_has_more_requests_than_allowed_in_memory(make_memory_world, requests, per, calls):
    """Whenever callers come, and however long each request takes to reach the server, every window keeps the limit."""
    seen = asyncio.run(_law(make_memory_world(), RateLimit(requests, per=per), calls))

    assert len(seen) == len(calls)
    assert all(late - early >= per - 1e-5 for early, late in zip(seen, seen[requests:], strict=False))


@settings(max_examples=25)
@given(requests=REQUESTS, per=st.floats(0.5, 10), calls=CALLS)
def test_no_window_has_more_requests_than_allowed_in_redis(make_redis_world, requests, per, calls):
    """The same holds by the clock of Redis."""

    async def run():
        world = make_redis_world()
        async with world.store:
            return await _law(world, RateLimit(requests, per=per), calls)

    seen = asyncio.run(run())

    assert len(seen) == len(calls)
    # Redis counts in microseconds.
    assert all(late - early >= per - 1e-5 for early, late in zip(seen, seen[requests:], strict=False))
