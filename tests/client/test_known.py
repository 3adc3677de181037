"""What is known without asking anybody: `latest`, and that nothing there waits."""

import asyncio
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from balancekit import AggregateClient, CryptoprocessingProvider, NotReadError, ProviderError, ServiceUnavailableError
from balancekit.sandbox import Fault
from balancekit.stores import MemoryStore
from balancekit.testing import ManualClock
from tests.support.clock import NEW_YEAR, LoopClock
from tests.support.providers import QuickTill, Till, bitcoin
from tests.support.watching import Seen

START = NEW_YEAR + 1000
"""When a loop in virtual time begins, in Unix seconds."""


def shown(merged):
    """Return what a result holds, which of its accounts are stale, and which failed with what."""
    stale = [snapshot.account for snapshot in merged.accounts if snapshot.stale]
    return (
        sum(total.amount for total in merged.totals),
        stale,
        {one.account: type(one.error) for one in merged.failures},
    )


class TestLatest:
    """The last snapshot of each account, and what is wrong with it."""

    def test_before_any_use_nothing_has_been_read(self):
        """No event loop is needed for that, and no request is made."""
        till = QuickTill()
        client = AggregateClient([till])

        assert shown(client.latest()) == (0, [], {"till": NotReadError})
        assert till.requests == 0

    def test_what_was_read_is_shown_whatever_its_age(self, with_client):
        """It is not stale as long as nothing says that it may have changed."""

        async def steps(client, till):
            await client.fetch()
            await asyncio.sleep(86400)
            return shown(client.latest()), till.requests

        assert with_client(steps, QuickTill()) == ((1, [], {}), 1)

    def test_after_a_failure_the_snapshot_is_stale(self, with_client):
        """It is in the totals, and the account is among the failures, with its age."""

        async def steps(client, till):
            await client.fetch()
            till.broken = True
            await client.fetch()
            await asyncio.sleep(90)
            latest = client.latest()
            return shown(latest), str(latest.failures[0].error), latest.failures[0].last_known == latest.accounts[0]

        result, error, is_last_known = with_client(steps, QuickTill())

        assert result == (1, ["till"], {"till": ServiceUnavailableError})
        assert "(90 s ago)" in error
        assert is_last_known

    def test_after_a_success_the_failure_is_gone(self, with_client):
        """Whichever call brought it."""

        async def steps(client, till):
            till.broken = True
            await client.fetch()
            till.broken = False
            async for _ in client.stream(max_age=1):
                pass
            await client.fetch()
            return shown(client.latest())

        assert with_client(steps, QuickTill()) == (1, [], {})

    def test_after_an_invalidation_the_snapshot_is_stale(self, with_client):
        """Until it is read again; it is no failure."""

        async def steps(client, till):
            await client.fetch()
            await client.invalidate("till")
            before = shown(client.latest())
            await client.fetch()
            return before, shown(client.latest())

        assert with_client(steps, QuickTill()) == ((1, ["till"], {}), (1, [], {}))

    def test_a_removed_account_is_not_shown(self, with_client):
        """Nor counted."""

        async def steps(client, till, other):
            await client.fetch()
            await client.remove("till")
            return shown(client.latest())

        assert with_client(steps, QuickTill(), QuickTill("other", held="2")) == (2, [], {})

    def test_what_a_stream_has_not_kept_is_not_known(self, with_client):
        """The error says why, although the account is up."""

        async def steps(client, till):
            async for _ in client.stream():
                pass
            return shown(client.latest()), client.latest().failures[0].error.message, client.status()["till"].up

        result, message, up = with_client(steps, QuickTill())

        assert (result, up) == ((0, [], {"till": NotReadError}), True)
        assert message == "no snapshot of the account was kept: it was read by stream() without max_age"

    def test_a_stream_with_an_age_keeps_what_it_reads(self, with_client):
        """As a fetch does."""

        async def steps(client, till):
            async for _ in client.stream(max_age=1):
                pass
            return shown(client.latest())

        assert with_client(steps, QuickTill()) == (1, [], {})

    def test_chosen_accounts_and_aliases(self, with_client):
        """As for `fetch`."""

        async def steps(client, till, other):
            await client.fetch()
            latest = client.latest(["other"])
            return [one.account for one in latest.accounts], latest.amount("XBT")

        assert with_client(steps, QuickTill(), QuickTill("other"), aliases={"BTC": "XBT"}) == (["other"], 1)

    def test_what_another_replica_has_read_is_known_once_it_was_looked_up(self, run_virtually):
        """`latest` asks nobody: it has what this process was told, by a call or by a watch."""

        async def main():
            store = MemoryStore(clock=LoopClock())
            here, there = QuickTill(), QuickTill()
            settings = {"store": store, "clock": LoopClock()}
            async with AggregateClient([here], **settings) as one, AggregateClient([there], **settings) as other:
                await other.fetch()
                unheard = shown(one.latest())
                await one.fetch(max_age=60)
                looked_up = shown(one.latest())
                seen = Seen(one, max_age=60)
                await asyncio.sleep(1)
                here.held = there.held = "2"
                await other.invalidate("till")
                await other.fetch()
                await asyncio.sleep(1)
                heard = shown(one.latest())
                await other.invalidate("till")
                await asyncio.sleep(0.01)
                changed = shown(one.latest())
                seen.task.cancel()
            return unheard, looked_up, heard, changed

        assert run_virtually(main()) == ((0, [], {"till": NotReadError}), (1, [], {}), (2, [], {}), (2, ["till"], {}))

    def test_a_snapshot_of_another_replica_is_as_old_as_it_is(self, run_virtually):
        """In `latest` and in `status`."""

        async def main():
            store = MemoryStore(clock=LoopClock())
            settings = {"store": store, "clock": LoopClock()}
            async with (
                AggregateClient([QuickTill()], **settings) as one,
                AggregateClient([QuickTill()], **settings) as other,
            ):
                await other.fetch()
                await asyncio.sleep(300)
                await one.fetch(max_age=600)
                return one.latest().as_of.timestamp() - START, one.status()["till"].last_success.timestamp() - START

        as_of, last_success = run_virtually(main())

        assert (as_of, last_success) == (pytest.approx(0, abs=0.01), pytest.approx(0, abs=0.01))


