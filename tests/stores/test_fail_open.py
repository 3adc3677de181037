"""A store behind which no call raises or takes long, whatever the store does. Time is virtual."""

import asyncio
import io
import logging
from contextlib import suppress

import pytest

from balancekit.stores.base import StoreRefusedError
from tests.support.logs import BrokenHandler, broken_handler, handled_by
from tests.support.stores import CALLS, FAULTS, HANGS, LIMIT, known, timed


class TestAvailable:
    """A store that works."""

    def test_every_call_reaches_the_store(self, with_store, make_snapshot):
        """What was put through one is in the other."""

        async def steps(store, fail_open):
            version = (await known(fail_open)).version
            await fail_open.put("shop", make_snapshot("shop"), version=version, age=3)
            await fail_open.lease("shop", "me", seconds=10)
            await fail_open.remember("msg_1", seconds=60)
            await fail_open.acquire_permit("bank", LIMIT, "a", hold=10)
            assert await known(fail_open) == await known(store)
            assert (await known(store)).snapshot == make_snapshot("shop")
            assert await store.lease("shop", "you", seconds=10) > 0
            assert await store.seen("msg_1")
            assert await store.acquire_permit("bank", LIMIT, "b", hold=10) == 60

            await fail_open.invalidate("shop")
            await fail_open.release("shop", "me")
            await fail_open.release_permit("bank", LIMIT, "a")
            await asyncio.sleep(60)
            assert not (await known(store)).valid
            assert await store.lease("shop", "you", seconds=10) == 0
            assert await store.acquire_permit("bank", LIMIT, "b", hold=10) == 0

        with_store(steps)

    def test_events_of_other_processes_are_seen(self, with_store):
        """The store remembers them for all."""

        async def steps(store, fail_open):
            await store.remember("msg_1", seconds=60)
            return await fail_open.seen("msg_1"), await fail_open.seen("msg_2")

        assert with_store(steps) == (True, False)

    def test_concurrent_lookups_are_one_call(self, with_store):
        """Those that come while it is under way are the next."""

        async def steps(store, fail_open):
            store.fault = 0.1
            found = await asyncio.gather(*(fail_open.get(["shop", f"till {number}"]) for number in range(50)))
            return {len(stored) for stored in found}, store.calls

        assert with_store(steps) == ({2}, ["get"])

    def test_a_lookup_that_is_cancelled_fails_no_other(self, with_store):
        """They share the call, and nothing else."""

        async def steps(store, fail_open):
            store.fault = 0.1
            leaving, staying = (asyncio.create_task(known(fail_open)) for _ in range(2))
            await asyncio.sleep(0.05)
            leaving.cancel()
            return (await staying).version

        assert with_store(steps) == "0"

    def test_a_slow_store_is_waited_for_once_for_a_thousand_accounts(self, with_store):
        """They are looked up in ten batches at once."""

        async def steps(store, fail_open):
            await store.invalidate("900")
            store.fault, store.calls = 0.4, []
            stored, took = await timed(fail_open.get([f"{number}" for number in range(1000)]))
            return len(stored), stored[900].version, took, store.calls

        assert with_store(steps) == (1000, "1", pytest.approx(0.4), ["get"] * 10)

    def test_a_lookup_of_many_accounts_keeps_no_other_waiting(self, with_store):
        """Another one waits for the call under way, and not for all that follow."""

        async def steps(store, fail_open):
            store.fault = 0.4
            many = asyncio.create_task(fail_open.get([f"{number}" for number in range(12_000)]))
            await asyncio.sleep(0.1)
            _, took = await timed(known(fail_open))
            return took, len(await many)

        assert with_store(steps) == (pytest.approx(0.3 + 0.4), 12_000)

    def test_twelve_thousand_accounts_are_found_in_a_store_that_is_far_away(self, with_store, caplog):
        """A round trip of 50 ms is no outage, however many of them there are."""

        async def steps(store, fail_open):
            store.fault = 0.05
            stored, took = await timed(fail_open.get([f"{number}" for number in range(12_000)]))
            return {one.version for one in stored}, took

        assert with_store(steps) == ({"0"}, pytest.approx(12 * 0.05))
        assert not caplog.records

    def test_a_store_that_answers_other_calls_is_not_out_of_reach(self, with_store, caplog):
        """It has only twenty connections, so that many of a thousand calls at once wait for one."""
        caplog.set_level(logging.INFO, "balancekit.stores")

        async def steps(store, fail_open):
            store.fault, store.connections = 0.05, asyncio.Semaphore(20)
            waits = await asyncio.gather(*(timed(fail_open.lease(f"{n}", "me", seconds=10)) for n in range(1000)))
            return fail_open.reachable, max(took for _, took in waits)

        assert with_store(steps) == (True, pytest.approx(0.5))
        assert caplog.messages == ["the store is slow: it answers, but not every call within 0.5 s"]

    def test_a_busy_event_loop_is_not_taken_for_a_slow_store(self, with_store, caplog):
        """A response that came while nobody had the time to look is a response."""

        async def steps(store, fail_open):
            await store.invalidate("shop")
            store.fault = 0.1
            lookup = asyncio.create_task(known(fail_open))
            await asyncio.sleep(0.05)
            # Something else keeps the loop for three seconds.
            asyncio.get_running_loop().now += 3
            return (await lookup).version

        assert with_store(steps) == "1"
        assert not caplog.records

    def test_a_call_in_the_background_is_waited_for_at_the_end(self, with_store):
        """What was begun before the end still reaches the store; what comes later does not begin."""

        async def steps(store, fail_open):
            store.fault = 0.1
            fail_open.run_in_background(fail_open.invalidate("shop"))
            await fail_open.aclose()
            fail_open.run_in_background(fail_open.invalidate("shop"))
            return store.calls, (await known(store)).version

        assert with_store(steps) == (["invalidate", "get"], "1")


