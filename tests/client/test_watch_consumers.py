"""What a watch has read and shows while its consumer works, or its accounts change otherwise. Time is virtual."""

import asyncio

from tests.support.providers import QuickTill
from tests.support.watching import Seen


async def _work(seconds=0.3):
    """Stand for what a consumer does with each state."""
    await asyncio.sleep(seconds)


async def _look_at_kiosk(client, kiosk):
    """Have news of the kiosk all the time, as another caller does that reads it."""
    while True:
        await asyncio.sleep(0.2)
        kiosk.held = str(kiosk.requests)
        await client.fetch(["kiosk"])


async def _seconds_until(watch, is_shown):
    """Work on each state of a watch; return after how many seconds there is one that is looked for, up to a minute."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while loop.time() < since + 60:
        if is_shown(await anext(watch)):
            return loop.time() - since
        await _work()
    return None


def test_a_change_is_read_however_busy_the_consumer_is(with_quick_till):
    """Neither its own work nor news of another account puts off the read of one that has changed."""

    async def steps(client, till, kiosk):
        others = asyncio.create_task(_look_at_kiosk(client, kiosk))
        watch = client.watch()
        await anext(watch)
        await _work()
        till.held = "999"
        await client.invalidate("till")
        waited = await _seconds_until(watch, lambda merged: merged.of("till").amount("BTC", partial=True) == 999)
        others.cancel()
        return waited

    assert with_quick_till(steps, QuickTill(), QuickTill("kiosk")) < 2


def test_a_failure_is_retried_however_busy_the_consumer_is(with_quick_till):
    """An account that is back is shown after the retry's delay, whatever other news there is."""

    async def steps(client, till, kiosk):
        others = asyncio.create_task(_look_at_kiosk(client, kiosk))
        watch, till.broken = client.watch(), True
        await _seconds_until(watch, lambda merged: any(failure.account == "till" for failure in merged.failures))
        await _work()
        till.broken = False
        waited = await _seconds_until(watch, lambda merged: merged.complete)
        others.cancel()
        return waited

    assert with_quick_till(steps, QuickTill(), QuickTill("kiosk")) < 6


def test_a_change_while_the_consumer_works_ends_the_wait_for_a_retry(with_quick_till):
    """A webhook of an account that was down for half an hour has it read when the consumer is back."""

    async def steps(client, till):
        till.broken = True
        watch = client.watch()
        await anext(watch)
        waiting = asyncio.create_task(anext(watch))
        await asyncio.sleep(2000)
        waiting.cancel()
        await _work(0)
        till.broken = False
        await client.invalidate("till")
        await _work(1)
        return await _seconds_until(watch, lambda merged: merged.complete)

    assert with_quick_till(steps) < 1


def test_a_change_is_shown_as_stale_before_the_account_may_be_read_again(with_quick_till):
    """With a `min_interval` of ten minutes, what may have changed counts as such after a second."""

    async def steps(client, till):
        seen = Seen(client, min_interval=600)
        await asyncio.sleep(1)
        await client.invalidate("till")
        await asyncio.sleep(2)
        return till.requests, [merged.complete for merged in seen.states]

    assert with_quick_till(steps) == (1, [True, False])


def test_a_removed_account_that_a_watch_names_is_missing(with_quick_till):
    """Its states are incomplete, and say why, until there is an account of that label again."""

    async def steps(client, till, kiosk):
        seen = Seen(client, "till", "kiosk")
        await asyncio.sleep(1)
        await client.remove("kiosk")
        await asyncio.sleep(1)
        await client.add(QuickTill("kiosk", held="5"))
        await asyncio.sleep(1)
        failures = [[str(one.error) for one in merged.failures] for merged in seen.states]
        return list(zip(seen.amounts, failures, strict=True))

    before, between, *_, after = with_quick_till(steps, QuickTill(), QuickTill("kiosk"))

    assert between == (1, ["kiosk (till): the account was removed from the client"])
    assert (before, after) == ((2, []), (6, []))


def test_a_snapshot_leaves_the_totals_when_it_is_too_old(with_quick_till):
    """It does so at the age of `stale_if_error`, rather than when the account is tried the next time."""

    async def steps(client, till):
        loop = asyncio.get_running_loop()
        watch = client.watch(stale_if_error=400)
        await anext(watch)
        read_at, till.broken = loop.time(), True
        await client.invalidate("till")
        while (await anext(watch)).accounts:
            pass
        return loop.time() - read_at

    assert 400 <= with_quick_till(steps) < 402
