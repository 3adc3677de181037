"""Changes that other processes make, heard through a fail-open store. Time is virtual."""

import asyncio

import pytest

from balancekit import Clock
from balancekit.stores import Change
from balancekit.stores.fail_open import FailOpenStore
from tests.support.stores import FAULTS, HANGS, FlakyStore, timed


@pytest.fixture
def with_listener(run_virtually):
    """Run a test's steps with a store that can fail, one that listens to it, and the changes that it hears of."""

    def run(steps):
        async def main():
            store, changes = FlakyStore(), []
            fail_open = FailOpenStore(store, changes.append, Clock())
            result = await steps(store, fail_open, changes)
            await fail_open.aclose()
            return result

        return run_virtually(main())

    return run


def test_changes_are_passed_on_once_listening_has_begun(with_listener):
    """However often it is asked for, it begins once."""

    async def steps(store, fail_open, changes):
        await store.invalidate("till")
        await asyncio.gather(fail_open.listen(), fail_open.listen())
        await store.invalidate("shop")
        await asyncio.sleep(1)
        return changes

    assert with_listener(steps) == [Change(None), Change("shop", invalidated=True)]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS.values() if fault is not HANGS], ids=repr)
def test_listening_begins_again_after_a_failure(with_listener, fault):
    """A change without a key stands for all that may have been missed."""

    async def steps(store, fail_open, changes):
        await fail_open.listen()
        await store.invalidate("shop")
        store.fault = fault
        await asyncio.sleep(0.5)
        store.fault = None
        await asyncio.sleep(1)
        await store.invalidate("till")
        await asyncio.sleep(1)
        return changes

    assert with_listener(steps) == [Change(None), Change(None), Change("till", invalidated=True)]


def test_listening_begins_again_after_the_program_has_cancelled_all_of_its_tasks(with_listener):
    """Some programs do, to end what they have begun, and go on with the client."""

    async def steps(store, fail_open, changes):
        await fail_open.listen()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(1)
        await fail_open.listen()
        await store.invalidate("till")
        await asyncio.sleep(1)
        return changes

    assert with_listener(steps) == [Change(None), Change(None), Change("till", invalidated=True)]


def test_a_store_that_hangs_is_not_waited_for(with_listener):
    """The caller has other things to do, and the next one need not find out again."""

    async def steps(store, fail_open, changes):
        store.fault = HANGS
        return [await timed(fail_open.listen()) for _ in range(2)]

    assert with_listener(steps) == [(None, 0.5), (None, 0)]


def test_a_store_that_refuses_to_be_listened_to_is_logged_once(with_listener, caplog):
    """Nobody waits for it, and it is asked again."""

    async def steps(store, fail_open, changes):
        store.refused["changes"] = "no rights: grant &shop:*"
        _, took = await timed(fail_open.listen())
        await asyncio.sleep(10)
        store.refused.clear()
        await asyncio.sleep(1)
        return took, changes

    assert with_listener(steps) == (0, [Change(None)])
    assert caplog.messages == ["the store refuses a call: no rights: grant &shop:*"]


def test_a_task_factory_of_the_host_need_not_know_of_contexts(with_store):
    """Asyncio passes a factory what `create_task` was given beside the coroutine; many take nothing."""

    async def steps(store, fail_open):
        asyncio.get_running_loop().set_task_factory(lambda loop, call: asyncio.Task(call, loop=loop))
        await fail_open.listen()
        store.refused["invalidate"] = "full"
        await fail_open.invalidate("shop")
        asyncio.get_running_loop().set_task_factory(None)
        return list(fail_open.pending_invalidations)

    assert with_store(steps) == ["shop"]
