"""An exchange that is played on loopback, and accounts at it."""

import json

import attrs
from aiohttp import web
from balancekit_ccxt import CcxtProvider

from balancekit import AggregateClient

KEY = "kQ9vXr2LmB7tZc4W"
SECRET = "NWU4ODQ4OThkYTI4MDQ3MTUxZDBlNTZmOGRjNjI5Mjc="
PASSWORD = "correct-horse-9417"


@attrs.define
class Exchange:
    """What an exchange responds with, by path, and what it was sent.

    A response is a document, bytes or a `Reply`; a list of these has one for each request, and its last for all others.
    """

    url: str
    responses: dict = attrs.field(factory=dict)
    requests: list = attrs.field(factory=list)
    respond_to_all: object = None

    async def respond(self, request):
        """Respond to one request, and note it."""
        body = await request.read()
        self.requests.append(Received(request.method, request.path, request.query, dict(request.headers), body))
        found = self.responses[request.path] if self.respond_to_all is None else self.respond_to_all
        if isinstance(found, list) and found and isinstance(found[0], Reply):
            found = found.pop(0) if len(found) > 1 else found[0]
        reply = found if isinstance(found, Reply) else Reply(found)
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        return web.Response(status=reply.status, headers=reply.headers, body=content)


@attrs.frozen
class Reply:
    """One response."""

    body: object
    status: int = 200
    headers: dict = attrs.field(factory=dict)


@attrs.frozen
class Received:
    """One request."""

    method: str
    path: str
    query: object
    headers: dict
    body: bytes


def make_account(exchange, name, label="shop", **settings):
    """Return an account at an exchange that is played."""
    credentials = {"key": KEY, "secret": SECRET, "password": PASSWORD}
    needed = {"okx": credentials}.get(name, {"key": KEY, "secret": SECRET})
    return CcxtProvider(label, exchange=name, **{**needed, "base_url": exchange.url, **settings})


async def read(*accounts, attempts=1):
    """Read accounts once, and return what came of it."""
    async with AggregateClient(accounts, attempts=attempts) as client:
        return await client.fetch()


async def balances_of(account):
    """Read one account, and return its balances by currency: amount and available, as text."""
    merged = await read(account)
    merged.raise_for_failures()
    return {
        held.currency: (held.plain, None if held.available is None else f"{held.available:f}")
        for held in merged.accounts[0].balances
    }


async def error_of(account):
    """Read one account, and return the error that it fails with."""
    (failure,) = (await read(account)).failures
    return failure.error
