"""A service of balances with FastAPI: `python examples/fastapi_service.py` serves the accounts of ./accounts.toml."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Query, Request, Response

from balancekit import AggregateClient, MergedBalances, load_config
from balancekit.webhooks import WebhookApp


async def get_client(request: Request) -> AggregateClient:
    """Give a route the client: tests override it with `app.dependency_overrides`."""
    client: AggregateClient = request.app.state.client
    return client


Client = Annotated[AggregateClient, Depends(get_client)]
Age = Annotated[float, Query(ge=0, allow_inf_nan=False)]


async def keep_reading(client: AggregateClient) -> None:
    """Read all accounts every minute, and those with a webhook at once, so that /health knows of them."""
    async for _ in client.watch(every=60):
        pass


def make_app(client: AggregateClient) -> FastAPI:
    """Make the application; it closes the client when it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        async with client, asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_reading(client))
            yield
            client.stop_watching()

    app = FastAPI(lifespan=lifespan)
    app.state.client = client
    app.mount("/webhooks", WebhookApp(client))

    @app.get("/balances")
    async def balances(client: Client, max_age: Age = 60) -> MergedBalances:
        return await client.fetch(max_age=max_age, stale_if_error=3600, deadline=3)

    @app.get("/health")
    async def health(client: Client, response: Response) -> dict[str, str]:
        down = {label: str(status.error) for label, status in client.status().items() if status.up is False}
        response.status_code = 503 if down else 200
        return down

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(load_config("accounts.toml").make_client()))
