"""The store in memory: honest ages, and memory that has bounds."""

from contextlib import aclosing

import pytest

from balancekit.stores import Change, MemoryStore, recent_events, subscribers


class Clock:
    """A clock that stands where it is set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        """Tell the time."""
        return self.now


@pytest.fixture
def wall():
    """Be the clock on the wall."""
    return Clock()


@pytest.fixture
def monotonic():
    """Be the monotonic clock."""
    return Clock()


@pytest.fixture
def store(wall, monotonic):
    """Be a store with clocks that are set by hand."""
    return MemoryStore(clock=wall, monotonic=monotonic)


@pytest.mark.parametrize(
    ("on_the_wall", "monotonic_too", "age"),
    [(60, 60, 60), (60, 0, 60), (-3600, 60, 60), (3600, 60, 3600)],
    ids=["both", "suspended", "set back", "set forward"],
)
async def test_an_age_is_the_longer_of_two(store, wall, monotonic, make_snapshot, on_the_wall, monotonic_too, age):
    """Neither a machine that slept nor a clock that was set makes a snapshot younger than it is."""
    await store.put("shop", make_snapshot("shop"), version=(await store.get(["shop"]))[0].version, age=0)

    wall.now += on_the_wall
    monotonic.now += monotonic_too

    assert (await store.get(["shop"]))[0].age == age


async def test_a_slow_listener_gets_one_change_for_many(store, monkeypatch):
    """What waits for it is bounded: one word that anything may have happened takes the place of the rest."""
    monkeypatch.setattr(subscribers, "MAX_PENDING", 3)
    async with aclosing(store.changes()) as changes:
        await anext(changes)

        for number in range(9):
            await store.invalidate(f"shop {number}")
        assert await anext(changes) == Change(None)

        await store.invalidate("shop")
        assert await anext(changes) == Change("shop", invalidated=True)


async def test_what_is_the_same_waits_once(store):
    """A burst of one account is one change to a listener that was busy."""
    async with aclosing(store.changes()) as changes:
        await anext(changes)
        for key in ("a", "a", "b", "a"):
            await store.invalidate(key)

        assert [(await anext(changes)).key for _ in range(2)] == ["a", "b"]
        await store.invalidate("c")
        assert (await anext(changes)).key == "c"


async def test_a_listener_that_left_is_forgotten(store):
    """Nothing is kept for it."""
    async with aclosing(store.changes()) as changes:
        await anext(changes)
        assert len(store._subscribers) == 1

    assert len(store._subscribers) == 0


async def test_the_oldest_event_makes_room(store, monkeypatch):
    """No flood of events fills the memory."""
    monkeypatch.setattr(recent_events, "MAX_EVENTS", 3)

    for number in range(4):
        await store.remember(f"msg_{number}", seconds=60)

    assert [await store.seen(f"msg_{number}") for number in range(4)] == [False, True, True, True]


async def test_events_that_are_over_leave_the_memory(store, monotonic):
    """They go when another comes."""
    for number in range(4):
        await store.remember(f"msg_{number}", seconds=60)
    monotonic.now += 60

    await store.remember("msg_4", seconds=60)

    assert list(store._events._forget_at) == ["msg_4"]


def test_it_is_shown_by_its_size(store):
    """A repr shows no balance."""
    assert repr(store) == "MemoryStore(0 accounts)"