class TestWithoutWaiting:
    """Both can be called from anywhere, at any time, and cost little."""

    async def test_no_request_is_made(self, sandbox):
        """Nor is anything waited for while an account hangs."""
        shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
        async with AggregateClient([CryptoprocessingProvider("shop", **shop.settings)]) as client:
            await client.fetch()
            sandbox.fail("shop", Fault(hang=True))
            hanging = asyncio.create_task(client.fetch())
            await asyncio.sleep(0)
            requests = len(sandbox.requests)
            for _ in range(100):
                client.latest()
                client.status()
            assert len(sandbox.requests) == requests
            hanging.cancel()

    def test_after_the_client_was_closed_what_is_known_stays(self, with_client):
        """A last look needs no loop, either."""

        async def steps(client, till):
            await client.fetch()
            return client

        client = with_client(steps, QuickTill())

        assert shown(client.latest()) == (1, [], {})
        assert client.status()["till"].up

    async def test_no_thread_is_shown_an_old_balance_as_that_of_now(self):
        """Wherever it is interrupted by a read in the event loop."""
        till, loop = QuickTill(takes=0), asyncio.get_running_loop()

        def interrupted_at(place):
            line, earlier = 0, sys.gettrace()

            def read():
                asyncio.run_coroutine_threadsafe(client.fetch(max_age=60), loop).result()

            def trace(frame, event, argument):
                nonlocal line
                if "balancekit" in frame.f_code.co_filename:
                    line += 1
                    if line == place:
                        read()
                return trace

            sys.settrace(trace)
            try:
                return client.latest(), line > place
            finally:
                sys.settrace(earlier)

        async with AggregateClient([till]) as client:
            await client.fetch()
            place, goes_on, wrong = 0, True, []
            while goes_on:
                place, till.held = place + 1, str(place + 2)
                await client.invalidate("till")
                latest, goes_on = await asyncio.to_thread(interrupted_at, place)
                if latest.complete and latest.amount("BTC") != int(till.held):
                    wrong.append(place)

        assert wrong == []
        assert place > 20

    def test_other_threads_may_ask_at_any_time(self):
        """While accounts are read, fail, come and go in the event loop."""
        interval = sys.getswitchinterval()
        stop, problems, asked = threading.Event(), [], 0

        class Moody(Till):
            async def fetch_balances(self, session):
                self.requests += 1
                if self.requests % 2:
                    raise ProviderError("no", account=self.account, provider=self.provider)
                return bitcoin(self, "1")

        client = AggregateClient([Moody(f"till-{number}") for number in range(20)])

        def ask():
            nonlocal asked
            while not stop.is_set():
                try:
                    for status in client.status().values():
                        assert (status.error is None) == (status.down_since is None) == (status.up is not False)
                    assert all(isinstance(one.error, ProviderError) for one in client.latest().failures)
                    asked += 1
                except Exception as error:  # noqa: BLE001 - whatever goes wrong is shown
                    problems.append(error)
                    return

        async def main():
            for number in range(150):
                await client.add(Moody(f"more-{number}"))
                await client.fetch()
                await client.remove(f"more-{number}")
            await client.aclose()

        thread = threading.Thread(target=ask)
        sys.setswitchinterval(1e-6)
        try:
            thread.start()
            asyncio.run(main())
        finally:
            stop.set()
            thread.join()
            sys.setswitchinterval(interval)

        assert problems == []
        assert asked

    def test_moments_are_in_utc_whatever_the_clock(self):
        """A clock that a test moves dates them, too."""
        clock, till = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), QuickTill(takes=0.0)

        async def main():
            async with AggregateClient([till], clock=clock) as client:
                await clock.advance(60)
                await client.fetch()
                return client.status()["till"], client.latest()

        status, latest = asyncio.run(main())

        assert (
            status.last_success == latest.as_of == clock.now == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=60)
        )
