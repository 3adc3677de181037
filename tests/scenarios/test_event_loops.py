"""One client in any event loop, and in one after the other, however the earlier ones ended. Real sockets."""

import asyncio
import gc
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.util import find_spec

import anyio
import pytest

from balancekit import AggregateClient, GetManyProvider, RateLimit
from balancekit.sandbox import Fault
from balancekit.stores import MemoryStore
from balancekit.testing import ManualClock
from tests.support.providers import Scripted, Till


class SlowStore(MemoryStore):
    """A store whose lookups take a while."""

    async def get(self, keys):
        """Look up in a tenth of a second."""
        await asyncio.sleep(0.1)
        return await super().get(keys)


def eager_loop():
    """Make a loop whose tasks begin when they are made."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def uv_loop():
    """Make a loop of uvloop."""
    import uvloop

    return uvloop.new_event_loop()


UV_LOOP = pytest.param(uv_loop, marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="there is no uvloop"))
LOOPS = [
    asyncio.new_event_loop,
    pytest.param(eager_loop, marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")),
    UV_LOOP,
]


@pytest.fixture
def till(sandbox):
    """Return an account of the sandbox."""
    return sandbox.add_getmany("till", {"USDC": "12.5"})


@pytest.fixture
def hung(sandbox):
    """Return an account that never responds."""
    account = sandbox.add_getmany("hung", {"USDC": "1"})
    sandbox.fail("hung", Fault(hang=True), times=100)
    return account


@pytest.fixture
def make_client():
    """Make a client of accounts of the sandbox."""

    def make(*accounts, **settings):
        return AggregateClient([GetManyProvider(one.label, **one.settings) for one in accounts], **settings)

    return make


def run(main, make_loop=asyncio.new_event_loop):
    """Run a coroutine in a loop of its own, and find what that has left open."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        result = runner.run(main)
    gc.collect()
    return result


@pytest.mark.parametrize("make_loop", LOOPS)
def test_callers_come_together_in_one_loop_after_the_other(make_loop, make_client, till):
    """Each is given its result, and each loop closes its connections, with nothing to warn of."""
    client = make_client(till)

    async def together():
        results = await asyncio.gather(*(client.fetch() for _ in range(5)))
        return [str(merged.amount("USDC")) for merged in results]

    assert [run(together(), make_loop) for _ in range(3)] == [["12.5"] * 5] * 3
    run(client.aclose(), make_loop)


@pytest.mark.parametrize("make_loop", LOOPS)
def test_everything_works_in_any_loop(make_loop, make_client, till, hung):
    """A deadline, a stream, a cancelled caller, a watch and an invalidation."""

    async def main():
        async with make_client(till, hung) as client:
            await client.fetch(["till"])
            late = await client.fetch(max_age=60, deadline=0.2)
            streamed = [outcome.account async for outcome in client.stream(["till"])]
            call = asyncio.create_task(client.fetch(["hung"]))
            await asyncio.wait([call], timeout=0.05)
            call.cancel()
            await asyncio.wait([call])
            async with client.watch(["till"], min_interval=0) as watch:
                first = await anext(watch)
                till.set("USDC", "13")
                await client.invalidate("till")
                second = await anext(watch)
                while not second.complete:
                    # A busy machine may show first what is still to be read.
                    second = await anext(watch)
        failed = [failure.account for failure in late.failures]
        return failed, streamed, call.cancelled(), [str(state.amount("USDC")) for state in (first, second)]

    assert run(main(), make_loop) == (["hung"], ["till"], True, ["12.5", "13"])


def test_cancel_scopes_and_task_groups_of_anyio(make_client, till, hung):
    """A scope ends a call, and the client goes on; the callers of a group share a request."""

    async def main():
        async with make_client(till, hung) as client:
            with anyio.move_on_after(0.05) as scope:
                await client.fetch()
            results = []

            async def ask():
                results.append(await client.fetch(["till"], max_age=60))

            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(ask)
            with anyio.fail_after(30):
                results += [outcome async for outcome in client.stream(["till"])]
            return scope.cancelled_caught, len(results)

    assert anyio.run(main) == (True, 6)


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, UV_LOOP])
def test_callers_of_a_loop_that_was_closed_cost_nobody_anything(make_loop, caplog):
    """Their account is not down, and the permit of their request comes back."""
    caplog.set_level("INFO", logger="balancekit")
    shop = Scripted("shop", 9e9)
    client = AggregateClient([shop], rate_limits={"scripted": RateLimit(1, per=0.01)})
    loop = make_loop()
    call = loop.create_task(client.fetch())
    # Its end is never looked at, since its loop does not run any more.
    call._log_destroy_pending = False
    loop.run_until_complete(asyncio.wait([call], timeout=0.05))
    loop.close()

    merged = run(client.fetch(), make_loop)
    run(client.aclose(), make_loop)

    assert merged.complete
    assert client.status()["shop"].up
    assert [record.message for record in caplog.records if "is down" in record.message] == []
    client = call = None
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("make_store", [lambda: None, SlowStore], ids=["alone", "shared"])
@pytest.mark.parametrize("seconds", [0.01, 0.2], ids=["looking up", "reading"])
def test_what_is_under_way_when_a_loop_ends_ends_with_it(make_loop, make_store, seconds, caplog):
    """No task is left of what a watch and a caller still wait for, nothing more is read, and no account is down."""
    caplog.set_level("INFO")
    tills = [Till(f"till {number}", takes=9e9) for number in range(5)]
    client = AggregateClient(tills, concurrency=1, store=make_store())

    async def leave_watch():
        calls = [client.fetch(max_age=60), anext(client.watch(["till 0"])), anext(client.watch())]
        await asyncio.wait([asyncio.ensure_future(call) for call in calls], timeout=seconds)
        return sum(till.requests for till in tills)

    requests = run(leave_watch(), make_loop)
    states = client.status().values()
    run(client.aclose(), make_loop)

    assert sum(till.requests for till in tills) == requests
    assert [state.up for state in states] == [None] * 5
    assert [record.message for record in caplog.records if record.name.startswith(("asyncio", "balancekit"))] == []


