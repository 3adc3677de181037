"""The permits of a read that sends several requests."""

import asyncio
from datetime import UTC, datetime

import pytest

from balancekit import RateLimit, RateLimitedError
from balancekit.client.accounts import Account
from balancekit.client.further_permits import FurtherPermits
from balancekit.client.origins import Origin
from balancekit.testing import ManualClock
from tests.support.providers import Till


@pytest.fixture
def clock():
    """Give a clock that a test moves."""
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def account():
    """Give an account at an origin with a limit of one request in ten seconds."""
    return Account("till", "till", Till(), Origin("https://till.example", limit=RateLimit(1, per=10)))


async def test_no_further_request_is_sent_during_a_429(account, clock):
    """Another account's 429 ends a read that has more to ask for."""
    account.origin.limit = None
    account.origin.cooldown.begin(sent_at=0.0, now=0.0, retry_after=30)

    with pytest.raises(RateLimitedError) as caught:
        await FurtherPermits(account, "flight", "", None, clock).acquire_next()

    assert caught.value.retry_after == 30


async def test_the_permit_before_is_released_for_the_next(account, clock):
    """Even under a limit of one request a read goes on, once the permit is free again."""
    origin = account.origin
    origin.permits.acquire(origin.limit, "flight", 0.0)
    permits = FurtherPermits(account, "flight", "", None, clock)

    waiting = asyncio.ensure_future(permits.acquire_next())
    await clock.advance(9)
    assert not waiting.done()
    await clock.advance(1)
    await waiting

    assert origin.permits.wait(origin.limit, clock.monotonic()) > 0
