"""Watching: each state once, after changes, failures and slow refreshes. Time is virtual."""

import asyncio
from contextlib import suppress

import pytest

from balancekit import AggregateClient, ConfigError, RateLimitedError
from tests.support.clock import LoopClock
from tests.support.providers import QuickTill
from tests.support.stores import HANGS, FlakyStore
from tests.support.virtual_time import VirtualLoop
from tests.support.watching import Seen


def now():
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


async def _states(watch, amounts=None):
    async for merged in watch:
        if amounts is not None:
            amounts.append(merged.amount("BTC"))


def test_a_watch_begins_with_the_state_now(with_quick_till):
    """A watch gives the present state at once."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        return seen.amounts, till.requests

    assert with_quick_till(steps) == ([1], 1)


@pytest.mark.parametrize("labels", [[], ["till"]], ids=["of no account", "of one that is removed"])
def test_a_watch_without_accounts_begins_at_once(with_quick_till, labels):
    """Its state has no accounts, rather than waiting for what never comes; one that was removed is missing from it."""

    async def steps(client, till):
        states = client.watch(labels)
        await client.remove("till")
        return await asyncio.wait_for(anext(states), 60)

    merged = with_quick_till(steps)

    assert (merged.accounts, [failure.account for failure in merged.failures]) == ((), labels)


def test_a_change_is_seen(with_quick_till):
    """After an invalidation the account is read again, and no other."""

    async def steps(client, shop, kiosk):
        seen = Seen(client)
        await asyncio.sleep(1)
        shop.held = "5"
        await client.invalidate("shop")
        await asyncio.sleep(0.2)
        return seen.amounts, shop.requests, kiosk.requests

    assert with_quick_till(steps, QuickTill("shop"), QuickTill("kiosk")) == ([2, 6], 2, 1)


@pytest.mark.parametrize(("changes", "pause"), [(50, 0.0), (3, 0.02)], ids=["together", "one after the other"])
def test_changes_that_come_close_together_are_read_once(with_quick_till, changes, pause):
    """Webhooks of several payments that settle together cost one read of the account."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        for number in range(changes):
            till.held = str(number)
            await client.invalidate("till")
            await asyncio.sleep(pause)
        await asyncio.sleep(1)
        return seen.amounts, till.requests

    assert with_quick_till(steps) == ([1, changes - 1], 2)


