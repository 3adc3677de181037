"""Error responses whose head has arrived, and whose body never comes, while callers do not wait for it."""

import asyncio
from contextlib import suppress

import pytest

from balancekit import AggregateClient, GetManyProvider, RateLimitedError
from balancekit.http import bodies
from balancekit.sandbox import Fault


@pytest.mark.parametrize("settings", [{}, {"timeout": 1.0, "attempts": 1}], ids=["the caller leaves", "it times out"])
async def test_a_429_is_heeded_although_nobody_waits_for_its_body(sandbox, monkeypatch, settings):
    """No further request is sent, and the next caller learns how long that lasts."""
    monkeypatch.setattr(bodies, "_ERROR_BODY_TIMEOUT", 60.0)
    shop = sandbox.add_getmany("shop", {"BTC": "1"})
    sandbox.fail("shop", Fault(status=429, headers={"Retry-After": "60"}, length_error=1, ending="stall"))

    async with AggregateClient([GetManyProvider("shop", **shop.settings)], **settings) as client:
        for _ in range(3):
            with suppress(TimeoutError):
                async with asyncio.timeout(1.5):
                    await client.fetch()
        (failure,) = (await client.fetch()).failures

    assert len(sandbox.requests) == 1
    assert type(failure.error) is RateLimitedError
    assert failure.error.retry_after == pytest.approx(60, abs=5)
