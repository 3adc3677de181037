"""A Redis that goes back in time or is replaced: failed over to a replica, restored from a dump, or demoted."""

import asyncio
from contextlib import aclosing

import pytest
from redis import asyncio as aioredis, exceptions

from balancekit import Clock
from balancekit.stores import Change, RedisStore, StoreRefusedError
from balancekit.stores.fail_open import FailOpenStore
from tests.support.redis_server import RedisServer, free_port
from tests.support.stores import known, put


@pytest.fixture
def primary(running_server, patience, tmp_folder):
    """Give a server of its own, whose dump no other test loads, and which may have replicas."""
    primary = RedisServer(tmp_folder("primary"), port=free_port())
    primary.start()
    yield primary
    primary.stop()


@pytest.fixture
def replica(primary, tmp_folder):
    """Give a replica of the primary that has all its data."""
    replica = RedisServer(tmp_folder("replica"), port=free_port(), replicaof=f"127.0.0.1 {primary.port}")
    replica.start()
    with replica.client() as client:
        while client.info("replication")["master_link_status"] != "up":
            pass
    yield replica
    replica.stop()


class TestHistory:
    """Data that lack the last invalidations, though version and snapshot agree in them."""

    async def test_a_snapshot_from_a_dump_is_not_valid(self, primary, snapshot):
        """It is the last known at best: the account may have been invalidated after the dump."""
        async with RedisStore.from_url(primary.url) as store:
            await put(store, snapshot)
            with primary.client() as client:
                client.save()
            await store.invalidate("shop")
            primary.stop()
            primary.start()

            stored = await known(store)

            assert (stored.snapshot, stored.valid) == (snapshot, False)
            await put(store, snapshot)
            assert (await known(store)).valid

    @pytest.mark.parametrize("clock", [2_000_000_000.0, 1_000_000_000.0], ids=["clock goes on", "clock is set back"])
    async def test_a_snapshot_that_is_restored_while_redis_runs_is_not_valid(
        self, server, store, other, snapshot, clock
    ):
        """The process that had seen the later version makes it invalid for all, once."""
        await put(store, snapshot)
        with server.client() as client:
            backup = {key: client.dump(key) for key in client.keys("*")}
            await store.invalidate("shop")
            for key, value in backup.items():
                client.restore(key, 0, value, replace=True)
        store.clock = other.clock = lambda: clock

        stored = await known(store)

        assert (stored.snapshot, stored.valid) == (snapshot, False)
        assert (await known(other)).version == (await known(store)).version == stored.version
        await put(other, snapshot)
        assert (await known(store)).valid

    async def test_a_snapshot_at_a_replica_that_lagged_is_not_valid(self, primary, replica, snapshot):
        """Once it is the primary, nobody knows what it has missed."""
        async with RedisStore.from_url(primary.url) as store:
            await put(store, snapshot)
            with primary.client() as client:
                client.wait(1, 60_000)
        with replica.client() as client:
            client.replicaof("NO", "ONE")

        async with RedisStore.from_url(replica.url) as store:
            stored = await known(store)

        assert (stored.snapshot, stored.valid) == (snapshot, False)

    async def test_a_version_from_before_is_of_no_use_after(self, primary, snapshot):
        """What was read before the account was invalidated is not valid because Redis has forgotten that."""
        async with RedisStore.from_url(primary.url) as store:
            version = (await known(store)).version
            with primary.client() as client:
                client.save()
            await store.invalidate("shop")
            primary.stop()
            primary.start()

            await store.put("shop", snapshot, version=version, age=0)

            assert not (await known(store)).valid

    async def test_a_snapshot_of_the_history_before_replaces_no_valid_one(self, primary, snapshot, make_snapshot):
        """However late it was sent."""
        async with RedisStore.from_url(primary.url) as store:
            version = (await known(store)).version
            with primary.client() as client:
                client.save()
            primary.stop()
            primary.start()
            await put(store, snapshot, age=5)

            await store.put("shop", make_snapshot("shop", ("BTC", "9")), version=version, age=0)

            stored = await known(store)
            assert (stored.snapshot, stored.valid) == (snapshot, True)

    async def test_a_replica_that_is_only_read_is_noticed(self, failover, snapshot):
        """It may lag behind, so it is not believed, and the next call goes to wherever the address leads."""
        async with RedisStore.from_url(f"unix://{failover.address}") as store:
            await put(store, snapshot)
            failover.demote()
            failover.promote()

            with pytest.raises(exceptions.ReadOnlyError):
                await store.get(["shop"])

            assert (await known(store)).snapshot is None

    async def test_a_server_that_does_not_say_which_history_it_has_is_refused(self, server, snapshot):
        """Nothing that it returns could be proven; the error says which permission is missing."""
        with server.client() as client:
            client.execute_command("ACL SETUSER", "default", "-info")
            try:
                async with RedisStore.from_url(server.url) as store:
                    with pytest.raises(StoreRefusedError, match=r"\+info.*master_replid"):
                        await store.get(["shop"])
            finally:
                client.execute_command("ACL SETUSER", "default", "+@all")