def test_a_change_during_a_read_is_seen_as_well(with_quick_till):
    """A request that was under way when the balances changed is followed by another."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(0.05)
        await client.invalidate("till")
        await asyncio.sleep(2)
        return [merged.accounts[0].stale for merged in seen.states], till.requests

    assert with_quick_till(steps) == ([True, False], 2)


def test_one_of_several_tasks_gets_each_state(with_quick_till):
    """Tasks that wait for one watch share its states; each is given once, and none is lost."""

    async def steps(client, till):
        watch, amounts = client.watch(), []
        tasks = [asyncio.create_task(_states(watch, amounts)) for _ in range(3)]
        for number in range(2, 12):
            await asyncio.sleep(2)
            till.held = str(number)
            await client.invalidate("till")
        await asyncio.sleep(2)
        await watch.aclose()
        await asyncio.gather(*tasks)
        return amounts

    assert with_quick_till(steps) == list(range(1, 12))


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


def test_a_label_that_no_account_has_is_refused(with_quick_till):
    """A watch of an account that does not exist is refused at the call, not at the first state."""

    async def steps(client, till):
        with pytest.raises(ConfigError, match="no account is labelled 'kiosk'"):
            client.watch(["till", "kiosk"])

    with_quick_till(steps)


def test_a_slow_reader_gets_the_newest_state(with_quick_till):
    """Nothing is queued for it: ten changes while it is busy are one state."""

    async def steps(client, till):
        amounts = []
        async with client.watch() as states:
            async for merged in states:
                amounts.append(merged.amount("BTC"))
                if len(amounts) == 2:
                    break
                for number in range(2, 12):
                    till.held = str(number)
                    await client.invalidate("till")
                    await asyncio.sleep(10)
        return amounts, till.requests

    assert with_quick_till(steps) == ([1, 11], 2)


def test_watches_share_their_requests(with_quick_till):
    """A thousand watches of one account read it once after a change."""

    async def steps(client, till):
        watches = [Seen(client, max_age=5) for _ in range(1000)]
        await asyncio.sleep(1)
        till.held = "2"
        await client.invalidate("till")
        await asyncio.sleep(1)
        return {tuple(seen.amounts) for seen in watches}, till.requests

    assert with_quick_till(steps) == ({(1, 2)}, 2)


def test_a_watch_of_some_accounts_is_not_woken_for_others(with_quick_till):
    """What happens to an account that is not watched is not looked at."""

    async def steps(client, shop, kiosk):
        seen = Seen(client, "shop")
        await asyncio.sleep(1)
        await client.invalidate("kiosk")
        await asyncio.sleep(1)
        return seen.amounts, kiosk.requests

    assert with_quick_till(steps, QuickTill("shop"), QuickTill("kiosk")) == ([1], 0)


def test_an_account_that_could_not_be_read_is_tried_again(with_quick_till):
    """The event will not come again, so the watch goes on trying, later each time, and tells when it has succeeded."""

    async def steps(client, till):
        seen = Seen(client, stale_if_error=3600)
        await asyncio.sleep(1)
        till.broken, till.held = True, "2"
        await client.invalidate("till")
        await asyncio.sleep(14)
        till.broken = False
        await asyncio.sleep(30)
        return seen.amounts, [merged.complete for merged in seen.states], till.requests

    amounts, complete, requests = with_quick_till(steps)

    assert (amounts, complete) == ([1, 1, 2], [True, False, True])
    assert 4 <= requests <= 6


def test_watches_try_again_together(with_quick_till):
    """A hundred watches of an account that is down make no more requests than one."""

    async def steps(client, till):
        till.broken = True
        watches = [Seen(client, max_age=1) for _ in range(100)]
        await asyncio.sleep(14)
        assert all(len(seen.states) == 1 for seen in watches)
        return till.requests

    assert with_quick_till(steps) <= 4


def test_a_slow_refresh_reads_everything(with_quick_till):
    """Accounts without a webhook are read from time to time."""

    async def steps(client, till):
        seen = Seen(client, every=60)
        await asyncio.sleep(1)
        till.held = "2"
        await asyncio.sleep(67)
        return seen.amounts, till.requests

    assert with_quick_till(steps) == ([1, 2], 2)


def test_a_slow_refresh_that_nobody_waited_for_is_made_up_for(with_quick_till):
    """Accounts that were to be read while the consumer was busy are read when it comes back."""

    async def steps(client, till):
        async with client.watch(every=60) as states:
            amounts = [(await anext(states)).amount("BTC")]
            till.held = "2"
            await asyncio.sleep(600)
            async with asyncio.timeout(1):
                amounts.append((await anext(states)).amount("BTC"))
        return amounts, till.requests

    assert with_quick_till(steps) == ([1, 2], 2)


@pytest.mark.parametrize("every", [59.9, 0, -60, float("inf"), float("nan"), "60", True], ids=str)
def test_nobody_polls(with_quick_till, every):
    """A refresh that is more frequent than once a minute is refused, at the call."""

    async def steps(client, till):
        with pytest.raises(ConfigError, match="every: expected 60 seconds or more"):
            client.watch(every=every)

    with_quick_till(steps)


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
        tasks = [asyncio.create_task(_states(watch)) for _ in range(3)]
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


@pytest.mark.parametrize("pause", [30, 0.1], ids=["seldom", "during each read"])
def test_changes_of_one_account_do_not_put_off_the_slow_refresh_of_others(with_quick_till, pause):
    """An account without a webhook is read every so often, however often another one changes."""

    async def steps(client, busy, quiet):
        seen = Seen(client, every=60)
        for _ in range(round(300 / pause)):
            await asyncio.sleep(pause)
            await client.invalidate("busy")
        seen.task.cancel()
        await asyncio.gather(seen.task, return_exceptions=True)
        return quiet.requests

    assert 5 <= with_quick_till(steps, QuickTill("busy"), QuickTill("quiet")) <= 7


class Limited(QuickTill):
    """A till whose origin responds 429 from the second request on."""

    async def fetch_balances(self, session):
        """Respond once."""
        if self.requests:
            raise RateLimitedError("429", account="till", provider="till", status=429, retry_after=3600)
        return await super().fetch_balances(session)


def test_a_watch_begins_at_once_while_its_origin_is_in_a_cooldown(with_client):
    """What is known is shown with its failure, rather than nothing for an hour."""

    async def steps(client, till):
        await client.fetch()
        await client.fetch()
        async with asyncio.timeout(2):
            merged = await anext(client.watch(stale_if_error=600))
        return merged.amount("BTC", partial=True), [type(failure.error).__name__ for failure in merged.failures]

    assert with_client(steps, Limited()) == (1, ["RateLimitedError"])
