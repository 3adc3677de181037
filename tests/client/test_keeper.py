"""Keeping watched accounts up to date: when they are read, how often, and when watches are told. Time is virtual."""

import asyncio

import pytest

from balancekit import AggregateClient, NotReadError, RateLimit
from balancekit.client.keeper import DEBOUNCE
from tests.support.clock import LoopClock
from tests.support.providers import Bank, QuickTill
from tests.support.stores import HANGS, FlakyStore
from tests.support.watching import Seen

PROMPTLY = 0.15
"""Within how many seconds after the response a watch gives a state."""


def now():
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


def test_a_hung_account_delays_no_change_of_another(with_quick_till):
    """Settlements of a healthy account are seen within its response time, however long another one hangs."""

    async def steps(client, till, hung):
        board, shown = Seen(client), []
        for number in range(1, 60):
            await asyncio.sleep(1.2)
            till.held = str(number)
            await client.invalidate("till")
            await asyncio.sleep(till.takes + PROMPTLY)
            shown.append(board.states[-1]["BTC"].amount)
        board.task.cancel()
        return shown, hung.requests

    shown, requests = with_quick_till(steps, QuickTill("till"), QuickTill("hung", takes=9e9))

    assert shown == list(range(1, 60))
    assert requests < 12


def test_the_first_state_waits_for_no_hung_account(with_quick_till):
    """It shows an account that was never read as a failure that says so, and one that was as it was last known."""

    async def steps(client, till, known, hung):
        await client.fetch(["known"])
        known.takes = hung.takes = 9e9
        seen = Seen(client)
        await asyncio.sleep(till.takes + PROMPTLY)
        (merged,) = seen.states
        seen.task.cancel()
        return (
            {snapshot.account: snapshot.stale for snapshot in merged.accounts},
            [(failure.account, type(failure.error).__name__) for failure in merged.failures],
        )

    tills = QuickTill("till"), QuickTill("known"), QuickTill("hung")

    assert with_quick_till(steps, *tills) == ({"till": False, "known": True}, [("hung", "NotReadError")])


@pytest.mark.parametrize(
    "read",
    [
        lambda client: client.fetch(),
        lambda client: client.fetch(["till"], deadline=5),
        lambda client: _streamed(client, max_age=0.1),
        lambda client: anext(client.watch(["till"])),
        lambda client: client.fetch(max_age=0.1, stale_while_revalidate=60),
    ],
    ids=["fetch", "fetch of one", "stream", "another watch", "stale while revalidate"],
)
def test_what_any_call_reads_is_shown(with_quick_till, read):
    """A board that watches shows the balance that a refresh of the same client has found, at once."""

    async def steps(client, till):
        board = Seen(client)
        await asyncio.sleep(1)
        till.held = "2"
        await read(client)
        await asyncio.sleep(till.takes + PROMPTLY)
        return board.states[-1].amount("BTC")

    assert with_quick_till(steps) == 2


async def _streamed(client, **settings):
    return [outcome async for outcome in client.stream(**settings)]


def test_an_account_that_is_back_is_shown_at_once(with_quick_till):
    """A `Retry-After` of ten minutes puts off no state, once another call has read the account."""

    async def steps(client, till):
        board = Seen(client)
        await asyncio.sleep(1)
        till.broken, till.retry_after = True, 600
        await client.invalidate("till")
        await asyncio.sleep(2)
        till.broken, till.held = False, "2"
        await client.fetch()
        await asyncio.sleep(PROMPTLY)
        requests = till.requests
        await asyncio.sleep(700)
        return [merged.complete for merged in board.states], board.states[-1].amount("BTC"), till.requests - requests

    assert with_quick_till(steps) == ([True, False, True], 2, 0)


def test_a_busy_account_is_read_once_a_second_at_most(with_quick_till):
    """Fifty webhooks a second cost one request a second, and the last change is seen."""

    async def steps(client, till):
        board = Seen(client)
        await asyncio.sleep(2)
        before = till.requests
        for number in range(500):
            till.held = str(number)
            await client.invalidate("till")
            await asyncio.sleep(0.02)
        during = till.requests - before
        await asyncio.sleep(2)
        return during, board.states[-1].amount("BTC")

    during, amount = with_quick_till(steps)

    assert 8 <= during <= 10
    assert amount == 499


