"""A Redis Cluster of three nodes, each of which has a third of the keys."""

import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path

import pytest
from redis import asyncio as aioredis, exceptions

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, RateLimit
from balancekit.http.secret import Secret
from balancekit.stores import Change, RedisStore, StoreRefusedError
from balancekit.stores.redis.connection import connect
from tests.support.redis_server import RedisServer, free_port

SLOTS = 16_384


class Cluster:
    """Three servers that share the keys, without replicas."""

    def __init__(self, make_folder):
        self._buses = [free_port() for _ in range(3)]
        self.nodes = [
            RedisServer(make_folder(f"node-{bus}"), port=free_port(), cluster_enabled="yes", cluster_port=bus)
            for bus in self._buses
        ]
        self.url = f"redis://127.0.0.1:{self.nodes[0].port}"

    def start(self):
        """Start the servers, make them one cluster, and wait until each knows it."""
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes):
            first, last = (SLOTS * place // 3 for place in (number, number + 1))
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self._buses[0])
        for node in self.nodes:
            with node.client() as client:
                while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                    pass

    def counts(self):
        """Return how many keys each node has."""
        return [_call(node, "DBSIZE") for node in self.nodes]

    def stop(self):
        """Stop every node."""
        for node in self.nodes:
            node.stop()


def _call(node, *command):
    with node.client() as client:
        return client.execute_command(*command)


@pytest.fixture(scope="module")
def running_cluster(running_server):
    """Run a cluster for all tests of this module."""
    with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:

        def make(name):
            (Path(folder) / name).mkdir()
            return Path(folder) / name

        cluster = Cluster(make)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def cluster(running_cluster, patience):
    """Give a cluster without any keys."""
    for node in running_cluster.nodes:
        _call(node, "FLUSHALL")
    return running_cluster


@pytest.fixture(params=["url", "lent"])
async def store(request, cluster):
    """Give a store with connections of its own, or with a client that it is lent."""
    if request.param == "url":
        async with RedisStore.from_url(cluster.url, cluster=True) as store:
            yield store
    else:
        async with aioredis.RedisCluster.from_url(cluster.url) as lent:
            yield RedisStore(lent)


async def test_accounts_are_on_all_nodes(cluster, store, make_snapshot):
    """Each call goes to the node of its account, and all that are made together share a pipeline for each node."""
    snapshots = {f"shop {number}": make_snapshot(f"shop {number}", ("BTC", "1")) for number in range(60)}
    stored = await store.get(list(snapshots))
    assert len({one.version.partition(":")[0] for one in stored}) == 3

    puts = [
        store.put(key, snapshot, version=one.version, age=0)
        for (key, snapshot), one in zip(snapshots.items(), stored, strict=True)
    ]
    await asyncio.gather(*puts)

    stored = await store.get(list(snapshots))
    assert [(one.snapshot, one.valid) for one in stored] == [(snapshot, True) for snapshot in snapshots.values()]
    assert min(cluster.counts()) > 0


async def test_every_call_works(store):
    """Leases, events and permits have their nodes, too."""
    for name in ("a", "b", "c", "d", "e"):
        assert await store.lease(name, "me", seconds=9) == 0
        assert await store.lease(name, "you", seconds=9) > 0
        await store.release(name, "me")
        await store.remember(name, seconds=9)
        assert await store.seen(name)
        assert await store.acquire_permit(name, RateLimit(1, per=9), "1", hold=9) == 0
        await store.release_permit(name, RateLimit(1, per=9), "1")
        assert await store.acquire_permit(name, RateLimit(1, per=9), "2", hold=9) > 0


async def test_changes_at_every_node_are_heard(cluster, store):
    """Over one listener, at any of them."""
    async with RedisStore.from_url(cluster.url, cluster=True) as other, aclosing(store.changes()) as changes:
        await anext(changes)

        keys = [f"shop {number}" for number in range(20)]
        await asyncio.gather(*(other.invalidate(key) for key in keys))

        async with asyncio.timeout(30):
            heard = [await anext(changes) for _ in keys]
        assert sorted(heard, key=str) == sorted((Change(key, invalidated=True) for key in keys), key=str)