class TestUnavailable:
    """A store that fails, whichever way."""

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    @pytest.mark.parametrize(("method", "call", "result"), CALLS, ids=[method for method, _, _ in CALLS])
    def test_no_call_raises_or_takes_long(self, with_store, make_snapshot, method, call, result, fault):
        """Accounts are unknown, and leases and permits granted: all that a store could do is done without."""

        async def steps(store, fail_open):
            store.fault = fault
            given, took = await timed(call(fail_open, make_snapshot("shop")))
            return given, took, fail_open.reachable

        given, took, reachable = with_store(steps)

        if result == "unknown":
            assert (given.snapshot, given.valid) == (None, False)
        else:
            assert given == result
        assert took <= 0.5
        assert not reachable

    def test_events_of_this_process_are_remembered(self, with_store):
        """A webhook that is delivered again during an outage is acted on once."""

        async def steps(store, fail_open):
            store.fault = ConnectionError()
            await fail_open.remember("msg_1", seconds=60)
            return await fail_open.seen("msg_1"), await fail_open.seen("msg_2")

        assert with_store(steps) == (True, False)

    def test_a_snapshot_from_before_an_invalidation_is_of_another_version(self, with_store):
        """The store could not say so, and what was being read then must not count as valid."""

        async def steps(store, fail_open):
            store.fault = ConnectionError()
            before, same = await known(fail_open), await known(fail_open)
            await fail_open.invalidate("shop")
            return before == same, (await known(fail_open)).version != before.version

        assert with_store(steps) == (True, True)

    def test_a_snapshot_from_an_earlier_outage_is_of_another_version(self, with_store):
        """Between the two, other processes may have invalidated it."""

        async def steps(store, fail_open):
            versions = []
            for _ in range(2):
                store.fault = ConnectionError()
                versions.append((await known(fail_open)).version)
                store.fault = None
                await asyncio.sleep(1)
                await fail_open.get(["shop"])
            return len(set(versions))

        assert with_store(steps) == 2

    def test_a_call_that_is_cancelled_is_cancelled(self, with_store):
        """It is no failure of the store."""

        async def steps(store, fail_open):
            store.fault = HANGS
            call = asyncio.create_task(fail_open.lease("shop", "me", seconds=10))
            await asyncio.sleep(0.1)
            call.cancel()
            await asyncio.wait([call])
            return call.cancelled(), fail_open.reachable

        assert with_store(steps) == (True, True)

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_the_log_has_one_line_when_it_fails_and_one_when_it_is_back(self, with_store, fault, caplog):
        """Neither shows the address, which may hold a password."""
        caplog.set_level(logging.INFO, "balancekit.stores")

        async def steps(store, fail_open):
            for now in (None, fault, None):
                store.fault = now
                for _ in range(3):
                    await fail_open.get(["shop"])
                await asyncio.sleep(2)
                await fail_open.get(["shop"])

        with_store(steps)

        failed, back = (record.getMessage() for record in caplog.records)
        assert failed.startswith("the store is out of reach (")
        assert failed.endswith("): accounts are read without it")
        assert back == "the store is back"
        assert "hunter2" not in caplog.text

    @pytest.mark.parametrize("fault", [ConnectionError(), StoreRefusedError("full")], ids=repr)
    def test_a_log_handler_that_raises_fails_no_call(self, with_store, fault):
        """It is the host's, and nothing that a caller could mend."""

        async def steps(store, fail_open):
            store.fault = fault
            granted = await fail_open.lease("shop", "me", seconds=10)
            store.fault = None
            await asyncio.sleep(1)
            return granted, (await known(fail_open)).version

        with broken_handler():
            assert with_store(steps) == (0, "0")


