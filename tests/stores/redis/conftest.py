"""What the tests of the store in Redis share: stores of two replicas, a snapshot, and how long to wait for a server."""

import tempfile
from pathlib import Path

import pytest

from balancekit.stores import RedisStore
from balancekit.stores.redis import connection
from tests.support.redis_server import RedisServer


class Failover:
    """An address that leads to one server, and then to another, while the first lives on as a read-only replica."""

    def __init__(self, folder, old):
        (folder / "new").mkdir()
        self.old, self.new = old, RedisServer(folder / "new")
        self.address = folder / "address"
        self.address.symlink_to(old.socket)

    def demote(self):
        """Make the first server a replica, while the address still leads to it."""
        with self.old.client() as client:
            client.replicaof("127.0.0.1", 1)

    def promote(self):
        """Let the address lead to the second server."""
        self.new.start_empty()
        self.address.unlink()
        self.address.symlink_to(self.new.socket)

    def lead_to(self, server):
        """Let the address lead to a server; the calls, not the listeners, lose their connections to both."""
        self.address.unlink()
        self.address.symlink_to(server.socket)
        for one in (self.old, self.new):
            with one.client() as client:
                client.client_kill_filter(_type="normal", skipme=True)

    def end(self):
        """Stop the second server, and make the first one a primary again."""
        self.new.stop()
        with self.old.client() as client:
            client.replicaof("NO", "ONE")


@pytest.fixture
def tmp_folder():
    """Make folders whose paths are short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:

        def make(name):
            (Path(folder) / name).mkdir()
            return Path(folder) / name

        yield make


@pytest.fixture
def failover(server):
    """Give an address whose primary changes when the test says so."""
    with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:
        failover = Failover(Path(folder), server)
        try:
            yield failover
        finally:
            failover.end()


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
def short_timeouts(patience, monkeypatch):
    """Wait for a silent server no longer than a test may take, but longer than a busy machine stands still."""
    monkeypatch.setattr(connection, "SOCKET_TIMEOUT", 1.0)
    monkeypatch.setattr(connection, "HEARTBEAT", 1.0)


@pytest.fixture
def long_timeouts(patience, monkeypatch):
    """Wait for a connection as long as a busy machine may need."""
    monkeypatch.setattr(connection, "SOCKET_TIMEOUT", 60.0)
