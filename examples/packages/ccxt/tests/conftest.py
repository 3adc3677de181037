"""A server on loopback that plays an exchange."""

import contextlib

import pytest
from aiohttp import web
from played import Exchange


@pytest.fixture
async def exchange():
    """Start an exchange, whose responses a test gives."""
    async with contextlib.AsyncExitStack() as stack:
        app = web.Application()
        runner = web.AppRunner(app)
        played = Exchange("")
        app.router.add_route("*", "/{path:.*}", played.respond)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        played.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield played
