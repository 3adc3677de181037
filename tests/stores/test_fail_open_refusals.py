"""A store that responds, but does not do what it is asked, behind a fail-open store. Time is virtual."""

import asyncio
import logging

import pytest

from balancekit.stores import MemoryStore, StoreRefusedError
from tests.support.stores import CALLS, known, timed


@pytest.mark.parametrize(("method", "call", "result"), CALLS, ids=[method for method, _, _ in CALLS])
def test_a_refused_call_is_done_without_the_store_and_others_go_on(with_store, make_snapshot, method, call, result):
    """There is no outage, so nothing waits for its end."""

    async def steps(store, fail_open):
        store.refused[method] = "full"
        given, took = await timed(call(fail_open, make_snapshot("shop")))
        other = "seen" if method == "lease" else "lease"
        store.calls = []
        await (fail_open.seen("msg_1") if other == "seen" else fail_open.lease("till", "me", seconds=10))
        return given, took, fail_open.reachable, other in store.calls

    given, *rest = with_store(steps)

    if result == "unknown":
        assert (given.snapshot, given.valid) == (None, False)
    else:
        assert given == result
    assert rest == [0, True, True]


def test_it_is_logged_once_with_its_message(with_store, caplog):
    """Whatever is called in between, and however often."""
    caplog.set_level(logging.INFO, "balancekit.stores")

    async def steps(store, fail_open):
        for _ in range(100):
            store.refused = {"put": "no memory: raise maxmemory", "remember": "no rights: grant +set"}
            await fail_open.put("shop", None, version="0", age=0)
            await fail_open.get(["shop"])
            await fail_open.remember("msg_1", seconds=10)
            await asyncio.sleep(60)

    with_store(steps)

    assert caplog.messages == [
        "the store refuses a call: no memory: raise maxmemory",
        "the store refuses a call: no rights: grant +set",
    ]


def test_messages_that_are_new_each_time_are_bounded(with_store, caplog):
    """A store may put the id of the request into each; the last line says that more are not logged."""
    caplog.set_level(logging.INFO, "balancekit.stores")

    async def steps(store, fail_open):
        for number in range(100):
            store.refused["put"] = f"quota exceeded by request {number}"
            await fail_open.put("shop", None, version="0", age=0)

    with_store(steps)

    assert caplog.messages[19:] == [
        "the store refuses a call: quota exceeded by request 19",
        "further warnings like these are not logged for an hour",
    ]


@pytest.mark.parametrize(("pause", "lines"), [(3599, 1), (3600, 2)])
def test_it_is_logged_again_after_an_hour_without_it(with_store, caplog, pause, lines):
    """Then it is news."""

    async def steps(store, fail_open):
        store.refused["put"] = "full"
        for _ in range(2):
            await fail_open.put("shop", None, version="0", age=0)
            await asyncio.sleep(pause)

    with_store(steps)

    assert len(caplog.records) == lines


def test_a_refusal_ends_an_outage(with_store, caplog):
    """The store responds again."""
    caplog.set_level(logging.INFO, "balancekit.stores")

    async def steps(store, fail_open):
        store.fault = ConnectionError()
        await fail_open.get(["shop"])
        store.fault, store.refused = None, {"get": "full"}
        await asyncio.sleep(1)
        await fail_open.get(["shop"])

    with_store(steps)

    assert caplog.messages[1:] == ["the store is back", "the store refuses a call: full"]


def test_an_invalidation_is_kept_and_sent_when_it_is_accepted(with_store):
    """It is tried every second, and others are sent meanwhile."""

    async def steps(store, fail_open):
        store.refused["invalidate"] = "full"
        await fail_open.invalidate("shop")
        await asyncio.sleep(10)
        kept, tried = list(fail_open.pending_invalidations), store.calls.count("invalidate")
        store.refused.clear()
        await fail_open.invalidate("till")
        await asyncio.sleep(1)
        return kept, tried <= 12, (await known(store)).version, dict(fail_open.pending_invalidations)

    assert with_store(steps) == (["shop"], True, "2", {})


def test_of_many_invalidations_one_that_is_refused_keeps_no_other(with_store):
    """As on a node of a cluster that is full."""

    async def steps(store, fail_open):
        store.fault = ConnectionError()
        for key in ("shop", "till", "kiosk"):
            await fail_open.invalidate(key)
        store.fault, store.refused = None, {"invalidate till": "full"}
        await asyncio.sleep(2)
        return list(fail_open.pending_invalidations), fail_open.reachable

    assert with_store(steps) == (["till"], True)


def test_a_read_from_before_a_lookup_that_was_answered_is_not_joined_after_it(with_store):
    """Another process may have invalidated what it saw then, which a lookup that is refused does not say."""

    async def steps(store, fail_open):
        store.refused["get"] = "full"
        first, same = await known(fail_open), await known(fail_open)
        store.refused.clear()
        found = await known(fail_open)
        await MemoryStore.invalidate(store, "shop")
        store.refused["get"] = "full"
        return first == same, len({first.version, found.version, (await known(fail_open)).version})

    assert with_store(steps) == (True, 3)


def test_a_read_from_before_a_change_that_was_heard_of_is_not_joined_after_it(with_store):
    """Lookups may be refused while changes are not."""

    async def steps(store, fail_open):
        store.refused["get"] = "full"
        await fail_open.listen()
        before = await known(fail_open)
        await MemoryStore.invalidate(store, "shop")
        await asyncio.sleep(1)
        return before == await known(fail_open)

    assert not with_store(steps)


def test_an_invalidation_holds_although_lookups_are_refused(with_store):
    """No read from before it is joined, whether the store takes it or not."""

    async def steps(store, fail_open):
        store.refused["get"] = "no rights: grant +info"
        versions = [(await known(fail_open)).version]
        for refused in ({}, {"invalidate": "full"}):
            store.refused |= refused
            await fail_open.invalidate("shop")
            versions.append((await known(fail_open)).version)
        return len(set(versions))

    assert with_store(steps) == 3


@pytest.mark.parametrize("method", ["get", "put", "invalidate", "changes"])
def test_a_refusal_whose_text_cannot_be_read_is_one_too(with_store, make_snapshot, caplog, method):
    """An error of somebody's store may raise when it is shown; the log has the name of its class."""

    class SilentError(StoreRefusedError):
        def __str__(self):
            raise ValueError("no text")

    async def steps(store, fail_open):
        store.fault = SilentError()
        if method == "changes":
            await fail_open.listen()
        else:
            call = next(call for name, call, _ in CALLS if name == method)
            await call(fail_open, make_snapshot("shop"))
        return fail_open.reachable

    assert with_store(steps) is True
    assert caplog.messages[0] == "the store refuses a call: SilentError"
