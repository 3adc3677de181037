"""Snapshots over time: ages, invalidations, failures and what was last known. Time is virtual."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta

import pytest

from balancekit import (
    AccountBalances,
    AggregateClient,
    ConfigError,
)
from balancekit.stores import MemoryStore
from tests.support.clock import Clock
from tests.support.providers import Till


def test_a_snapshot_that_is_young_enough_is_used(with_client):
    """Somebody who looks again within `max_age` costs the provider nothing."""

    async def steps(client, till):
        first = await client.fetch(max_age=30)
        await asyncio.sleep(28)
        again = await client.fetch(max_age=30)
        return till.requests, first == again, again.complete

    assert with_client(steps) == (1, True, True)


def test_an_age_is_counted_from_when_the_request_was_sent(with_client):
    """A snapshot is never older than it says: the time that a response takes counts."""

    async def steps(client, till):
        await client.fetch(max_age=30)
        await asyncio.sleep(29.5)
        await client.fetch(max_age=30)
        return till.requests

    assert with_client(steps) == 2


def test_without_an_age_every_fetch_reads(with_client):
    """An earlier response serves only callers that accept one."""

    async def steps(client, till):
        await client.fetch(max_age=30)
        await asyncio.gather(client.fetch(), client.fetch())
        return till.requests

    assert with_client(steps) == 3


def test_only_what_is_too_old_is_read(with_client):
    """An account that was read lately is left alone while the others are read."""

    async def steps(client, shop, kiosk):
        await client.fetch(["shop"])
        merged = await client.fetch(max_age=30)
        return shop.requests, kiosk.requests, len(merged.accounts)

    assert with_client(steps, Till("shop"), Till("kiosk")) == (1, 1, 2)


def test_a_stream_uses_young_snapshots_too(with_client):
    """What need not be read comes at once."""

    async def steps(client, shop, kiosk):
        await client.fetch(["kiosk"])
        return [outcome.account async for outcome in client.stream(max_age=30)], kiosk.requests

    assert with_client(steps, Till("shop"), Till("kiosk")) == (["kiosk", "shop"], 1)


def test_an_invalidated_snapshot_is_not_used(with_client):
    """However young it is."""

    async def steps(client, till):
        await client.fetch()
        await client.invalidate("till")
        merged = await client.fetch(max_age=math.inf)
        return till.requests, merged.amount("BTC")

    assert with_client(steps) == (2, 2)


def test_a_late_response_from_before_an_invalidation_is_not_kept(with_client):
    """Even if it comes after the response to a request from after it."""

    async def steps(client, till):
        before = asyncio.create_task(client.fetch())
        await asyncio.sleep(0.5)
        await client.invalidate("till")
        till.takes = 0.1
        await client.fetch()
        await before
        return (await client.fetch(max_age=60)).amount("BTC"), till.requests

    assert with_client(steps) == (2, 2)


@pytest.mark.parametrize("shares", [False, True], ids=["alone", "shared"])
def test_a_suspended_machine_makes_nothing_younger(run_virtually, monkeypatch, shares):
    """The clock of the loop stands still while it sleeps, and the one on the wall does not."""

    async def main():
        wall, till = Clock(), Till(takes=0.0)
        monkeypatch.setattr(time, "time", wall)
        store = MemoryStore() if shares else None
        async with AggregateClient([till], store=store) as client:
            await client.fetch(max_age=30)
            wall.now += 3600
            await client.fetch(max_age=30)
        return till.requests

    assert run_virtually(main()) == 2


def test_a_failure_has_what_was_last_known(with_client):
    """The last snapshot comes with the failure, marked as stale, and is no part of the totals."""

    async def steps(client, till):
        first = await client.fetch()
        till.broken = True
        return first, await client.fetch()

    first, failed = with_client(steps)

    (failure,) = failed.failures
    assert failure.last_known.stale
    assert failure.last_known.balances == first.accounts[0].balances
    assert failure.last_known.fetched_at == first.accounts[0].fetched_at
    assert (len(failed), failed.complete) == (0, False)


def test_a_failure_of_an_account_that_was_never_read_knows_nothing(with_client):
    """There is nothing to show, and nothing is made up."""

    async def steps(client, till):
        till.broken = True
        return await client.fetch(stale_if_error=3600)

    merged = with_client(steps)

    assert merged.failures[0].last_known is None
    assert len(merged) == 0


def test_stale_totals_are_marked_and_never_complete(with_client):
    """With `stale_if_error` the last snapshot is counted in, and the result says so."""

    async def steps(client, till):
        first = await client.fetch()
        till.broken = True
        return first, await client.fetch(stale_if_error=3600)

    first, stale = with_client(steps)

    assert stale.amount("BTC", partial=True) == 1
    assert [snapshot.stale for snapshot in stale.accounts] == [True]
    assert not stale.complete
    assert stale.as_of == first.as_of
    assert [failure.account for failure in stale.failures] == ["till"]


def test_what_is_too_old_is_not_counted_in(with_client):
    """A snapshot older than `stale_if_error` comes with the failure and stays out of the totals."""

    async def steps(client, till):
        await client.fetch()
        till.broken = True
        return await client.fetch(stale_if_error=1e-9)

    merged = with_client(steps)

    assert len(merged) == 0
    assert merged.failures[0].last_known is not None


def test_a_stale_snapshot_is_not_taken_for_a_fresh_one(with_client):
    """Once its cooldown is over, the next caller asks the provider again, whatever age would do."""

    async def steps(client, till):
        await client.fetch()
        await client.invalidate("till")
        till.broken = True
        await client.fetch(max_age=60, stale_if_error=60)
        till.broken = False
        await asyncio.sleep(2)
        return await client.fetch(max_age=60)

    merged = with_client(steps)

    assert merged.complete
    assert merged.amount("BTC") == 3


def test_what_a_stream_has_read_takes_the_place_of_what_is_kept(with_client):
    """A number that was shown is not followed by an older one, nor is that the last that is known."""

    async def steps(client, till):
        await client.fetch()
        streamed = [outcome async for outcome in client.stream()]
        merged = await client.fetch(max_age=60)
        return till.requests, streamed[0].balances[0].amount, merged.amount("BTC")

    assert with_client(steps) == (2, 2, 2)


def test_a_stream_without_an_age_keeps_nothing(with_client):
    """So that any number of accounts can be streamed in little memory."""

    async def steps(client, till):
        async for outcome in client.stream():
            assert isinstance(outcome, AccountBalances)
        await client.fetch(max_age=60)
        return till.requests

    assert with_client(steps) == 2


def test_a_snapshot_has_an_age(make_snapshot):
    """In seconds since its request was sent."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert make_snapshot("shop", fetched_at=moment).age(moment + timedelta(minutes=1)) == 60.0
    assert make_snapshot("shop", fetched_at=datetime.now(UTC)).age() < 60.0


@pytest.mark.parametrize("age", [-1, math.nan, True, "5", None], ids=str)
@pytest.mark.parametrize("setting", ["max_age", "stale_if_error"])
def test_an_age_must_be_seconds(with_client, setting, age):
    """Before anything is read."""

    async def steps(client, till):
        with pytest.raises(ConfigError, match=f"{setting}: expected seconds, zero or more"):
            await client.fetch(**{setting: age})
        return till.requests

    assert with_client(steps) == 0


def test_an_account_that_is_not_there_cannot_be_invalidated(with_client):
    """A misspelt label is an error and no silence."""

    async def steps(client, till):
        with pytest.raises(ConfigError, match="no account is labelled 'tilll'"):
            await client.invalidate("tilll")

    with_client(steps)
