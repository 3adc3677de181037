"""A snapshot that is a little too old is given at once, and read again in the background. Time is virtual."""

import asyncio

import pytest

from balancekit import IncompleteError, RateLimitedError
from tests.support.providers import Scripted, outage


async def timed_fetch(client, **options):
    """Fetch; return the result and how many seconds it took."""
    started = asyncio.get_running_loop().time()
    merged = await client.fetch(**options)
    return merged, asyncio.get_running_loop().time() - started


@pytest.mark.parametrize("max_age", [0, 5])
def test_an_old_snapshot_is_given_at_once_marked_as_stale(with_quick_till, max_age):
    """The next caller has the new one."""

    async def steps(client, till):
        await client.fetch()
        till.held = "2"
        await asyncio.sleep(10)
        first, took = await timed_fetch(client, max_age=max_age, stale_while_revalidate=60)
        await asyncio.sleep(1)
        return first, took, await client.fetch(max_age=5)

    first, took, second = with_quick_till(steps)

    assert (took, first.amount("BTC", partial=True), first.complete, first.accounts[0].stale) == (0, 1, False, True)
    assert (second.amount("BTC"), second.accounts[0].stale) == (2, False)


def test_a_strict_caller_takes_nothing_stale(with_quick_till):
    """A program that goes on only with what is held now is not given an old total."""

    async def steps(client, till):
        await client.fetch()
        await client.invalidate("till")
        with pytest.raises(IncompleteError):
            await client.fetch(max_age=1, stale_while_revalidate=3600, strict=True)

    with_quick_till(steps)


@pytest.mark.parametrize("max_age", [0, 5])
def test_it_is_read_again_once_for_all_callers(with_quick_till, max_age):
    """Whether they come together, or while the account is being read."""

    async def steps(client, till):
        await client.fetch()
        await asyncio.sleep(10)
        for _ in range(5):
            await asyncio.gather(
                *(client.fetch(max_age=max_age, stale_while_revalidate=60) for _ in range(100)),
            )
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        return till.requests

    assert with_quick_till(steps) == 2


def test_one_that_is_older_than_that_is_waited_for(with_quick_till):
    """Beyond the limit nothing old is shown."""

    async def steps(client, till):
        await client.fetch()
        await asyncio.sleep(61)
        return await timed_fetch(client, stale_while_revalidate=60)

    merged, took = with_quick_till(steps)

    assert (took, merged.accounts[0].stale) == (pytest.approx(0.1), False)


@pytest.mark.parametrize("max_age", [0, 5])
def test_an_account_in_a_cooldown_is_not_read_again(with_client, max_age):
    """Its failure is given with the old snapshot, in whose totals that is, and no request is sent."""
    shop = Scripted("shop", 0.0, outage("shop", retry_after=30.0), 0.0)

    async def steps(client, shop):
        await client.fetch()
        await asyncio.sleep(10)
        await client.fetch()
        for _ in range(5):
            await asyncio.sleep(1)
            merged, took = await timed_fetch(client, max_age=max_age, stale_while_revalidate=60)
            assert (shop.calls, took, merged.complete, merged["BTC"].amount) == (2, 0, False, 1)
        await asyncio.sleep(30)
        await client.fetch(max_age=max_age, stale_while_revalidate=60)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with_client(steps, shop, attempts=1)

    assert shop.calls == 3


def test_an_origin_in_a_cooldown_is_not_asked(with_client):
    """After a 429 the old snapshot is given all the same, and nothing is queued for later."""
    refused = RateLimitedError("429", account="shop", provider="scripted", retry_after=60.0)
    shop = Scripted("shop", 0.0, refused)

    async def steps(client, shop):
        await client.fetch()
        await client.fetch()
        for _ in range(5):
            await asyncio.sleep(1)
            await client.fetch(stale_while_revalidate=600)
        await asyncio.sleep(100)
        return shop.calls

    assert with_client(steps, shop) == 2


def test_a_snapshot_that_was_read_this_moment_is_not_stale(with_client):
    """Without a limit nothing old is given, even where no time has passed at all."""
    refused = RateLimitedError("429", account="shop", provider="scripted")
    shop = Scripted("shop", refused, 0.0, 0.0)

    async def steps(client, _):
        await client.fetch()
        return await client.fetch()

    assert not with_client(steps, shop).accounts[0].stale
    assert shop.calls == 3
