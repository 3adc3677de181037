"""What the tests of the store in Redis share: stores of two replicas, a snapshot, and how long to wait for a server."""

import pytest

from balancekit.stores import RedisStore
from balancekit.stores.redis import connection


@pytest.fixture
async def store(server):
    """Give a store with connections of its own."""
    async with RedisStore.from_url(server.url) as store:
        yield store


@pytest.fixture
async def other(server):
    """Give the store of another replica."""
    async with RedisStore.from_url(server.url) as store:
        yield store


@pytest.fixture
def snapshot(make_snapshot):
    """Give a snapshot."""
    return make_snapshot("shop", ("BTC", "1.50"))


@pytest.fixture
def short_timeouts(monkeypatch):
    """Wait for a silent server no longer than a test may take."""
    monkeypatch.setattr(connection, "SOCKET_TIMEOUT", 0.1)
    monkeypatch.setattr(connection, "HEARTBEAT", 0.1)


@pytest.fixture
def long_timeouts(monkeypatch):
    """Wait for a connection as long as a busy machine may need."""
    monkeypatch.setattr(connection, "SOCKET_TIMEOUT", 60.0)
