"""The end of a client: within a second nobody waits any more, and nothing is left. Time is virtual."""

import asyncio
from contextlib import suppress

import pytest

from balancekit import AggregateClient, RateLimit, RateLimitedError, RetryPolicy
from tests.support.begun_tasks import note_begun_tasks
from tests.support.clock import LoopClock
from tests.support.providers import Bank, QuickTill, Scripted, bitcoin, outage
from tests.support.stores import HANGS, FlakyStore
from tests.support.watching import Seen

STUBBORN = 30
"""For how many seconds the stubborn ones ignore every cancellation."""


async def go_on():
    """Wait, whoever cancels that."""
    loop = asyncio.get_running_loop()
    end = loop.time() + STUBBORN
    while loop.time() < end:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(end - loop.time())


class StubbornTill(QuickTill):
    """A provider that responds late, and ignores every cancellation."""

    async def fetch_balances(self, session):
        """Respond after half a minute."""
        await go_on()
        return bitcoin(self, 1)


class StubbornStore(FlakyStore):
    """A store that ignores every cancellation while it is `stubborn`."""

    stubborn = False

    async def fail(self, *call):
        """Take half a minute."""
        if self.stubborn:
            await go_on()
        await super().fail(*call)


class RefusedBank(Bank):
    """A bank that asks for ten minutes' peace."""

    async def fetch_balances(self, session):
        """Respond 429."""
        raise RateLimitedError("429", account=self.account, provider="bank", status=429, retry_after=20)


def accounts(kind, count=20, **settings):
    """Make providers."""
    return [kind(f"till{number}", **settings) for number in range(count)]


def callers(client, count):
    """Let so many callers wait for all accounts, and a tenth of them watch."""
    fetches = [asyncio.create_task(client.fetch(max_age=5)) for _ in range(count)]
    return fetches + [Seen(client).task for _ in range(count // 10)]


async def closing(client, tasks):
    """Close a client; returns how long that took, and whether it and its callers ended within a second."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await client.aclose()
    took = loop.time() - began
    if tasks:
        await asyncio.wait(tasks, timeout=1.0 - took)
    return took, all(task.done() for task in tasks)


async def left():
    """Return how many tasks and timers there are besides those of the test."""
    for _ in range(5):
        await asyncio.sleep(0)
    return len(asyncio.all_tasks()) - 1, asyncio.get_running_loop().timers


@pytest.mark.parametrize(
    ("providers", "settings"),
    [
        (accounts(QuickTill, takes=9e9), {}),
        (accounts(RefusedBank), {}),
        (accounts(Bank), {"rate_limits": {"https://bank.example": RateLimit(3, per=60)}}),
        ([Scripted("a", outage("a")), Scripted("b", outage("b"))], {"retry": RetryPolicy(5, first=20, cap=20)}),
        (accounts(QuickTill, 200), {"concurrency": 1}),
    ],
    ids=["hung", "cooldown", "rate limit", "retry", "queued"],
)
def test_nobody_waits_for_a_closed_client(run_virtually, providers, settings):
    """A thousand callers and watches end at once, whatever they wait for, and no task and no timer is left."""

    async def main():
        client = AggregateClient(providers, clock=LoopClock(), **settings)
        tasks = callers(client, 1000)
        await asyncio.sleep(0.3)
        return await closing(client, tasks), await left()

    assert run_virtually(main()) == ((0.0, True), (0, 0))


def test_providers_that_ignore_cancellation_are_not_waited_for(run_virtually):
    """Their callers end within a second, and their tasks when they respond."""

    async def main():
        client = AggregateClient(accounts(StubbornTill), clock=LoopClock(), timeout=5)
        tasks = callers(client, 100)
        await asyncio.sleep(0.3)
        took, ended = await closing(client, tasks)
        await asyncio.sleep(STUBBORN)
        return took <= 1.0, ended, await left()

    assert run_virtually(main()) == (True, True, (0, 0))


@pytest.mark.parametrize("is_stubborn", [False, True], ids=["hangs", "ignores cancellation"])
@pytest.mark.parametrize("after", [0.0, 0.3, 0.45, 3.0], ids=["looking up", "reading", "storing", "in use"])
def test_a_store_that_hangs_is_not_waited_for(run_virtually, is_stubborn, after):
    """Whatever the store was asked when it began to hang, all ends within a second."""

    async def main():
        store = StubbornStore()
        client = AggregateClient(accounts(QuickTill, takes=0.4), store=store, clock=LoopClock())
        tasks = callers(client, 100)
        await asyncio.sleep(after)
        store.stubborn, store.fault = is_stubborn, None if is_stubborn else HANGS
        await asyncio.sleep(0)
        tasks += callers(client, 100)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.handle_webhook("till1", {}, b"event")
        await asyncio.sleep(0.1)
        took, ended = await closing(client, tasks)
        tasks_left, timers_left = await left()
        if is_stubborn:
            await asyncio.sleep(2 * STUBBORN)
            tasks_left, timers_left = await left()
        return took <= 0.9, ended, tasks_left, timers_left

    assert run_virtually(main()) == (True, True, 0, 0)


@pytest.mark.parametrize("after", [0, 0.1], ids=["at first", "half-way"])
def test_a_close_that_is_cancelled_ends_all_the_same(run_virtually, after):
    """Nobody would come back for the connections and for what listens to the store."""

    async def main():
        till, store = Scripted("till"), FlakyStore()
        client = AggregateClient([till], store=store, clock=LoopClock())
        await client.fetch()
        # What is to be sent to the store before the end takes a while.
        store.fault = HANGS
        await client.invalidate("till")
        close = asyncio.create_task(client.aclose())
        await asyncio.sleep(after)
        close.cancel()
        await asyncio.wait([close], timeout=0)
        was_cancelled = close.cancelled()
        await asyncio.sleep(1)
        return was_cancelled, till.session.closed, await left()

    assert run_virtually(main()) == (True, True, (0, 0))


def test_a_close_begins_no_task(run_virtually):
    """While an event loop ends, it would look like a program that goes on, in which what is cancelled has failed."""

    async def main():
        client = AggregateClient([Scripted("till")], store=FlakyStore(), clock=LoopClock())
        await client.fetch()
        begun = note_begun_tasks()
        await client.aclose()
        return list(begun)

    assert run_virtually(main()) == []


def test_a_stream_that_nobody_reads_does_not_keep_a_client(run_virtually):
    """A consumer that has stopped taking outcomes has nothing to wait for when it comes back."""

    async def main():
        client = AggregateClient(accounts(QuickTill, 1000), clock=LoopClock(), concurrency=10)
        unread, half_read = client.stream(), client.stream(max_age=60)
        for stream in (unread, half_read):
            await anext(stream)
        await asyncio.sleep(1)
        took, _ = await closing(client, [])
        rest = [outcome async for outcome in half_read]
        await unread.aclose()
        return took, len(rest), await left()

    assert run_virtually(main()) == (0.0, 999, (0, 0))


def test_no_timer_outlives_a_client(run_virtually):
    """Neither second looks after webhooks, nor what watches have scheduled."""

    async def main():
        tills = accounts(QuickTill)
        client = AggregateClient(tills, clock=LoopClock())
        seen = Seen(client, every=60)
        await asyncio.sleep(1)
        for till in tills[:10]:
            till.broken = True
        for till in tills:
            await client.handle_webhook(till.account, {}, b"event")
        await asyncio.sleep(1.5)
        for till in tills:
            await client.invalidate(till.account)
        return await closing(client, [seen.task]), await left()

    assert run_virtually(main()) == ((0.0, True), (0, 0))
