"""Balances as server-sent events with Starlette: `python examples/starlette_service.py` reads ./accounts.toml."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

from balancekit import AggregateClient
from balancekit.config import load_config
from balancekit.webhooks import WebhookApp


def make_server(client: AggregateClient, port: int = 8000) -> uvicorn.Server:
    """Make a server that ends the watches before it waits for open responses; the application closes the client."""

    async def lines() -> AsyncIterator[str]:
        async with client.watch(max_age=60, stale_if_error=3600) as states:
            while True:
                try:
                    async with asyncio.timeout(15):
                        merged = await anext(states)
                except TimeoutError:
                    yield ": nothing new\n\n"
                except StopAsyncIteration:
                    return
                else:
                    yield f"data: {merged.to_json()}\n\n"

    async def events(_: Request) -> StreamingResponse:
        return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def health(_: Request) -> JSONResponse:
        down = {label: str(status.error) for label, status in client.status().items() if status.up is False}
        return JSONResponse(down, 503 if down else 200)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        async with client:
            yield

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            client.stop_watching()
            await super().shutdown(sockets)

    routes = [Route("/events", events), Route("/health", health), Mount("/webhooks", WebhookApp(client))]
    app = Starlette(routes=routes, lifespan=lifespan)
    return Server(uvicorn.Config(app, port=port, http="h11", ws="none"))


if __name__ == "__main__":
    make_server(load_config("accounts.toml").make_client()).run()
