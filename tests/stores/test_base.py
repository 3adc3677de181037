"""What `SnapshotStore` promises, kept by the store in memory and by the one in Redis."""

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from balancekit import AccountBalances, AssetType, Balance, RateLimit, SnapshotStore
from balancekit.money.amounts import parse_amount
from balancekit.stores import Change
from tests.support.stores import known

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


def test_it_has_every_method(store):
    """A client takes it for a store."""
    assert isinstance(store, SnapshotStore)


class TestSnapshots:
    """What is known of an account, and whether it still holds."""

    async def test_nothing_is_known_of_a_new_account(self, store):
        """It has a version that stays the same, and nothing else."""
        new = await known(store)

        assert (new.snapshot, new.valid) == (None, False)
        assert await known(store) == new

    async def test_accounts_come_in_the_order_of_the_keys(self, store, first, second):
        """A key that is given twice is answered twice."""
        for key, snapshot in (("b", second), ("a", first)):
            await store.put(key, snapshot, version=(await known(store, key)).version, age=0)

        stored = await store.get(["a", "none", "b", "a"])

        assert [one.snapshot for one in stored] == [first, None, second, first]
        assert await store.get([]) == []

    async def test_a_snapshot_is_valid_at_its_version(self, store, first):
        """It was read after the last invalidation."""
        version = (await known(store)).version

        await store.put("shop", first, version=version, age=0)

        stored = await known(store)
        assert (stored.version, stored.snapshot, stored.valid) == (version, first, True)

    async def test_a_snapshot_ages(self, world, first):
        """The age is counted from when the request was sent."""
        await world.store.put("shop", first, version=(await known(world.store)).version, age=2)
        world.pass_time(3)

        assert (await known(world.store)).age == pytest.approx(5, abs=1e-3)

    async def test_an_invalidation_makes_another_version(self, store, first):
        """The snapshot is kept as the last known one, and is valid no more."""
        before = (await known(store)).version
        await store.put("shop", first, version=before, age=0)

        await store.invalidate("shop")

        stored = await known(store)
        assert (stored.snapshot, stored.valid) == (first, False)
        assert stored.version != before

    async def test_versions_do_not_come_back(self, store):
        """Each invalidation makes a version that has not been."""
        versions = set()
        for _ in range(20):
            await store.invalidate("shop")
            versions.add((await known(store)).version)

        assert len(versions) == 20

    async def test_a_request_from_before_the_invalidation_does_not_count(self, store, first):
        """Its snapshot arrives after the invalidation, and is kept as the last known one."""
        before = (await known(store)).version
        await store.invalidate("shop")

        await store.put("shop", first, version=before, age=0)

        stored = await known(store)
        assert (stored.snapshot, stored.valid) == (first, False)

    async def test_a_valid_snapshot_stays_where_another_version_comes_late(self, store, first, second):
        """Not even a later request takes its place, if it was sent at an earlier version."""
        before = (await known(store)).version
        await store.invalidate("shop")
        await store.put("shop", first, version=(await known(store)).version, age=5)

        await store.put("shop", second, version=before, age=0)

        stored = await known(store)
        assert (stored.snapshot, stored.valid) == (first, True)

    async def test_a_valid_snapshot_takes_the_place_of_one_that_is_not(self, store, first, second):
        """Even if the other was sent later."""
        await store.put("shop", second, version=(await known(store)).version, age=0)
        await store.invalidate("shop")

        await store.put("shop", first, version=(await known(store)).version, age=5)

        stored = await known(store)
        assert (stored.snapshot, stored.valid) == (first, True)

    @pytest.mark.parametrize(("age", "wins"), [(3, "second"), (5, "second"), (6, "first")], ids=str)
    async def test_of_one_version_the_later_request_is_kept(self, store, first, second, age, wins):
        """Responses may arrive in another order than their requests were sent in."""
        version = (await known(store)).version
        await store.put("shop", first, version=version, age=5)

        await store.put("shop", second, version=version, age=age)

        assert (await known(store)).snapshot == {"first": first, "second": second}[wins]

    async def test_accounts_are_apart(self, store, first):
        """Nothing that happens to one changes another."""
        other = await known(store, "other")
        await store.put("shop", first, version=(await known(store)).version, age=0)
        await store.invalidate("shop")

        assert await known(store, "other") == other

    @pytest.mark.parametrize("amount", ["1E+100", "-0.00", "123456789012345678901234567890.123456789012345678901234"])
    async def test_a_snapshot_comes_back_exactly(self, store, amount):
        """Every digit, scale and name comes back, whatever script it is in."""
        balance = Balance("ÅB", parse_amount(amount), AssetType.UNKNOWN, "løja", "fake", "åb", "ethereum", "ref-1")
        snapshot = AccountBalances("løja", "fake", (balance,), MOMENT)

        await store.put("løja", snapshot, version=(await known(store, "løja")).version, age=0)

        (back,) = (await known(store, "løja")).snapshot.balances
        assert back == balance
        assert back.amount.as_tuple() == balance.amount.as_tuple() or amount == "1E+100"


class TestLeases:
    """The right of one owner to read an account."""

    async def test_a_lease_belongs_to_one_owner(self, world):
        """Another learns for how long at most."""
        began = time.monotonic()
        assert await world.store.lease("shop", "me", seconds=10) == 0
        world.pass_time(4)

        left = await world.store.lease("shop", "you", seconds=10)
        # Redis counts what the machine takes as well, in whole milliseconds.
        assert 6 - (time.monotonic() - began) - 0.01 <= left <= 6
        assert await world.store.lease("other", "you", seconds=10) == 0

    async def test_a_lease_ends_by_itself(self, world):
        """Its owner may have died."""
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

    async def test_a_lease_that_was_released_is_free(self, store):
        """Nobody waits for its end."""
        await store.lease("shop", "me", seconds=10)

        await store.release("shop", "me")

        assert await store.lease("shop", "you", seconds=10) == 0

    async def test_only_the_owner_releases_a_lease(self, store):
        """One that comes late does not end the lease of the next."""
        await store.lease("shop", "me", seconds=10)

        await store.release("shop", "you")
        await store.release("other", "you")

        assert await store.lease("shop", "you", seconds=10) > 0


