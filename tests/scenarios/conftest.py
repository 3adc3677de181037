"""What scenarios share: a bank, a store of either kind, and two clients with one store."""

import asyncio
import base64
import itertools

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from balancekit import AggregateClient
from balancekit.providers import base
from balancekit.sandbox import server
from balancekit.stores import MemoryStore, RedisStore
from tests.support.clock import NEW_YEAR, LoopClock
from tests.support.providers import Till
from tests.support.stores import FlakyStore


@pytest.fixture
async def bank():
    """Serve what the owner of each token holds; give the base URL."""
    held = {"Bearer alice": "1000000", "Bearer bob": "5"}

    async def balances(request):
        money = held[request.headers["Authorization"]]
        return web.json_response({"balances": [{"currency": "EUR", "available": money}]})

    app = web.Application()
    app.router.add_get("/{rest:.*}", balances)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def one_signature(monkeypatch, same_keys):
    """Have requests to getMany signed alike each time, by the clock that this gives.

    Words that are in a random signature are hidden.
    """
    keys, nonces = itertools.count(), itertools.count()

    def new_key():
        key = Ed25519PrivateKey.from_private_bytes(next(keys).to_bytes(32))
        return base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()

    monkeypatch.setattr(server, "new_signing_key", new_key)
    monkeypatch.setattr(base, "new_nonce", lambda: base64.b64encode(next(nonces).to_bytes(16)).decode())
    return lambda: NEW_YEAR


@pytest.fixture(params=["memory", "redis"])
async def store(request):
    """Be a store of either kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    async with RedisStore.from_url(request.getfixturevalue("server").url) as store:
        yield store


@pytest.fixture
def with_clients(run_virtually):
    """Run a test's steps with a store and two clients that share it, each with a provider of its own."""

    def run(steps, **settings):
        async def main():
            store, tills, clock = FlakyStore(), (Till(), Till()), LoopClock()
            async with (
                AggregateClient([tills[0]], store=store, clock=clock, **settings) as here,
                AggregateClient([tills[1]], store=store, clock=clock, **settings) as there,
            ):
                result = await steps(store, here, there)
            for _ in range(9):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result, [till.requests for till in tills]

        return run_virtually(main())

    return run
