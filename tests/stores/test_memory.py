"""The store in memory, beyond what every store promises."""

import asyncio
import os
import threading
import tracemalloc

import pytest

from balancekit import RateLimit
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


class Interrupted(float):
    """A moment, or seconds: while something is counted with it, another thread goes on as far as it can."""

    def __new__(cls, moment, other_thread):
        """Be a moment of a clock, or so many seconds."""
        made = super().__new__(cls, moment)
        made.other_thread = other_thread
        return made

    def __sub__(self, seconds):
        """Be an earlier moment."""
        return type(self)(float(self) - seconds, self.other_thread)

    def __rsub__(self, later):
        """Let the other thread go on, and return the seconds since."""
        self.go_on()
        return later - float(self)

    def __radd__(self, moment):
        """Let the other thread go on, and return the moment so many seconds later."""
        self.go_on()
        return moment + float(self)

    def go_on(self):
        """Let the other thread go on, for a moment if it waits for this one."""
        if self.other_thread.ident is None:
            self.other_thread.start()
            self.other_thread.join(0.2)


async def test_no_thread_is_given_parts_of_two_moments(make_snapshot):
    """A snapshot from before an invalidation is not valid at the version after it, whatever other threads do then."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    earlier, later = make_snapshot("shop", ("BTC", "1")), make_snapshot("shop", ("BTC", "2"))

    # The version after the first change.
    put = store.put("shop", later, version="1", age=0)
    other = threading.Thread(target=lambda: asyncio.run(put))
    clock.now = Interrupted(clock.now, other)
    await store.put("shop", earlier, version=(await store.get(["shop"]))[0].version, age=0)
    clock.now = float(clock.now)
    await store.invalidate("shop")
    (during,) = await store.get(["shop"])
    other.join()
    (after,) = await store.get(["shop"])

    assert (during.snapshot, during.valid, after.snapshot, after.valid) == (earlier, False, later, True)


async def test_an_event_is_not_forgotten_while_it_is_remembered_anew():
    """Another thread that looks for it in that moment finds it, so that its webhook is not acted on twice."""
    store, seen = MemoryStore(), []
    await store.remember("event", seconds=60)

    look = store.seen("event")
    other = threading.Thread(target=lambda: seen.append(asyncio.run(look)))
    await store.remember("event", seconds=Interrupted(60, other))
    other.join()

    assert seen == [True]


async def test_it_is_shown_by_its_size(make_snapshot):
    """A repr shows no balance."""
    store = MemoryStore()
    await store.put("shop", make_snapshot("shop", ("BTC", "1")), version="", age=0)

    assert repr(store) == "MemoryStore(1 accounts)"


async def test_an_account_is_forgotten_of_which_nothing_new_is_stored(make_snapshot):
    """Once `keep` seconds have passed and others come; it is unknown then, at a version that it never had."""
    clock = Clock()
    store = MemoryStore(clock=clock, keep=60)
    (unknown,) = await store.get(["shop"])
    await store.put("shop", make_snapshot("shop", ("BTC", "1")), version=unknown.version, age=0)
    await store.put("kept", make_snapshot("kept"), version=unknown.version, age=0)

    clock.now += 61
    await store.invalidate("kept")
    await store.invalidate("other")
    await store.invalidate("another")

    (shop, kept) = await store.get(["shop", "kept"])
    assert (shop.snapshot, kept.snapshot is not None) == (None, True)
    assert shop.version != unknown.version


async def test_what_comes_and_goes_does_not_fill_the_memory(make_snapshot):
    """Neither accounts, nor leases that were never released, nor the permits of origins."""
    clock = Clock()
    store = MemoryStore(clock=clock, keep=60)
    snapshot, limit = make_snapshot("shop"), RateLimit(1, per=1)
    tracemalloc.start()
    for number in range(20_000):
        if number == 1_000:
            before = tracemalloc.get_traced_memory()[0]
        clock.now += 1
        await store.put(f"shop {number}", snapshot, version="0", age=0)
        await store.lease(f"shop {number}", "me", seconds=10)
        await store.acquire_permit(f"origin {number}", limit, "request", hold=10)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert grown < 100_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_what_a_parent_process_holds_keeps_no_child_waiting(make_snapshot):
    """Its leases and permits end only there; what it has stored is known in both."""
    store, limit = MemoryStore(clock=Clock()), RateLimit(1, per=60)

    async def take():
        lease = await store.lease("shop", "owner", seconds=60)
        permit = await store.acquire_permit("https://shop.example", limit, "request", hold=60)
        return lease, permit

    async def take_as_another():
        lease = await store.lease("shop", "another owner", seconds=60)
        permit = await store.acquire_permit("https://shop.example", limit, "another request", hold=60)
        return lease, permit, (await store.get(["shop"]))[0].snapshot is not None

    asyncio.run(store.put("shop", make_snapshot("shop"), version="0", age=0))
    asyncio.run(take())
    child = os.fork()
    if not child:
        os._exit(asyncio.run(take_as_another()) != (0, 0, True))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert asyncio.run(take_as_another())[0] == 60
