"""The store in Redis, beyond what every store promises: shared by replicas, and usable after whatever happens to it."""

import asyncio
import time
from contextlib import aclosing, suppress

import pytest
import redis as sync_redis
from redis import asyncio as aioredis, exceptions

from balancekit import Clock, ConfigError, RateLimit
from balancekit.stores import Change, RedisStore, StoreRefusedError
from balancekit.stores.fail_open import FailOpenStore
from balancekit.stores.redis import values
from tests.support.redis_server import RedisServer, free_port
from tests.support.stores import known, put

CANARY = "canary-password-1"


class TestReplicas:
    """What one replica does, the others know."""

    async def test_a_snapshot_is_there_for_every_replica(self, store, other, snapshot):
        """With its age and its version."""
        await put(store, snapshot, age=3)

        stored = await known(other)

        assert (stored.snapshot, stored.valid) == (snapshot, True)
        assert stored.age >= 3
        assert stored.version == (await known(store)).version

    async def test_changes_reach_every_replica(self, store, other, snapshot):
        """A replica that waits for another's snapshot learns that it is there."""
        async with aclosing(other.changes()) as changes:
            await anext(changes)
            await put(store, snapshot)
            await store.invalidate("shop")

            assert [await anext(changes) for _ in range(2)] == [Change("shop"), Change("shop", invalidated=True)]

    async def test_anything_may_have_changed_while_a_connection_was_lost(self, server, store):
        """A change without a key says so."""
        async with aclosing(store.changes()) as changes:
            await anext(changes)

            with server.client() as client:
                client.client_kill_filter(_type="pubsub")

            assert await anext(changes) == Change(None)

    async def test_one_replica_has_the_lease(self, store, other):
        """The others wait."""
        await store.lease("shop", "one", seconds=10)

        assert 0 < await other.lease("shop", "two", seconds=10) <= 10

    async def test_prefixes_are_apart(self, server, store, snapshot):
        """Two services may share a Redis."""
        await put(store, snapshot)

        async with RedisStore.from_url(server.url, prefix="another") as another:
            assert (await known(another)).snapshot is None

    async def test_ages_are_by_the_clock_of_redis(self, store, snapshot, monkeypatch):
        """A replica whose own clock is wrong sees the same age."""
        monkeypatch.setattr(time, "time", lambda: 0.0)
        await put(store, snapshot, age=5)

        assert 5 <= (await known(store)).age < 60

    @pytest.mark.parametrize("wrong", [f"redis://:{CANARY}@db", sync_redis.Redis(), None], ids=["url", "sync", "none"])
    def test_it_takes_a_client_of_redis_alone(self, wrong, everything_shown_by):
        """What it is given by mistake is shown nowhere: a URL may hold a password."""
        with pytest.raises(
            ConfigError, match=r"redis: expected a redis\.asyncio\.Redis or RedisCluster, got"
        ) as caught:
            RedisStore(wrong)

        assert CANARY not in everything_shown_by(caught.value)

    @pytest.mark.parametrize("wrong", [None, 5, b"shop"])
    def test_a_prefix_that_is_no_text_is_refused(self, wrong):
        """Names of keys would begin with what Python writes of it."""
        with pytest.raises(ConfigError, match=r"^prefix: expected text, got (NoneType|int|bytes)$"):
            RedisStore.from_url("redis://db", prefix=wrong)


class TestManyClients:
    """Thirty clients of one process on one store."""

    async def test_they_share_one_listener(self, server, store):
        """It ends with the last of them."""
        changes = [store.changes() for _ in range(30)]
        await asyncio.gather(*(anext(one) for one in changes))

        with server.client() as client:
            assert client.pubsub_numsub("balancekit:changes") == [("balancekit:changes", 1)]
            assert client.info("clients")["connected_clients"] <= 3
            await store.invalidate("shop")
            assert await asyncio.gather(*(anext(one) for one in changes)) == [Change("shop", invalidated=True)] * 30
            for one in changes:
                await one.aclose()
            while client.pubsub_numsub("balancekit:changes")[0][1]:  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(0)

    async def test_none_of_them_waits_for_a_connection(self, store):
        """Each follows changes, and all read at the same time."""
        clients = [FailOpenStore(store, lambda _: None, Clock()) for _ in range(30)]

        await asyncio.gather(*(client.listen() for client in clients))
        await asyncio.gather(*(client.get(["shop"]) for client in clients))

        assert {client.reachable for client in clients} == {True}
        await asyncio.gather(*(client.aclose() for client in clients))