def test_the_shortest_interval_of_those_that_wait_counts(with_quick_till):
    """A watch that wants a change at once has it, whatever others want."""

    async def steps(client, till):
        seldom, at_once = Seen(client, "till", min_interval=60), Seen(client, min_interval=0)
        await asyncio.sleep(1)
        for number in (2, 3):
            till.held = str(number)
            await client.invalidate("till")
            await asyncio.sleep(DEBOUNCE + till.takes + PROMPTLY)
        at_once.task.cancel()
        await asyncio.sleep(1)
        till.held = "4"
        await client.invalidate("till")
        await asyncio.sleep(30)
        return seldom.amounts[-1], at_once.amounts[-1]

    assert with_quick_till(steps) == (3, 3)


def test_a_watch_that_joins_later_does_not_wait_for_the_interval_of_another(with_quick_till):
    """A change that came while its consumer was at work is seen at once when it comes back."""

    async def steps(client, till):
        seldom = Seen(client, min_interval=3600)
        async with client.watch(min_interval=0) as at_once:
            await anext(at_once)
            till.held = "2"
            await client.invalidate("till")
            await asyncio.sleep(10)
            amounts = []
            async with asyncio.timeout(DEBOUNCE + till.takes + PROMPTLY):
                while 2 not in amounts:
                    amounts.append((await anext(at_once)).amount("BTC", partial=True))
        return seldom.task.done(), till.requests

    assert with_quick_till(steps) == (False, 2)


def test_a_limit_of_this_client_makes_no_account_unread(with_client):
    """A read whose permit comes later than a deadline is no failure: what was read before stays in the totals."""
    bank = Bank("till", takes=0.05)

    async def steps(client, bank):
        board = Seen(client)
        for _ in range(200):
            await asyncio.sleep(0.1)
            await client.invalidate("till")
            await client.fetch(max_age=5, deadline=0.2)
        return [(len(merged.accounts), len(merged.failures)) for merged in board.states], len(bank.calls), now()

    limit = {"https://bank.example": RateLimit(3, per=6)}
    states, calls, ended_at = with_client(steps, bank, rate_limits=limit, deadline=1)

    assert set(states) == {(1, 0)}
    assert calls <= 3 + (ended_at - 1000) / 2


def test_an_account_that_is_added_is_shown(with_quick_till):
    """A watch of all accounts reads it and shows it, and one of other accounts does not."""

    async def steps(client, till):
        everything, one = Seen(client), Seen(client, "till")
        await asyncio.sleep(1)
        await client.add(QuickTill("kiosk"))
        await asyncio.sleep(0.1 + PROMPTLY)
        return everything.amounts, one.amounts

    assert with_quick_till(steps) == ([1, 2], [1])


@pytest.mark.parametrize("is_waited_for", [True, False], ids=["while somebody waits", "while the consumer works"])
def test_an_account_that_is_added_and_not_read_is_missing(with_quick_till, is_waited_for):
    """A second later the state is no longer complete, however long the account hangs."""

    async def steps(client, till):
        async with client.watch() as states:
            assert (await anext(states)).complete
            coming = asyncio.create_task(anext(states)) if is_waited_for else None
            await asyncio.sleep(1)
            await client.add(QuickTill("hung", takes=9e9))
            async with asyncio.timeout(1 + PROMPTLY):
                merged = await (coming or anext(states))
            return [(failure.account, type(failure.error)) for failure in merged.failures]

    assert with_quick_till(steps) == [("hung", NotReadError)]


def test_an_account_that_replaces_another_and_is_not_read_is_missing(with_quick_till):
    """A watch that names the account says that the new one has not been read, and not that it was removed."""

    async def steps(client, till):
        seen = Seen(client, "till")
        await asyncio.sleep(1)
        await client.remove("till")
        await asyncio.sleep(1)
        await client.add(QuickTill("till", takes=9e9))
        await asyncio.sleep(1 + PROMPTLY)
        return [type(failure.error) for failure in seen.states[-1].failures]

    assert with_quick_till(steps) == [NotReadError]


