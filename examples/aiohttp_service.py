"""Balances as server-sent events with aiohttp.web: `python examples/aiohttp_service.py` reads ./accounts.toml."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import aiohttp
from aiohttp import web

from balancekit import AggregateClient, Config, load_config
from balancekit.webhooks import webhook_routes

CLIENT = web.AppKey("client", AggregateClient)
HEARTBEAT = 15.0


async def events(request: web.Request) -> web.StreamResponse:
    """Send the balances now and after each change, and a comment when nothing has changed for a while."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    async with request.app[CLIENT].watch(max_age=60, stale_if_error=3600) as states:
        while True:
            text = ": nothing new\n\n"
            try:
                with suppress(TimeoutError):  # the watch goes on
                    async with asyncio.timeout(HEARTBEAT):
                        text = f"data: {(await anext(states)).to_json()}\n\n"
                await response.write(text.encode())
            except (StopAsyncIteration, ConnectionResetError):  # the watch has ended, or the reader has left
                return response


async def health(request: web.Request) -> web.Response:
    """Name the accounts that are down, without asking anybody."""
    down = {label: str(each.error) for label, each in request.app[CLIENT].status().items() if each.up is False}
    return web.json_response(down, status=503 if down else 200)


def make_app(config: Config) -> web.Application:
    """Make the application; it opens the session and the client, and closes both."""

    async def open_client(app: web.Application) -> AsyncGenerator[None, None]:
        async with aiohttp.ClientSession() as session, config.make_client(session=session) as client:
            app[CLIENT] = client
            app.add_routes([web.get("/events", events), web.get("/health", health), *webhook_routes(client)])
            yield

    async def stop_watching(app: web.Application) -> None:
        app[CLIENT].stop_watching()

    app = web.Application()
    app.cleanup_ctx.append(open_client)
    app.on_shutdown.append(stop_watching)
    return app


if __name__ == "__main__":
    web.run_app(make_app(load_config("accounts.toml")))