class TestParsing:
    """What is read again and again."""

    async def test_a_snapshot_is_sent_and_parsed_once(self, server, store, other, snapshot, make_snapshot):
        """Until there is another; its age and whether it is valid are those of now."""
        await put(store, snapshot, age=1)
        first = await known(store)
        with server.client() as client:
            before = client.info("stats")["total_net_output_bytes"]
            client.hset("balancekit:account:{shop}", "snapshot", "x" * 1_000_000)
            for _ in range(10):
                again = await known(store)
            assert client.info("stats")["total_net_output_bytes"] - before < 100_000
        assert again.snapshot is first.snapshot
        assert again.age > first.age

        await other.invalidate("shop")
        assert ((await known(store)).snapshot, (await known(store)).valid) == (snapshot, False)
        await put(other, make_snapshot("shop", ("BTC", "2")))
        assert (await known(store)).snapshot == make_snapshot("shop", ("BTC", "2"))

    async def test_twelve_thousand_accounts_are_parsed_once(self, store, make_snapshot, monkeypatch):
        """However often all of them are read."""
        parsed = []
        decode = values.decode_json
        monkeypatch.setattr(values, "decode_json", lambda text: parsed.append(text) or decode(text))
        keys = [f"{number}" for number in range(12_000)]
        stored = await store.get(keys)
        puts = [
            store.put(key, make_snapshot(key, ("BTC", "1")), version=one.version, age=0)
            for key, one in zip(keys, stored, strict=True)
        ]
        await asyncio.gather(*puts)

        for _ in range(2):
            assert all(one.valid for one in await store.get(keys))

        assert len(parsed) == 12_000


class TestConnections:
    """Connections of its own, and a client that it is lent."""

    def test_a_store_works_in_one_event_loop_after_another(self, server):
        """Each has connections of its own."""
        store = RedisStore.from_url(server.url)

        async def use():
            async with store:
                await store.remember("msg_1", seconds=10)
                return await asyncio.gather(*(store.seen("msg_1") for _ in range(30)))

        assert asyncio.run(use()) == asyncio.run(use()) == [True] * 30

    @pytest.mark.parametrize("settings", [{"decode_responses": True}, {"protocol": 3}, {"protocol": 2}], ids=str)
    async def test_a_client_can_be_lent_whatever_its_settings(self, server, snapshot, settings):
        """Its replies may be text or bytes; it is left open."""
        async with aioredis.Redis(unix_socket_path=str(server.socket), **settings) as lent:
            async with RedisStore(lent) as store, aclosing(store.changes()) as changes:
                await anext(changes)
                await put(store, snapshot)
                assert await anext(changes) == Change("shop")
                await store.remember("msg_1", seconds=60)
                assert await store.acquire_permit("host", RateLimit(1, per=5), "a", hold=1) == 0
                assert await store.acquire_permit("host", RateLimit(1, per=5), "b", hold=1) > 4
                await lent.hset("balancekit:account:{till}", mapping={"version": b"\xff", "snapshot": b"\xff"})

                stored = await store.get(["shop", "till"])

            assert (stored[0].snapshot, stored[0].valid, stored[1].snapshot) == (snapshot, True, None)
            assert await lent.ping()