def test_an_account_that_is_removed_is_not_shown_any_more(with_quick_till):
    """Its balance leaves the totals at once, also of the watch that named it; the watch goes on."""

    async def steps(client, till, kiosk):
        everything, one = Seen(client), Seen(client, "kiosk")
        await asyncio.sleep(1)
        kiosk.broken = True
        await client.invalidate("kiosk")
        await asyncio.sleep(1)
        await client.remove("kiosk")
        await asyncio.sleep(PROMPTLY)
        shown = everything.states[-1].complete, everything.amounts[-1], len(one.states[-1].accounts)
        requests = kiosk.requests
        await asyncio.sleep(600)
        await client.add(QuickTill("kiosk", held="5"))
        await asyncio.sleep(0.1 + PROMPTLY)
        return shown, kiosk.requests - requests, everything.amounts[-1], one.amounts[-1]

    tills = QuickTill(), QuickTill("kiosk")

    assert with_quick_till(steps, *tills) == ((True, 1, 0), 0, 6, 5)


def test_an_account_that_is_removed_while_it_is_read_is_not_shown(with_quick_till):
    """Its response is dropped, and nothing is left to wait for it."""

    async def steps(client, till, kiosk):
        seen = Seen(client)
        await asyncio.sleep(0.05)
        await client.remove("kiosk")
        await asyncio.sleep(1)
        return [[snapshot.account for snapshot in merged.accounts] for merged in seen.states][-1]

    assert with_quick_till(steps, QuickTill(), QuickTill("kiosk")) == ["till"]


def test_a_watch_of_no_accounts_gives_an_empty_state(with_client, run_virtually):
    """A client without accounts, which may get some later, keeps nobody waiting for the first state."""

    async def main():
        async with AggregateClient([], clock=LoopClock()) as client, client.watch() as states:
            first = await anext(states)
            coming = asyncio.create_task(anext(states))
            await client.add(QuickTill())
            return len(first.accounts), (await coming).amount("BTC")

    assert run_virtually(main()) == (0, 1)


@pytest.mark.parametrize("fault", [ConnectionError(), HANGS], ids=["down", "hangs"])
def test_a_watch_needs_no_store(run_virtually, fault):
    """While the store is out of reach, what is read is shown as what it is: complete, and not stale."""

    async def main():
        store, till = FlakyStore(), QuickTill()
        store.fault = fault
        async with AggregateClient([till], store=store, clock=LoopClock()) as client:
            began, states = now(), client.watch()
            first = await anext(states)
            took = now() - began
            await asyncio.sleep(2)
            till.held = "2"
            await client.invalidate("till")
            second = await anext(states)
            return first.complete, first.amount("BTC"), second.complete, second.amount("BTC"), took

    *states, took = run_virtually(main())

    assert states == [True, 1, True, 2]
    assert took <= 1.1 + PROMPTLY


class LossyStore(FlakyStore):
    """A store whose changes are lost while it is `deaf`."""

    deaf = False

    async def changes(self):
        """Give changes, or fail at the next one."""
        async for change in super().changes():
            if self.deaf:
                raise ConnectionError
            yield change


def test_after_a_lost_subscription_only_what_may_have_changed_is_read(run_virtually):
    """Of a hundred accounts, of which one was invalidated while nobody listened, one is read again."""

    async def main():
        store, clock = LossyStore(), LoopClock()
        tills, others = ([QuickTill(f"till{number}") for number in range(100)] for _ in range(2))
        async with (
            AggregateClient(tills, store=store, clock=clock) as client,
            AggregateClient(others, store=store, clock=clock) as other,
        ):
            seen = Seen(client)
            await asyncio.sleep(2)
            before, store.deaf, tills[7].held = sum(till.requests for till in tills), True, "5"
            await other.invalidate("till7")
            await asyncio.sleep(0.5)
            store.deaf = False
            await asyncio.sleep(3)
            return seen.amounts[-1], before, sum(till.requests for till in tills)

    assert run_virtually(main()) == (104, 100, 101)


def test_a_snapshot_that_another_replica_has_put_is_shown(run_virtually):
    """Also of an account that this process could not read; it makes no request."""

    async def main():
        store, mine, yours, clock = FlakyStore(), QuickTill(), QuickTill(held="7"), LoopClock()
        async with (
            AggregateClient([mine], store=store, clock=clock) as here,
            AggregateClient([yours], store=store, clock=clock) as there,
        ):
            mine.broken = True
            seen = Seen(here)
            await asyncio.sleep(0.5)
            requests = mine.requests
            await there.fetch()
            await asyncio.sleep(PROMPTLY)
            return seen.states[-1].amount("BTC"), mine.requests - requests

    assert run_virtually(main()) == (7, 0)