class TestFailover:
    """The address leads to a new primary, while connections to the old one live on."""

    async def test_all_connections_are_closed_at_the_first_write_to_a_replica(self, failover, snapshot):
        """The next call reaches the new primary, and a listener hears that anything may have changed."""
        async with RedisStore.from_url(f"unix://{failover.address}") as store, aclosing(store.changes()) as changes:
            await anext(changes)
            await store.get(["shop"])
            heard = asyncio.ensure_future(anext(changes))
            failover.demote()
            failover.promote()

            with pytest.raises(exceptions.ReadOnlyError):
                await store.invalidate("shop")

            async with asyncio.timeout(30):
                assert await heard == Change(None)
                await asyncio.gather(*(store.invalidate(key) for key in ("shop", "till", "desk", "kiosk")))
                assert (await anext(changes)).invalidated
            with failover.new.client() as client:
                assert len(client.keys("balancekit:account:*")) == 4

    async def test_a_listener_follows_the_calls_back_to_an_earlier_server(self, failover):
        """Both servers live on, and so does the listener's connection to either."""
        failover.new.start_empty()
        async with RedisStore.from_url(f"unix://{failover.address}") as store, aclosing(store.changes()) as changes:
            await anext(changes)
            await store.get(["shop"])
            for server in (failover.new, failover.old, failover.new):
                failover.lead_to(server)
                await store.get(["shop"])

                async with asyncio.timeout(30):
                    assert await anext(changes) == Change(None)
                    await store.invalidate("shop")
                    assert await anext(changes) == Change("shop", invalidated=True)

    async def test_a_listener_follows_the_calls_to_another_server(self, failover):
        """A connection that is opened late is the first at the new primary; the listener is not left at the former."""
        async with RedisStore.from_url(f"unix://{failover.address}") as store:
            await store.get(["shop"])
            async with aclosing(store.changes()) as changes:
                # It has taken the connection of the calls.
                await anext(changes)
                failover.demote()
                failover.promote()

                await store.get(["shop"])

                assert await anext(changes) == Change(None)
                await store.invalidate("shop")
                assert await anext(changes) == Change("shop", invalidated=True)

    async def test_calls_under_way_do_not_close_each_others_new_connections(self, failover, snapshot):
        """However many there are, the connections are closed once."""
        async with RedisStore.from_url(f"unix://{failover.address}") as store:
            await asyncio.gather(*(store.get([f"{number}"]) for number in range(20)))
            failover.demote()
            failover.promote()

            for _ in range(2):
                calls = [store.invalidate(f"{number}") for number in range(20)]
                ended = await asyncio.gather(*calls, return_exceptions=True)

            assert {type(one) for one in ended} == {type(None)}

    async def test_of_a_lent_client_the_idle_connections_are_closed(self, server, failover):
        """Those in use are its owner's."""
        async with aioredis.Redis(unix_socket_path=str(failover.address)) as lent, lent.pubsub() as pubsub:
            await pubsub.subscribe("news")
            await pubsub.get_message(timeout=30)
            store = RedisStore(lent)
            await asyncio.gather(*(store.get(["shop"]) for _ in range(5)))
            failover.demote()
            failover.promote()

            with pytest.raises(exceptions.ReadOnlyError):
                await store.invalidate("shop")

            await asyncio.gather(*(store.invalidate(key) for key in ("shop", "till", "desk")))
            with failover.new.client() as client:
                assert len(client.keys("balancekit:account:*")) == 3
            with server.client() as client:
                assert client.publish("news", "still here") == 1

    async def test_an_invalidation_reaches_the_new_primary_within_two_seconds(self, failover, monkeypatch):
        """Though the process makes no other call."""
        # With the timeouts that a client has, since these are what is measured.
        monkeypatch.undo()
        async with RedisStore.from_url(f"unix://{failover.address}") as store:
            client = FailOpenStore(store, lambda _: None, Clock())
            await client.get(["shop"])
            failover.demote()
            failover.promote()
            async with RedisStore.from_url(failover.new.url) as new, aclosing(new.changes()) as changes:
                await anext(changes)

                async with asyncio.timeout(2):
                    await client.invalidate("shop")
                    assert await anext(changes) == Change("shop", invalidated=True)
            await client.aclose()
