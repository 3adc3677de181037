"""What `FailureStore` promises, kept by the store in memory and by the one in Redis."""

import pytest

from balancekit.stores import FailureStore
from balancekit.stores.redis.values import open_failure, seal_failure
from tests.support.stores import known, put


@pytest.fixture
async def failed(world):
    """Be a store with a failure of an account that has ten seconds of cooldown."""
    await world.store.put_failure("shop", "a failure", version=(await known(world.store)).version, cooldown=10)
    return world


def test_it_shares_failures(store):
    """A client takes it for a store that does."""
    assert isinstance(store, FailureStore)


async def test_a_failure_is_kept_until_its_cooldown_is_over(failed):
    """It says how old it is, and how much is left."""
    failed.pass_time(4)
    stored = (await known(failed.store)).failure
    failed.pass_time(7)

    assert (stored.text, stored.age, stored.cooldown) == ("a failure", pytest.approx(4), pytest.approx(6))
    assert (await known(failed.store)).failure is None


async def test_the_snapshot_is_kept_beside_it(world, make_snapshot):
    """An account that fails has a last known balance."""
    snapshot = make_snapshot("shop", ("BTC", "1"))
    await put(world.store, snapshot)
    await world.store.put_failure("shop", "x", version=(await known(world.store)).version, cooldown=10)

    stored = await known(world.store)

    assert (stored.snapshot, stored.valid, stored.failure.text) == (snapshot, True, "x")


async def test_a_snapshot_ends_it(failed, make_snapshot):
    """The account can be read again."""
    await put(failed.store, make_snapshot("shop", ("BTC", "1")))

    assert (await known(failed.store)).failure is None


async def test_an_invalidation_ends_it(failed):
    """Whoever wants the account reads it."""
    await failed.store.invalidate("shop")

    assert (await known(failed.store)).failure is None


async def test_a_failure_from_before_an_invalidation_is_ignored(store):
    """It says nothing of the account as it is now."""
    before = (await known(store)).version
    await store.invalidate("shop")
    await store.put_failure("shop", "x", version=before, cooldown=10)

    assert (await known(store)).failure is None


async def test_an_origin_has_no_version(store):
    """Its cooldown is kept whatever is known of it."""
    await store.put_failure("origin bank", "", version=None, cooldown=10)

    assert (await known(store, "origin bank")).failure.cooldown == pytest.approx(10, abs=2)


@pytest.mark.parametrize(
    ("text", "cooldown", "left"),
    [("a failure", 5, 10), ("a failure", 20, 20), ("another", 5, 5)],
    ids=["the same, shorter", "the same, longer", "another"],
)
async def test_the_last_failure_counts_and_the_longer_cooldown_of_the_same(failed, text, cooldown, left):
    """A replica that was sent a 429 with a shorter wait does not end the cooldown of the origin."""
    await failed.store.put_failure("shop", text, version=(await known(failed.store)).version, cooldown=cooldown)

    stored = (await known(failed.store)).failure
    assert (stored.text, stored.cooldown) == (text, pytest.approx(left))


async def test_a_failure_is_of_its_account_alone(failed):
    """Nothing is known of another one."""
    assert (await known(failed.store, "other")).failure is None


def test_a_failure_that_was_written_for_another_account_counts_as_absent():
    """Moved, changed or written by another program."""
    sealed = seal_failure("shop", "text")

    assert open_failure("shop", sealed) == "text"
    assert [
        open_failure(*wrong)
        for wrong in [
            ("other", sealed),
            ("shop", sealed + b"x"),
            ("shop", b""),
            ("shop", b"\xff" * 99),
            ("shop", b"text"),
        ]
    ] == [None] * 5