class TestValues:
    """What stands in Redis."""

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("snapshot", b"\xff"),
            ("snapshot", "canary"),
            ("snapshot", "canary" * 2_000_000),
            ("sent", "yesterday"),
            ("sent", ""),
            ("sent", "9" * 400),
            ("sent", "-1"),
            ("version", b"canary\xff"),
            ("version", "1"),
        ],
        ids=lambda value: repr(value[:8]),
    )
    async def test_a_snapshot_that_cannot_be_read_is_absent(self, server, store, snapshot, field, value, caplog):
        """Other accounts are not, one line in the log shows nothing of it, and the next snapshot replaces it."""
        await put(store, snapshot)
        await store.put("till", snapshot, version="", age=0)
        with server.client() as client:
            client.hset("balancekit:account:{shop}", field, value)

        for _ in range(2):
            assert [one.snapshot for one in await store.get(["shop", "till"])] == [None, snapshot]
        await put(store, snapshot)
        assert (await known(store)).snapshot == snapshot
        assert (await known(store)).valid
        (line,) = (record.getMessage() for record in caplog.records)
        assert "canary" not in line
        assert len(line) < 200

    @pytest.mark.parametrize("field", ["snapshot", "read_at", "sent", "mark", "version", "failure", "failed_at"])
    async def test_what_is_longer_than_is_written_is_never_sent(self, server, store, snapshot, field):
        """One field of one account would keep all others from being read in time."""
        await put(store, snapshot)
        await store.put_failure("shop", "{}", version=None, cooldown=60)
        with server.client() as client:
            client.hset("balancekit:account:{shop}", field, b"x" * 11_000_000)
            before = client.info("stats")["total_net_output_bytes"]
            async with RedisStore.from_url(server.url) as new:
                assert (await new.get(["shop", "till"]))[1].snapshot is None
            assert client.info("stats")["total_net_output_bytes"] - before < 100_000

    async def test_a_snapshot_of_another_account_is_absent(self, server, store, snapshot):
        """Wherever a text is moved to, it is the account's for which it was written."""
        await put(store, snapshot)
        with server.client() as client:
            client.copy("balancekit:account:{shop}", "balancekit:account:{till}")

        assert [one.snapshot for one in await store.get(["shop", "till"])] == [snapshot, None]

    async def test_a_key_of_another_type_is_absent(self, server, store, snapshot, caplog):
        """Other accounts are not, one line in the log says so, and the next snapshot replaces it."""
        await store.put("till", snapshot, version="", age=0)
        with server.client() as client:
            client.rpush("balancekit:account:{shop}", "canary")

        assert [one.snapshot for one in await store.get(["shop", "till"])] == [None, snapshot]
        await put(store, snapshot)
        assert (await known(store)).valid
        assert [record.getMessage() for record in caplog.records] == [
            "a value in Redis is no account, and counts as absent"
        ]

    async def test_a_value_that_no_event_has_is_no_event(self, server, store):
        """The webhook of an event that counts as seen would be lost."""
        with server.client() as client:
            client.set("balancekit:event:{msg_1}", "canary")
            client.hset("balancekit:event:{msg_2}", "a", "b")
            client.set("balancekit:event:{msg_3}", "canary")

        await store.remember("msg_3", seconds=10)

        assert [await store.seen(f"msg_{number}") for number in (1, 2, 3)] == [False, False, True]


@pytest.fixture
def server_with_port(running_server, patience, tmp_folder):
    """Give a server that listens on a port as well."""
    server = RedisServer(tmp_folder("port"), port=free_port())
    server.start()
    yield server
    server.stop()


class TestSecrets:
    """A password is in nothing that is shown."""

    @pytest.mark.parametrize("over", ["socket", "tcp"])
    async def test_a_password_that_is_rejected_is_not_shown(self, server_with_port, everything_shown_by, over):
        """Neither the message nor the frames of the connection hold it; redis-py raises another error over TCP."""
        unix = f"unix://nobody@{server_with_port.socket}?password={CANARY}"
        tcp = f"redis://nobody:{CANARY}@127.0.0.1:{server_with_port.port}"
        async with RedisStore.from_url(unix if over == "socket" else tcp) as store:
            raised = []
            for call in (store.get(["shop"]), store.seen("msg_1"), store.invalidate("shop"), anext(store.changes())):
                with pytest.raises((exceptions.ConnectionError, StoreRefusedError)) as caught:
                    await call
                assert [frame.name for frame in caught.traceback if "redis/asyncio" in str(frame.path)] == []
                raised.append(everything_shown_by(caught.value))

        assert CANARY not in "".join(raised)
        assert CANARY not in repr(store) + str(store)

    async def test_an_error_from_before_the_call_keeps_its_frames(self, server):
        """The store takes the frames from its own errors, and no others."""
        async with RedisStore.from_url(f"unix://{server.socket}.none") as store:
            with pytest.raises(KeyError) as before:
                await _fail_and_release(store)

        assert [frame.name for frame in before.traceback][-1] == "_fail"


def _fail():
    raise KeyError("before")


async def _fail_and_release(store):
    try:
        _fail()
    except KeyError:
        with suppress(exceptions.ConnectionError):
            await store.release("shop", "me")
        raise
