"""Watching: each state once, after changes, failures and slow refreshes. Time is virtual."""

import asyncio

import pytest

from balancekit import AggregateClient, ConfigError, NotReadError, RateLimit, RateLimitedError
from tests.support.clock import LoopClock
from tests.support.providers import Bank, QuickTill
from tests.support.stores import FlakyStore
from tests.support.watching import Seen


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
    assert merged.chosen_accounts == tuple(labels)


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
        watch = client.watch()

        async def take_states():
            return [merged.amount("BTC") async for merged in watch]

        tasks = [asyncio.create_task(take_states()) for _ in range(3)]
        for number in range(2, 12):
            await asyncio.sleep(2)
            till.held = str(number)
            await client.invalidate("till")
        await asyncio.sleep(2)
        await watch.aclose()
        return sorted(amount for taken in await asyncio.gather(*tasks) for amount in taken)

    assert with_quick_till(steps) == list(range(1, 12))


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


def test_a_watch_begins_while_its_account_waits_for_a_permit(with_client):
    """What was read before is shown as that, rather than nothing for an hour."""

    async def steps(client, bank):
        await client.fetch()
        async with asyncio.timeout(2.1):
            merged = await anext(client.watch())
        return [snapshot.stale for snapshot in merged.accounts], len(bank.calls)

    limit = {"https://bank.example": RateLimit(1, per=3600)}

    assert with_client(steps, Bank("till"), rate_limits=limit) == ([True], 1)


def test_a_watch_begins_while_its_origin_is_in_a_cooldown_that_another_process_has_met(run_virtually):
    """The store says so only once the watch has begun to read."""

    async def main():
        store, clock, other = FlakyStore(), LoopClock(), Limited("other")
        other.requests = 1
        async with (
            AggregateClient([other], store=store, clock=clock) as there,
            AggregateClient([QuickTill()], store=store, clock=clock) as here,
        ):
            await there.fetch()
            async with asyncio.timeout(2.1):
                return await anext(here.watch(every=60))

    assert [type(failure.error) for failure in run_virtually(main()).failures] == [NotReadError]
