"""A client whose Redis goes back in time never gives an old balance for a fresh one."""

import asyncio
import tempfile
from collections.abc import Iterator

import pytest

from balancekit import AggregateClient, CryptoprocessingProvider
from balancekit.sandbox import Sandbox
from balancekit.stores import RedisStore
from tests.support.redis_server import RedisServer


@pytest.fixture
def redis_with_dump(running_server, patience) -> Iterator[RedisServer]:
    """Give a server of its own, whose dump no other test loads."""
    with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:
        server = RedisServer(folder)
        server.start()
        yield server
        server.stop()


async def test_after_redis_has_crashed_and_loaded_an_older_dump(redis_with_dump, sandbox: Sandbox):
    """An invalidation from after the dump is lost with it, but the account is read again."""
    shop = CryptoprocessingProvider("shop", **sandbox.add_cryptoprocessing("shop", {"BTC": "1"}).settings)
    amounts = []

    async def fetch(client):
        merged = await client.fetch(max_age=3600)
        amounts.append((str(merged.amount("BTC")), merged.complete))

    async with RedisStore.from_url(redis_with_dump.url) as store, AggregateClient([shop], store=store) as client:
        await fetch(client)
        with redis_with_dump.client() as redis:
            # No caller waits for the snapshot to be put; the lease is released after that.
            while redis.keys("balancekit:lease:*"):  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(0)
            assert any(redis.hexists(key, "snapshot") for key in redis.keys("balancekit:account:*"))
            redis.save()
        sandbox.accounts[0].add("BTC", "9")
        await client.invalidate("shop")
        await fetch(client)
    redis_with_dump.stop()
    redis_with_dump.start()
    async with RedisStore.from_url(redis_with_dump.url) as store, AggregateClient([shop], store=store) as client:
        await fetch(client)

    assert amounts == [("1", True), ("10", True), ("10", True)]
