"""The service of examples/aiohttp_service.py, over real sockets."""

import asyncio

import aiohttp
from aiohttp import web

from examples import aiohttp_service
from tests.support.event_stream import amounts, next_line, next_state, reasons
from tests.support.hosts import get_json, nothing_left


async def test_the_service_sends_changes_and_heartbeats_and_stops(accounts, monkeypatch):
    """Readers see what is settled and what is down, by the aliases of the file, and do not keep it from ending."""
    monkeypatch.setattr(aiohttp_service, "HEARTBEAT", 0.05)
    async with nothing_left(), asyncio.timeout(60):
        runner = web.AppRunner(aiohttp_service.make_app(accounts.config), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        accounts.shop.webhook_url = f"{url}/webhooks/shop"

        async with aiohttp.ClientSession() as session, session.get(f"{url}/events") as response:
            await next_state(response, lambda merged: amounts(merged) == {"BTC": "0.5", "ETH": "0", "USD": "450"})
            await next_state(
                response,
                lambda merged: reasons(merged) == {"down": "ServiceUnavailableError", "hung": "ProviderTimeoutError"},
            )
            while await next_line(response) != ": nothing new\n":
                pass
            assert await accounts.settle("0.25") == 204
            merged = await next_state(response, lambda merged: amounts(merged)["BTC"] == "0.75")
            assert merged["complete"] is False

            status, down = await get_json(f"{url}/health")
            assert (status, sorted(down)) == (503, ["down", "hung"])

            async with asyncio.timeout(30):
                await runner.cleanup()
                await response.content.read()


async def test_a_reader_who_leaves_is_no_error_in_the_log(accounts, monkeypatch, caplog):
    """What is written to one who has left ends the response, and nothing else."""
    monkeypatch.setattr(aiohttp_service, "HEARTBEAT", 0.05)
    async with nothing_left(), asyncio.timeout(60):
        runner = web.AppRunner(aiohttp_service.make_app(accounts.config), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"

        async with aiohttp.ClientSession() as session, session.get(url) as stays:
            async with session.get(url) as leaves:
                await next_line(leaves)
            for _ in range(20):
                while await next_line(stays) != ": nothing new\n":
                    pass
        await runner.cleanup()

    assert [record.getMessage() for record in caplog.records if record.name == "aiohttp.server"] == []
