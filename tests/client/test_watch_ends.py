"""How a watch ends, and what does not end it: timeouts, heartbeats, tasks that are cancelled. Time is virtual."""

import asyncio
from contextlib import suppress

import pytest

from balancekit import AggregateClient
from tests.support.clock import LoopClock
from tests.support.providers import QuickTill
from tests.support.stores import HANGS, FlakyStore
from tests.support.virtual_time import VirtualLoop
from tests.support.watching import Seen


def now():
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


async def _follow(watch):
    async for _ in watch:
        pass


async def _wait_for(watch):
    return await asyncio.wait_for(anext(watch), 0.07)


async def _timeout(watch):
    async with asyncio.timeout(0.07):
        return await anext(watch)


async def _cancelled(watch):
    task = asyncio.create_task(anext(watch))
    done, _ = await asyncio.wait({task}, timeout=0.07)
    if not done:
        task.cancel()
        await asyncio.wait({task})
        raise TimeoutError
    return task.result()


@pytest.mark.parametrize("wait", [_wait_for, _timeout, _cancelled])
def test_a_wait_that_is_cut_off_ends_and_loses_nothing(with_quick_till, wait):
    """However often a wait for the next state is cancelled, at whatever moment, each change is seen."""

    async def steps(client, till):
        watch, amounts, waits = client.watch(), [], 0
        for number in range(1, 20):
            till.held, till.takes = str(number), 0.01 * number
            await client.invalidate("till")
            while not amounts or amounts[-1] != number:
                waits += 1
                with suppress(TimeoutError):
                    amounts.append((await wait(watch)).amount("BTC"))
        return list(dict.fromkeys(amounts)), waits > 100

    assert with_quick_till(steps) == (list(range(1, 20)), True)


def test_a_heartbeat_ends_and_loses_nothing(with_quick_till):
    """A handler that sends something every 15 s if there is no state, as proxies want, sees every change."""

    async def steps(client, till):
        sent = []

        async def handler():
            async with client.watch() as states:
                coming = asyncio.ensure_future(anext(states))
                while len(sent) < 6:
                    await asyncio.wait({coming}, timeout=15)
                    if not coming.done():
                        sent.append("ping")
                        continue
                    sent.append(coming.result().amount("BTC"))
                    coming = asyncio.ensure_future(anext(states))
            await asyncio.wait({coming})

        task = asyncio.create_task(handler())
        await asyncio.sleep(40)
        till.held = "2"
        await client.invalidate("till")
        await task
        return sent

    assert with_quick_till(steps) == [1, "ping", "ping", 2, "ping", "ping"]


def test_a_watch_that_is_cut_off_while_it_begins_goes_on(run_virtually):
    """A store that hangs keeps a watch from listening for a while: a timeout in that time ends nothing."""

    async def main():
        store = FlakyStore()
        store.fault = HANGS
        async with AggregateClient([QuickTill()], store=store, clock=LoopClock()) as client:
            watch = client.watch()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(watch), 0.01)
            return (await asyncio.wait_for(anext(watch), 5)).amount("BTC")

    assert run_virtually(main()) == 1


def test_a_watch_belongs_to_one_event_loop():
    """In another one it raises RuntimeError, which says what to do; a new watch works there, whatever was left."""
    till = QuickTill(held="1")
    client = AggregateClient([till], clock=LoopClock())
    watch = client.watch()

    async def first():
        merged = await anext(watch)
        coming = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(1)
        till.held, till.broken = "2", True
        # Leaves timers behind.
        await client.invalidate("till")
        await asyncio.sleep(0.2)
        return merged.amount("BTC"), coming

    async def second():
        # The clock of a loop in virtual time begins anew, which no monotonic one does.
        await asyncio.sleep(60)
        with pytest.raises(RuntimeError, match="another event loop: make one in this loop"):
            await anext(watch)
        till.broken = False
        other = client.watch()
        first = await anext(other)
        with pytest.raises(RuntimeError, match="another event loop"):
            await anext(watch)
        till.held = "3"
        await client.invalidate("till")
        later = await asyncio.wait_for(anext(other), 5)
        await client.aclose()
        return first.amount("BTC"), later.amount("BTC")

    loop = VirtualLoop()
    amount, _ = loop.run_until_complete(first())
    # Without cancelling what is left in it.
    loop.close()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert (amount, runner.run(second())) == (1, (2, 3))