class TestChanges:
    """Following what happens."""

    async def test_changes_come_in_order(self, store, first):
        """First one that says that it has begun; a lease that is taken, or not the owner's, is no change."""
        version = (await known(store)).version
        async with aclosing(store.changes()) as changes:
            begun = await anext(changes)
            await store.lease("shop", "me", seconds=10)
            await store.put("shop", first, version=version, age=0)
            await store.invalidate("shop")
            await store.release("other", "me")
            await store.lease("other", "me", seconds=10)
            await store.release("other", "me")
            await store.put_failure("other", "down", version=None, cooldown=5)

            following = [await anext(changes) for _ in range(4)]

        assert begun == Change(None)
        assert following == [
            Change("shop"),
            Change("shop", invalidated=True),
            Change("other", released=True),
            Change("other"),
        ]

    async def test_a_snapshot_that_is_ignored_is_no_change(self, store, first, second):
        """Nothing is different."""
        version = (await known(store)).version
        await store.put("shop", first, version=version, age=0)
        async with aclosing(store.changes()) as changes:
            await anext(changes)

            await store.put("shop", second, version=version, age=60)
            await store.invalidate("other")

            assert await anext(changes) == Change("other", invalidated=True)

    async def test_every_listener_gets_all_changes(self, store):
        """One does not take them from another."""
        async with aclosing(store.changes()) as one, aclosing(store.changes()) as other:
            assert [await anext(one), await anext(other)] == [Change(None)] * 2

            await store.invalidate("shop")

            assert [await anext(one), await anext(other)] == [Change("shop", invalidated=True)] * 2

    async def test_listening_can_be_cancelled(self, store):
        """Nothing is left of a listener that has gone."""
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
        """For at least as long as was asked."""
        assert not await world.store.seen("msg_1")

        await world.store.remember("msg_1", seconds=60)
        world.pass_time(59)

        assert await world.store.seen("msg_1")
        assert not await world.store.seen("msg_2")

    async def test_an_event_is_forgotten(self, world):
        """One that is too old to be delivered again needs no memory."""
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


class TestPermits:
    """A rate limit that all keep together."""

    async def _acquire(self, world, request_id, origin="https://pay.example"):
        return await world.store.acquire_permit(origin, LIMIT, request_id, hold=30)

    async def _release(self, world, request_id):
        await world.store.release_permit("https://pay.example", LIMIT, request_id)

    async def test_there_are_no_more_permits_than_the_limit_has_requests(self, world):
        """The next request learns when the first may be free again; other origins are apart."""
        assert [await self._acquire(world, request) for request in ("a", "b")] == [0, 0]
        assert await self._acquire(world, "c") == pytest.approx(10)
        assert await self._acquire(world, "c", origin="https://other.example") == 0

    async def test_a_permit_is_free_again_after_its_release(self, world):
        """`per` after it, whenever the permit was acquired."""
        await self._acquire(world, "a")
        await self._acquire(world, "b")
        world.pass_time(4)
        await self._release(world, "a")
        world.pass_time(3)

        assert await self._acquire(world, "c") == pytest.approx(7)
        world.pass_time(7)
        assert await self._acquire(world, "c") == 0
        assert await self._acquire(world, "d") == pytest.approx(10)

    async def test_a_permit_that_is_never_released_is_free_after_all(self, world):
        """Its process may have died: `per` after the hold."""
        await self._acquire(world, "a")
        await self._acquire(world, "b")
        world.pass_time(35)
        assert await self._acquire(world, "c") == pytest.approx(5)
        world.pass_time(5)

        assert await self._acquire(world, "c") == 0

    async def test_a_request_that_asks_again_keeps_its_permit(self, world):
        """A response may be lost on its way."""
        assert [await self._acquire(world, request) for request in ("a", "a", "b", "a")] == [0, 0, 0, 0]

        assert await self._acquire(world, "c") > 0

    async def test_a_request_may_have_another_permit_after_a_release(self, world):
        """The one that it released is not free yet."""
        for _ in range(2):
            assert await self._acquire(world, "a") == 0
            world.pass_time(1)
            await self._release(world, "a")

        assert await self._acquire(world, "a") == pytest.approx(9)

    async def test_releasing_a_permit_that_nobody_has_changes_nothing(self, world):
        """It neither frees one nor takes one."""
        await self._acquire(world, "a")
        await self._release(world, "b")

        assert await self._acquire(world, "b") == 0
        await self._release(world, "c")
        assert await self._acquire(world, "c") > 0

    async def test_a_limit_that_was_lowered_holds(self, world):
        """As many permits must be free again as there were too many, and one more."""
        for seconds, request in ((0, "a"), (1, "b")):
            world.pass_time(seconds)
            await self._acquire(world, request)
            await self._release(world, request)

        wait = await world.store.acquire_permit("https://pay.example", RateLimit(1, per=10), "c", hold=30)

        assert wait == pytest.approx(10)

    async def test_a_time_too_short_for_the_clock_gives_no_more_permits_than_allowed(self, world):
        """Where a permit is free again at the moment at which it was acquired, it is one permit all the same."""
        limit = RateLimit(1, per=1e-9)

        assert await world.store.acquire_permit("https://pay.example", limit, "a", hold=30) == 0
        assert await world.store.acquire_permit("https://pay.example", limit, "b", hold=30) > 0