def test_a_client_whose_loop_was_closed_is_closed_in_another():
    """Its session ends, with nothing to warn of."""
    client = AggregateClient([Scripted("shop", 9e9)])
    loop = asyncio.new_event_loop()
    call = loop.create_task(client.fetch())
    call._log_destroy_pending = False
    loop.run_until_complete(asyncio.wait([call], timeout=0.2))
    loop.close()

    for _ in range(2):
        run(client.aclose())

    with pytest.raises(RuntimeError, match="the client is closed"):
        run(client.fetch())
    client = call = None
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False


def test_callers_of_a_loop_that_was_stopped_are_given_a_failure_when_it_runs_again(make_client, sandbox, till, hung):
    """Their requests ended when another loop took the client."""
    client = make_client(till, hung)

    async def both_are_under_way():
        while not client.latest().accounts or len(sandbox.requests) < 2:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)

    with asyncio.Runner() as stopped, asyncio.Runner() as used:
        call = stopped.get_loop().create_task(client.fetch())
        stopped.run(both_are_under_way())

        assert used.run(client.fetch(["till"])).complete
        merged = stopped.run(asyncio.wait_for(call, 30))

        used.run(client.aclose())
    assert [failure.account for failure in merged.failures] == ["hung"]


def test_a_second_look_that_one_loop_did_not_come_to_is_taken_in_the_next():
    """What a webhook has announced is not forgotten, although no loop runs until a later call."""
    clock, shop = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), Till("shop", takes=0)
    client = AggregateClient([shop], clock=clock, settle_delay=5)

    async def receive():
        await client.handle_webhook("shop", {}, b"1")
        await client.fetch(max_age=3600)

    async def read():
        return (await client.fetch(max_age=3600)).amount("BTC")

    run(receive())
    before = run(read())
    run(clock.advance(6))
    after = run(read())
    run(client.aclose())

    assert (before, after) == (1, 2)


@pytest.mark.parametrize("settings", [{"timeout": 1.0}, {"deadline": 1.0}])
def test_responses_that_arrive_while_the_loop_is_blocked_count(settings, make_client, till, sandbox):
    """Neither the timeout of the attempt nor the deadline of the call ends a read whose response is there."""

    async def main():
        async with make_client(till, **settings) as client:
            assert (await client.fetch()).complete
            sandbox.fail("till", Fault(delay=0.1))
            call = asyncio.create_task(client.fetch())
            while len(sandbox.requests) < 2:  # noqa: ASYNC110 - the sandbox runs in another thread
                await asyncio.sleep(0.001)
            time.sleep(1.3)  # noqa: ASYNC251 - this is what is tested
            return await call

    assert run(main()).complete


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_client_is_used_in_a_child_after_a_fork(till):
    """Made, and used in a loop that still runs, by the parent: each has a connection of its own."""
    program = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from balancekit import AggregateClient, GetManyProvider
key_id, signing_key, base_url = sys.argv[1:]
client = AggregateClient([GetManyProvider("till", key_id=key_id, signing_key=signing_key, base_url=base_url)])
async def show(): print((await client.fetch()).to_text(), flush=True)
async def end():
    async with client: await show()
async def main():
    await show()
    child = os.fork()
    if child == 0: return child
    print(os.waitpid(child, 0)[1])
    await end()
    return child
with asyncio.Runner() as runner:
    if runner.run(main()) == 0:
        asyncio.run(end())
        sys.stdout.flush()
        os._exit(0)
"""
    settings = [till.settings[name] for name in ("key_id", "signing_key", "base_url")]
    ran = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", program, *settings],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert ran.stdout + ran.stderr == "USDC 12.5\nUSDC 12.5\n0\nUSDC 12.5\n"
