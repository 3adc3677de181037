"""The service of examples/starlette_service.py, over real sockets."""

import asyncio

import aiohttp
import pytest

from tests.support.event_stream import amounts, next_state, reasons
from tests.support.hosts import get_json, nothing_left, served

make_server = pytest.importorskip("examples.starlette_service").make_server


async def test_the_service_sends_changes_and_stops(accounts):
    """Readers see what is settled and what is down, and are no obstacle to its end."""
    client = accounts.client()
    async with nothing_left(), asyncio.timeout(60), served(lambda: make_server(client)) as (url, stop):
        accounts.shop.webhook_url = f"{url}/webhooks/shop"
        async with aiohttp.ClientSession() as session, session.get(f"{url}/events") as response:
            await next_state(
                response,
                lambda merged: reasons(merged) == {"down": "ServiceUnavailableError", "hung": "ProviderTimeoutError"},
            )
            assert await accounts.settle("0.25") == 204
            await next_state(response, lambda merged: amounts(merged)["BTC"] == "0.75")

            status, down = await get_json(f"{url}/health")
            assert (status, sorted(down)) == (503, ["down", "hung"])

            await stop()
            await response.content.read()

    assert repr(client) == "AggregateClient(3 accounts, closed)"
