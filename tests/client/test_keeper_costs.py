"""What keeping watched accounts up to date costs, in requests and merges, and what it keeps. Time is virtual."""

import asyncio
import gc

from balancekit import AggregateClient
from balancekit.client import results
from balancekit.client.keeper import DEBOUNCE
from balancekit.money.merge import merge_counted
from tests.support.clock import LoopClock
from tests.support.providers import QuickTill
from tests.support.watching import Seen


def test_a_watch_that_is_dropped_costs_nothing(with_quick_till):
    """Neither a request nor a timer is left of a watch that nobody refers to any more."""

    async def steps(client, till):
        till.broken = True
        watch = client.watch(every=60)
        await anext(watch)
        requests = till.requests
        del watch
        gc.collect()
        idle = client._core.idle
        await client.invalidate("till")
        await asyncio.sleep(900)
        return till.requests - requests, idle

    assert with_quick_till(steps) == (0, True)


def test_a_task_that_waits_is_kept(with_quick_till):
    """A task that nothing else refers to goes on watching."""

    async def steps(client, till):
        amounts = []

        async def board():
            async with client.watch() as states:
                while len(amounts) < 2:
                    amounts.append((await anext(states)).amount("BTC"))

        asyncio.create_task(board())  # noqa: RUF006 - that nothing refers to it is the point
        await asyncio.sleep(1)
        gc.collect()
        till.held = "2"
        await client.invalidate("till")
        await asyncio.sleep(1)
        return amounts

    assert with_quick_till(steps) == [1, 2]


def test_a_consumer_that_never_comes_back_costs_no_request(with_quick_till):
    """A watch that is kept, but not waited for, is read for again when somebody waits."""

    async def steps(client, till):
        watch = client.watch(every=60)
        await anext(watch)
        till.held, till.broken = "2", True
        for _ in range(100):
            await client.invalidate("till")
            await asyncio.sleep(60)
        requests, till.broken = till.requests, False
        return requests, (await anext(watch)).amount("BTC"), till.requests

    assert with_quick_till(steps) == (1, 2, 2)


def test_reading_many_accounts_costs_few_merges(with_client):
    """A thousand responses one after the other are joined, also if nobody expected them: each state merges them all."""
    tills = [QuickTill(f"till{number}", takes=0.001 * number) for number in range(1000)]

    async def steps(client, *tills):
        seen = Seen(client)
        await asyncio.sleep(3)
        at_first = len(seen.states)
        await client.fetch()
        await asyncio.sleep(1)
        return at_first, len(seen.states) - at_first, seen.amounts[-1]

    at_first, later, amount = with_client(steps, *tills, concurrency=1000)

    assert at_first <= 1.1 / DEBOUNCE
    assert later <= 1.1 / DEBOUNCE
    assert amount == 1000


def test_merging_takes_a_part_of_the_time_only(run_virtually, monkeypatch):
    """Where a merge takes long, so many results are joined that the event loop is free for most of the time."""

    class PassingClock(LoopClock):
        """A clock that goes on by what merging is said to take."""

        merges = 0

        def monotonic(self):
            return super().monotonic() + 0.2 * self.merges

        def merge(self, *args, **settings):
            self.merges += 1
            return merge_counted(*args, **settings)

    async def main():
        clock, tills = PassingClock(), [QuickTill(f"till{number}", takes=0.02 * number) for number in range(300)]
        monkeypatch.setattr(results, "merge_counted", clock.merge)
        async with AggregateClient(tills, clock=clock, concurrency=300) as client:
            seen = Seen(client)
            await asyncio.sleep(6.5)
            seen.task.cancel()
            return clock.merges

    assert run_virtually(main()) <= 10


def test_a_process_that_is_stopped_during_a_merge_is_not_silent_afterwards(run_virtually, monkeypatch):
    """Ten minutes of that, as after a laptop's lid was closed, are no work: what changes next is shown as ever."""

    class StoppedClock(LoopClock):
        """A clock by which the process is stopped in the third merge."""

        merges, stopped = 0, 0.0

        def monotonic(self):
            return super().monotonic() + self.stopped

        def merge(self, *args, **settings):
            self.merges += 1
            if self.merges == 3:
                self.stopped = 600.0
            return merge_counted(*args, **settings)

    async def main():
        clock, till = StoppedClock(), QuickTill()
        monkeypatch.setattr(results, "merge_counted", clock.merge)
        async with AggregateClient([till], clock=clock) as client:
            seen = Seen(client, min_interval=0)
            for number in (1, 2, 3):
                till.held = str(number)
                await client.invalidate("till")
                await asyncio.sleep(1)
            till.held, till.takes = "4", 5
            await client.invalidate("till")
            await asyncio.sleep(3)
            seen.task.cancel()
            return seen.amounts, seen.states[-1].complete

    amounts, complete = run_virtually(main())

    assert amounts == [1, 2, 3, 3]
    assert not complete


def test_many_watches_alike_merge_once(with_client, monkeypatch):
    """A thousand readers of one board cost one merge a state, and each gets errors of its own."""
    merges = []

    async def steps(client, till, kiosk):
        kiosk.broken = True
        watches = [Seen(client, max_age=5) for _ in range(1000)]
        await asyncio.sleep(1)
        monkeypatch.setattr(
            results, "merge_counted", lambda *args, **more: merges.append(args) or merge_counted(*args, **more)
        )
        till.held = "2"
        await client.invalidate("till")
        await asyncio.sleep(1)
        errors = {id(seen.states[-1].failures[0].error) for seen in watches}
        return {seen.states[-1]["BTC"].amount for seen in watches}, len(errors)

    assert with_client(steps, QuickTill("till"), QuickTill("kiosk")) == ({2}, 1000)
    assert len(merges) == 1


def test_watches_that_begin_together_share_their_requests(with_quick_till):
    """A hundred readers that connect in the same moment have each account read once."""

    async def steps(client, *tills):
        watches = [Seen(client) for _ in range(100)]
        await asyncio.sleep(5)
        return {len(seen.states[-1].accounts) for seen in watches}, sum(till.requests for till in tills)

    tills = [QuickTill(f"till{number}") for number in range(30)]

    assert with_quick_till(steps, *tills) == ({30}, 30)