@pytest.mark.parametrize(
    "call",
    [lambda client: client.fetch(), lambda client: client.add(QuickTill("b")), lambda client: client.remove("a")],
    ids=["fetch", "add", "remove"],
)
def test_a_watch_ends_when_its_client_moves_to_another_event_loop(call):
    """Its own stands still, and may run again: the watch does not wait for ever for what happens elsewhere."""
    client = AggregateClient([QuickTill("a")])
    watch = client.watch()

    async def rest():
        async with asyncio.timeout(60):
            return [merged async for merged in watch]

    with asyncio.Runner(loop_factory=VirtualLoop) as first, asyncio.Runner(loop_factory=VirtualLoop) as second:
        assert first.run(anext(watch)).complete
        second.run(call(client))
        states = first.run(rest())
        second.run(client.aclose())

    assert states == []


def test_a_watch_ends_with_the_client(with_quick_till):
    """Closing the client ends every loop over a watch, whether it waits or reads."""

    async def steps(client, till):
        waiting = Seen(client)
        await asyncio.sleep(1)
        reading = Seen(client)
        await asyncio.sleep(0.05)
        await client.aclose()
        await asyncio.gather(waiting.task, reading.task)
        return waiting.amounts, reading.amounts

    assert with_quick_till(steps) == ([1], [])


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1], ids=["at once", "joining", "joined", "reading"])
def test_a_watch_of_a_change_ends_with_the_client(with_quick_till, after):
    """Whether it waits for others to join the change or for the response: it ends at once, and raises nothing."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        await client.invalidate("till")
        await asyncio.sleep(after)
        closed_at = asyncio.get_running_loop().time()
        await client.aclose()
        await seen.task
        return seen.amounts, asyncio.get_running_loop().time() - closed_at

    assert with_quick_till(steps) == ([1], 0)


@pytest.mark.parametrize("after", [0.03, 0.11, 0.5], ids=["reading", "joining", "waiting"])
@pytest.mark.parametrize("close", [lambda client, watch: watch.aclose(), lambda client, watch: client.aclose()])
def test_every_task_that_waits_is_ended_at_once(with_quick_till, after, close):
    """All that wait for the next state of a watch that is closed get StopAsyncIteration, and later ones, too."""

    async def steps(client, till, hung):
        watch = client.watch()
        tasks = [asyncio.create_task(_follow(watch)) for _ in range(3)]
        await asyncio.sleep(after)
        closed_at = now()
        await close(client, watch)
        await asyncio.gather(*tasks)
        assert now() == closed_at
        with pytest.raises(StopAsyncIteration):
            await anext(watch)

    with_quick_till(steps, QuickTill(), QuickTill("hung", takes=9))


def test_watches_can_be_stopped_before_the_client_is_closed(with_quick_till):
    """A server that stops ends all watches, also those that begin while it does, and answers other requests."""

    async def steps(client, till):
        waiting = Seen(client)
        await asyncio.sleep(1)
        client.stop_watching()
        await waiting.task
        return [merged async for merged in client.watch()], (await client.fetch()).amount("BTC")

    assert with_quick_till(steps) == ([], 1)


def test_a_watch_that_begins_after_the_close_ends_at_once(with_quick_till):
    """A watch that was made before the client closed, and is read only afterwards, gives nothing."""

    async def steps(client, till):
        states = client.watch()
        await client.aclose()
        return [merged async for merged in states], till.requests

    assert with_quick_till(steps) == ([], 0)


def test_no_provider_keeps_a_watch_waiting_for_ever(with_quick_till):
    """A provider that asks for a year's peace is asked again within the hour."""

    async def steps(client, till):
        till.broken = True
        till.retry_after = 3e7
        seen = Seen(client)
        await asyncio.sleep(1)
        till.broken = False
        await asyncio.sleep(3600)
        return [merged.complete for merged in seen.states]

    assert with_quick_till(steps) == [False, True]


def test_a_watch_that_is_left_is_forgotten(with_quick_till):
    """Only what was scheduled is read for somebody who has gone, once, and nothing is left waiting."""

    async def steps(client, till):
        till.broken = True
        seen = Seen(client)
        await asyncio.sleep(1)
        seen.task.cancel()
        await asyncio.sleep(600)
        return till.requests, client._core.idle

    assert with_quick_till(steps) == (2, True)
