"""Invalidations that a store could not take, behind a fail-open store. Time is virtual."""

import asyncio
import sys

import pytest

from balancekit.stores import MemoryStore
from tests.support.stores import known, put, timed

NOT_SENT = "the store does not know that 1 accounts may have changed"


def test_until_they_are_sent_their_accounts_are_unknown(with_store, make_snapshot):
    """No snapshot from before is taken for valid, though the store has not been informed."""

    async def steps(store, fail_open):
        await put(store, make_snapshot("shop"))
        store.refused["invalidate"] = "full"
        await fail_open.invalidate("shop")
        stored, till = await fail_open.get(["shop", "till"])
        return stored.snapshot, stored.valid, fail_open.is_known(stored.version), till.version

    assert with_store(steps) == (None, False, False, "0")


def test_of_an_account_that_others_invalidate_meanwhile_no_earlier_read_is_joined(with_store):
    """The store answers, so that their invalidations are noticed."""

    async def steps(store, fail_open):
        store.refused["invalidate"] = "full"
        await fail_open.invalidate("shop")
        versions = [(await known(fail_open)).version, (await known(fail_open)).version]
        await MemoryStore.invalidate(store, "shop")
        return versions[0] == versions[1], (await known(fail_open)).version in versions

    assert with_store(steps) == (True, False)


def test_those_of_an_earlier_event_loop_are_sent_too(with_store):
    """A client may be used in one loop after another."""

    async def steps(store, fail_open):
        assert not fail_open.is_known((await known(fail_open)).version)
        return (await known(fail_open)).version, dict(fail_open.pending_invalidations)

    pending = {"shop": object()}

    assert with_store(steps, pending_invalidations=pending) == ("1", {})
    assert list(pending) == ["shop"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")
def test_eager_tasks_send_them_no_more_often(with_store):
    """Once a second, though each call to the store sees to it that they are sent."""

    async def steps(store, fail_open):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        store.refused["invalidate"] = "full"
        await fail_open.invalidate("shop")
        await asyncio.sleep(3.5)
        return store.calls.count("invalidate")

    assert with_store(steps) == 5


def test_thousands_are_sent_when_the_store_is_back_far_away(with_store):
    """They go out together, whatever a round trip takes."""

    async def steps(store, fail_open):
        store.fault = ConnectionError()
        await asyncio.gather(*(fail_open.invalidate(f"{number}") for number in range(12_000)))
        store.fault = 0.05
        await asyncio.sleep(2)
        return dict(fail_open.pending_invalidations)

    assert with_store(steps) == {}


def test_they_are_sent_though_no_other_call_is_made(with_store):
    """A process that only receives webhooks sends them when the store is back."""

    async def steps(store, fail_open):
        store.fault = ConnectionError()
        await fail_open.invalidate("shop")
        await asyncio.sleep(10)
        store.fault = None
        await asyncio.sleep(1)
        return (await known(store)).version, dict(fail_open.pending_invalidations)

    assert with_store(steps) == ("1", {})


def test_one_that_comes_again_while_it_is_sent_is_sent_again(with_store):
    """What happened after the call was made is not known to have been in time for it."""

    async def steps(store, fail_open):
        store.fault = ConnectionError()
        await fail_open.invalidate("shop")
        store.fault = 0.2
        await asyncio.sleep(1.1)
        # It is being sent now.
        await fail_open.invalidate("shop")
        await asyncio.sleep(2)
        return (await known(store)).version, dict(fail_open.pending_invalidations)

    assert with_store(steps) == ("2", {})


def test_closing_sends_them(with_store, caplog):
    """Cooldown or not: it is the last chance."""

    async def steps(store, fail_open):
        store.fault = ConnectionError()
        await fail_open.invalidate("shop")
        store.fault = None
        await fail_open.aclose()
        return (await known(store)).version

    assert with_store(steps) == "1"
    assert NOT_SENT not in caplog.text


def test_closing_logs_those_that_cannot_be_sent(with_store, caplog):
    """Other processes may take old snapshots for valid."""

    async def steps(store, fail_open):
        store.fault = ConnectionError()
        await fail_open.invalidate("shop")
        return await timed(fail_open.aclose())

    assert with_store(steps) == (None, 0)
    assert NOT_SENT in caplog.text
