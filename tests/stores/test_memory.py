"""The store in memory, beyond what every store promises."""

import pytest

from balancekit.stores import MemoryStore
from tests.support.clock import Clock


@pytest.mark.parametrize(
    ("on_the_wall", "monotonic_too", "age"),
    [(60, 60, 60), (60, 0, 60), (-3600, 60, 60), (3600, 60, 3600)],
    ids=["both", "suspended", "set back", "set forward"],
)
async def test_an_age_is_the_longer_of_two(make_snapshot, on_the_wall, monotonic_too, age):
    """Neither a machine that slept nor a clock that was set makes a snapshot younger than it is."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    await store.put("shop", make_snapshot("shop"), version=(await store.get(["shop"]))[0].version, age=0)

    clock.now += monotonic_too
    clock.ahead += on_the_wall - monotonic_too

    assert (await store.get(["shop"]))[0].age == age


async def test_of_two_snapshots_the_one_that_was_read_later_stays(make_snapshot):
    """Also if the wall clock was set back, and forward again, between their requests."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    later, earlier = make_snapshot("shop", ("BTC", "1")), make_snapshot("shop", ("BTC", "10"))
    await store.put("shop", later, version="0", age=0)

    clock.now += 5
    clock.ahead += 3595
    await store.put("shop", earlier, version="0", age=10)

    assert (await store.get(["shop"]))[0].snapshot is later


async def test_it_is_shown_by_its_size(make_snapshot):
    """A repr shows no balance."""
    store = MemoryStore()
    await store.put("shop", make_snapshot("shop", ("BTC", "1")), version="", age=0)

    assert repr(store) == "MemoryStore(1 accounts)"