class TestCooldown:
    """The time after a failure, and the return of the store."""

    def test_a_store_that_failed_is_not_called_for_a_second(self, with_store):
        """Callers in that time do not wait."""

        async def steps(store, fail_open):
            store.fault = HANGS
            await fail_open.get(["shop"])
            _, took = await timed(fail_open.seen("msg_1"))
            await asyncio.sleep(0.9)
            await fail_open.seen("msg_1")
            return took, store.calls

        assert with_store(steps) == (0, ["get"])

    def test_after_the_cooldown_one_call_tries_for_all(self, with_store):
        """If it hangs again, it is the only one that waits."""

        async def steps(store, fail_open):
            store.fault = HANGS
            await fail_open.get(["shop"])
            await asyncio.sleep(1)
            waited = await asyncio.gather(*(timed(fail_open.seen(f"msg_{number}")) for number in range(9)))
            return sorted(took for _, took in waited)

        assert with_store(steps) == [0] * 8 + [pytest.approx(0.5)]

    def test_a_store_that_works_again_is_used_again(self, with_store):
        """By itself, after the cooldown."""

        async def steps(store, fail_open):
            await store.invalidate("shop")
            store.fault = ConnectionError()
            await fail_open.get(["shop"])
            store.fault = None
            await asyncio.sleep(1)
            return (await known(fail_open)).version, fail_open.reachable

        assert with_store(steps) == ("1", True)

    def test_a_call_from_before_the_failure_does_not_end_the_outage(self, with_store, caplog):
        """That it succeeded says nothing of the store now."""
        caplog.set_level(logging.INFO, "balancekit.stores")

        async def steps(store, fail_open):
            store.fault = 0.2
            early = asyncio.create_task(fail_open.seen("msg_1"))
            await asyncio.sleep(0.1)
            store.fault = ConnectionError()
            await fail_open.seen("msg_2")
            await early
            return fail_open.reachable

        assert not with_store(steps)
        assert len(caplog.records) == 1


def test_closing_ends_the_calls_under_way(with_store):
    """Their callers get what they would without a store, soon."""

    async def steps(store, fail_open):
        store.fault = HANGS
        lookup = asyncio.create_task(known(fail_open))
        await asyncio.sleep(0.1)
        _, took = await timed(fail_open.aclose())
        return (await lookup).version, took <= 0.5

    assert with_store(steps) == ("unknown 1", True)


def test_closing_does_not_wait_for_a_background_call_that_hangs(with_store):
    """It is cancelled when it has had its time."""

    async def steps(store, fail_open):
        fail_open.run_in_background(asyncio.sleep(HANGS))
        return await timed(fail_open.aclose())

    assert with_store(steps) == (None, pytest.approx(0.4))


@pytest.mark.parametrize(
    ("method", "call", "result"), [one for one in CALLS if one[0] in {"invalidate", "seen", "remember"}]
)
def test_a_store_that_ignores_cancellation_is_not_waited_for(with_store, make_snapshot, method, call, result):
    """Nor is it asked again at once: these calls have no deadline, as those for reading an account have."""

    async def steps(store, fail_open):
        loop = asyncio.get_running_loop()

        async def ignore(*_, **__):
            until = loop.time() + 60
            while loop.time() < until:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(until - loop.time())

        setattr(store, method, ignore)
        given, took = await timed(call(fail_open, make_snapshot("shop")))
        again, took_again = await timed(call(fail_open, make_snapshot("shop")))
        reachable = fail_open.reachable
        await asyncio.sleep(200)
        return [given, again], took, took_again, reachable

    assert with_store(steps) == ([result, result], 1.0, 0.0, False)


@pytest.mark.parametrize("handler", [BrokenHandler(), logging.StreamHandler(io.StringIO())], ids=["raises", "closed"])
def test_a_log_handler_that_fails_shows_nothing_of_what_the_store_raised(with_store, capsys, handler):
    """Python prints what was being handled as well, in which there may be an address with a password."""
    if isinstance(handler, logging.StreamHandler):
        handler.stream.close()

    async def steps(store, fail_open):
        with handled_by(handler):
            store.fault = ConnectionError("redis://user:hunter2@host")
            await fail_open.get(["shop"])

    with_store(steps)

    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "hunter2" not in shown