async def test_scripts_that_a_node_has_forgotten_are_sent_again(cluster, store):
    """To that node."""
    await store.get(["a", "b", "c", "d"])
    _call(cluster.nodes[1], "SCRIPT", "FLUSH")

    assert len(await store.get(["a", "b", "c", "d", "e", "f", "g", "h"])) == 8


async def test_keys_that_have_moved_to_another_node_are_followed(cluster, store, snapshot):
    """A snapshot that moved with them is not valid there, since that node has a history of its own."""
    before = (await store.get(["shop"]))[0]
    await store.put("shop", snapshot, version=before.version, age=0)
    slot = _call(cluster.nodes[0], "CLUSTER", "KEYSLOT", "balancekit:account:{shop}")
    place = next(number for number in range(3) if slot < SLOTS * (number + 1) // 3)
    here, there = cluster.nodes[place], cluster.nodes[(place + 1) % 3]
    _move(slot, here, there, cluster)
    try:
        stored = (await store.get(["shop"]))[0]
        assert (stored.snapshot, stored.valid) == (snapshot, False)
        await store.put("shop", snapshot, version=stored.version, age=0)
        assert (await store.get(["shop"]))[0].valid
    finally:
        _move(slot, there, here, cluster)


def _move(slot, here, there, cluster):
    names = {node: _call(node, "CLUSTER", "MYID") for node in (here, there)}
    _call(there, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[here])
    _call(here, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[there])
    for key in _call(here, "CLUSTER", "GETKEYSINSLOT", slot, 9):
        _call(here, "MIGRATE", "127.0.0.1", there.port, key, 0, 5000)
    for node in (there, here, *cluster.nodes):
        _call(node, "CLUSTER", "SETSLOT", slot, "NODE", names[there])


async def test_a_client_uses_it(cluster, sandbox):
    """Six accounts are read once."""
    accounts = [
        CryptoprocessingProvider(label, **sandbox.add_cryptoprocessing(label, {"BTC": "1"}).settings)
        for label in ("a", "b", "c", "d", "e", "f")
    ]
    async with (
        RedisStore.from_url(cluster.url, cluster=True) as store,
        AggregateClient(accounts, store=store) as client,
    ):
        for _ in range(4):
            assert (await client.fetch(max_age=3600)).amount("BTC") == 6

    assert len(sandbox.requests) == 6


class TestMisconfiguration:
    """The other mode."""

    async def test_a_cluster_that_is_taken_for_a_server_is_refused(self, cluster):
        """The error says how to use it."""
        async with RedisStore.from_url(cluster.url) as store:
            with pytest.raises(StoreRefusedError, match="pass cluster=True"):
                await store.get(["a", "b", "c", "d"])

    async def test_a_server_that_is_taken_for_a_cluster_is_refused(self, tmp_folder):
        """The error says how to use it."""
        server = RedisServer(tmp_folder("server"), port=free_port())
        server.start()
        try:
            async with RedisStore.from_url(f"redis://127.0.0.1:{server.port}", cluster=True) as store:
                with pytest.raises(StoreRefusedError, match="leave out cluster=True"):
                    await store.get(["a"])
        finally:
            server.stop()

    @pytest.mark.parametrize("url", ["unix:///tmp/redis.sock", "redis://host/5", "canary"])
    async def test_an_url_that_no_cluster_has_is_an_error(self, url):
        """It names those that are expected."""
        with pytest.raises(ConfigError, match="one of the cluster's nodes"):
            connect(Secret.of(url), cluster=True)


async def test_a_cluster_that_is_gone_is_an_outage(tmp_folder):
    """And no refusal."""
    async with RedisStore.from_url(f"redis://127.0.0.1:{free_port()}", cluster=True) as store:
        with pytest.raises((exceptions.ConnectionError, exceptions.RedisClusterException)):
            await store.get(["a"])
