"""The store in Redis: shared, short of nothing when the server is, and silent about passwords."""

import asyncio
import json
import logging
import multiprocessing
import subprocess
import sys
import time
from contextlib import aclosing, suppress

import pytest
from redis import asyncio as aioredis, exceptions

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, GetManyProvider, RateLimit
from balancekit.stores import Change, RedisStore
from balancekit.stores.redis import connection as redis_connection

CANARY = "canary-password-1"


@pytest.fixture
async def store(server):
    """Be a store with connections of its own."""
    async with RedisStore.from_url(server.url) as store:
        yield store


@pytest.fixture
async def other(server):
    """Be the store of another replica."""
    async with RedisStore.from_url(server.url) as store:
        yield store


@pytest.fixture
def brief(monkeypatch):
    """Wait for a silent server no longer than a test may take."""
    monkeypatch.setattr(redis_connection, "_SOCKET_TIMEOUT", 0.1)
    monkeypatch.setattr(redis_connection, "_HEARTBEAT", 0.1)


@pytest.fixture
def patient(monkeypatch):
    """Wait for a connection as long as a busy machine may need."""
    monkeypatch.setattr(redis_connection, "_SOCKET_TIMEOUT", 60.0)


@pytest.fixture
def snapshot(make_snapshot):
    """Be a snapshot."""
    return make_snapshot("shop", ("BTC", "1.50"))


async def _one(store, key="shop"):
    (stored,) = await store.get([key])
    return stored


async def _put(store, snapshot, age=0):
    await store.put("shop", snapshot, version=(await _one(store)).version, age=age)


class TestReplicas:
    """What one replica does, the others know."""

    async def test_a_snapshot_is_every_replicas(self, store, other, snapshot):
        """It is read once for all."""
        await _put(store, snapshot, age=3)

        stored = await _one(other)

        assert (stored.snapshot, stored.valid) == (snapshot, True)
        assert stored.age >= 3
        assert stored.version == (await _one(store)).version

    async def test_a_change_is_told_to_every_replica(self, store, other, snapshot):
        """Whoever waits for another's answer learns of it."""
        async with aclosing(other.changes()) as changes:
            await anext(changes)
            await _put(store, snapshot)
            await store.invalidate("shop")

            assert [await anext(changes) for _ in range(2)] == [Change("shop"), Change("shop", invalidated=True)]

    async def test_a_lease_is_one_replicas(self, store, other):
        """The others wait."""
        await store.lease("shop", "one", seconds=10)

        assert 0 < await other.lease("shop", "two", seconds=10) <= 10

    async def test_prefixes_are_apart(self, server, store, snapshot):
        """Two services may share a Redis."""
        await _put(store, snapshot)

        async with RedisStore.from_url(server.url, prefix="another") as another:
            assert (await _one(another)).snapshot is None

    def test_processes_keep_a_limit_together(self, server):
        """No window has more turns than allowed, whoever takes them."""
        context = multiprocessing.get_context("spawn")
        with context.Pool(2) as pool:
            taken = sorted(moment for moments in pool.map(_take_turns, [server.url] * 2) for moment in moments)

        assert len(taken) == 12
        assert all(late - early >= 0.2 for early, late in zip(taken, taken[3:], strict=False))


def _take_turns(url):
    async def take():
        moments = []
        async with RedisStore.from_url(url) as store:
            for number in range(6):
                ticket = f"{multiprocessing.current_process().pid} {number}"
                while wait := await store.acquire_permit(  # noqa: ASYNC110 - the wait is what is tested
                    "host", RateLimit(3, per=0.2), ticket, hold=5
                ):
                    await asyncio.sleep(wait)
                moments.append(time.monotonic())
                await store.release_permit("host", RateLimit(3, per=0.2), ticket)
        return moments

    return asyncio.run(take())


class TestLosses:
    """What a server that forgets, stops or stalls does to a store."""

    async def test_a_redis_that_was_flushed_makes_everything_invalid(self, server, store, other, snapshot):
        """No version from before is valid again, and what was read before is the last known at best."""
        before = (await _one(store)).version
        await _put(store, snapshot)
        with server.client() as client:
            client.flushall()

        await other.put("shop", snapshot, version=before, age=0)

        stored = await _one(store)
        assert (stored.snapshot, stored.valid) == (snapshot, False)
        assert stored.version != before

    async def test_a_restart_is_recovered_from(self, server, store, snapshot):
        """The store raises while the server is down, and works again by itself, scripts and all."""
        await _put(store, snapshot)
        server.stop()
        with pytest.raises(exceptions.ConnectionError):
            await store.get(["shop"])
        with pytest.raises(exceptions.ConnectionError):
            await store.invalidate("shop")

        server.start()

        assert (await _one(store)).snapshot is None
        await _put(store, snapshot)
        assert (await _one(store)).valid

    async def test_a_restart_meanwhile_is_not_noticed(self, server, store):
        """Every connection that the pool has is opened again when it is used."""
        await asyncio.gather(*(store.seen("msg_1") for _ in range(10)))
        server.stop()
        server.start()

        seen = await asyncio.gather(*(store.seen("msg_1") for _ in range(30)))

        assert seen == [False] * 30

    async def test_a_silent_server_is_not_waited_for(self, brief, server, snapshot):
        """Every call ends by the timeout of its socket, and the store works when the server does."""
        async with RedisStore.from_url(server.url) as store:
            await _put(store, snapshot)
            server.pause()
            try:
                calls = [
                    store.get(["shop"]),
                    store.put("shop", snapshot, version="1", age=0),
                    store.invalidate("shop"),
                    store.lease("shop", "me", seconds=1),
                    store.release("shop", "me"),
                    store.seen("msg_1"),
                    store.remember("msg_1", seconds=1),
                    store.acquire_permit("host", RateLimit(1, per=1), "a", hold=1),
                    store.release_permit("host", RateLimit(1, per=1), "a"),
                    anext(store.changes()),
                ]
                async with asyncio.timeout(5):
                    ended = await asyncio.gather(*calls, return_exceptions=True)
            finally:
                server.resume()

            assert {type(one) for one in ended} <= {exceptions.TimeoutError, exceptions.ConnectionError}
            assert (await _one(store)).snapshot == snapshot

    async def test_what_a_silent_server_takes_in_later_is_no_younger_for_it(self, brief, server, snapshot):
        """A snapshot that lay in a socket while Redis stood still has grown older there."""
        async with RedisStore.from_url(server.url) as store:
            known = await _one(store)
            await store.put("shop", snapshot, version=known.version, age=5)
            server.pause()
            began = time.monotonic()
            try:
                with pytest.raises((exceptions.TimeoutError, exceptions.ConnectionError)):
                    await store.put("shop", snapshot, version=known.version, age=0)
            finally:
                stood_still = time.monotonic() - began
                server.resume()

            # The first is older still, and the second may not have been taken in at all.
            assert (await _one(store)).age >= stood_still

    async def test_more_callers_than_connections_wait_for_one(self, patient, server, store, snapshot):
        """A thousand at once do not open a thousand connections."""
        version = (await _one(store)).version

        await asyncio.gather(*(store.put("shop", snapshot, version=version, age=0) for _ in range(1000)))

        with server.client() as client:
            assert client.info("clients")["connected_clients"] < 30
        assert (await _one(store)).valid

    async def test_a_call_that_is_cancelled_leaves_the_store_usable(self, store, snapshot):
        """Wherever it is cancelled, the next gets its own answer and no other's."""
        await _put(store, snapshot)
        for steps in range(30):
            call = asyncio.ensure_future(
                store.get(["shop", "other"]) if steps % 2 else store.lease("a", "b", seconds=1)
            )
            for _ in range(steps // 2):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])

            assert [one.snapshot for one in await store.get(["shop", "none"])] == [snapshot, None]
            assert await store.seen("msg_1") is False


def test_a_store_serves_one_event_loop_after_another(server):
    """A program may run several; each has connections of its own."""
    store = RedisStore.from_url(server.url)

    async def use():
        async with store:
            await store.remember("msg_1", seconds=10)
            return await asyncio.gather(*(store.seen("msg_1") for _ in range(30)))

    assert asyncio.run(use()) == asyncio.run(use()) == [True] * 30


class TestListening:
    """Changes from a connection that may be lost."""

    @pytest.fixture
    def count(self, server):
        """Count those who listen."""

        def count():
            with server.client() as client:
                return client.pubsub_numsub("balancekit:changes")[0][1]

        return count

    async def test_a_listener_that_leaves_closes_its_connection(self, store, count):
        """Closed or cancelled, it leaves nothing behind."""
        changes = store.changes()
        await anext(changes)
        assert count() == 1
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        await changes.aclose()

        while count():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0)

    async def test_a_server_that_stops_ends_the_changes(self, server, store):
        """Whoever listens learns that changes may be missed."""
        async with aclosing(store.changes()) as changes:
            await anext(changes)

            server.stop()

            with pytest.raises(exceptions.ConnectionError):
                await anext(changes)

    async def test_a_connection_that_was_lost_is_told_of(self, server, store):
        """What happened in the gap is not known: anything may have."""
        async with aclosing(store.changes()) as changes:
            await anext(changes)

            with server.client() as client:
                client.client_kill_filter(_type="pubsub")

            assert await anext(changes) == Change(None)
            await store.invalidate("shop")
            assert await anext(changes) == Change("shop", invalidated=True)

    async def test_a_server_that_is_silent_ends_the_changes(self, brief, server):
        """A peer that is dead, or cut off, is noticed."""
        async with RedisStore.from_url(server.url) as store, aclosing(store.changes()) as changes:
            await anext(changes)
            server.pause()
            try:
                with pytest.raises(exceptions.TimeoutError):
                    await anext(changes)
            finally:
                server.resume()

    async def test_silence_alone_is_no_loss(self, brief, monkeypatch, server):
        """While the server answers, a listener waits for as long as nothing happens."""
        # A machine that pauses for longer than this is taken for a Redis that does.
        monkeypatch.setattr(redis_connection, "_HEARTBEAT", 0.25)
        async with RedisStore.from_url(server.url) as store, aclosing(store.changes()) as changes:
            await anext(changes)
            waiting = asyncio.ensure_future(anext(changes))
            with server.client() as client:
                client.config_resetstat()
                # Two heartbeats: each asks once whether the server is there.
                while not waiting.done() and client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] < 2:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0.005)

            await store.invalidate("shop")

            assert await waiting == Change("shop", invalidated=True)

    @pytest.mark.parametrize(
        "text", ["", "nonsense", "[]", '{"v": 2}', '{"v": 1}', '{"v": 1, "key": 5}', "[" * 100_000]
    )
    async def test_a_change_that_cannot_be_read_may_be_any(self, server, store, text):
        """Another release may say more than this one knows."""
        async with aclosing(store.changes()) as changes:
            await anext(changes)

            with server.client() as client:
                client.publish("balancekit:changes", text)

            assert await anext(changes) == Change(None)


class TestValues:
    """What stands in Redis."""

    @pytest.fixture
    def key(self, server):
        """Name the key of the account."""
        return "balancekit:account:{shop}"

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"\xff",
            b"nonsense",
            b"[]",
            b'{"v":2}',
            b'{"v":1}',
            b"[" * 100_000,
            b'{"v":1,"balances":[{"amount":1.5}]}',
        ],
    )
    async def test_a_snapshot_that_cannot_be_read_is_absent(self, server, store, snapshot, key, caplog, text):
        """It costs one line in the log, however often it is met, and the others nothing."""
        await _put(store, snapshot)
        with server.client() as client:
            client.hset(key, "snapshot", text)

        with caplog.at_level(logging.WARNING):
            assert [one.snapshot for one in await store.get(["shop", "shop", "other"])] == [None] * 3

        assert len(caplog.records) == 1
        await _put(store, snapshot)
        assert (await _one(store)).snapshot == snapshot

    async def test_a_snapshot_of_no_age_is_absent(self, server, store, snapshot, key):
        """What does not say when it was read may be of any age."""
        await _put(store, snapshot)
        with server.client() as client:
            client.hset(key, "sent", "yesterday")

        assert (await _one(store)).snapshot is None
        await _put(store, snapshot)
        assert (await _one(store)).snapshot == snapshot

    async def test_keys_of_another_type_are_made_anew(self, server, store, snapshot):
        """Whoever wrote them, the store works."""
        with server.client() as client:
            client.set("balancekit:account:{shop}", "x")
            client.set("balancekit:account:{till}", "x")
            client.set("balancekit:account:{desk}", "x")
            client.hset("balancekit:lease:{shop}", "x", "y")
            client.hset("balancekit:lease:{till}", "x", "y")
            client.set("balancekit:permits:{host}", "x")

        await _put(store, snapshot)
        await store.put("till", snapshot, version="", age=0)
        await store.invalidate("desk")
        await store.release("till", "me")

        assert (await _one(store)).valid
        assert await store.lease("shop", "me", seconds=1) == 0
        assert await store.acquire_permit("host", RateLimit(1, per=1), "a", hold=1) == 0

    async def test_everything_expires(self, server, snapshot):
        """An account that nobody reads vanishes."""
        async with RedisStore.from_url(server.url, keep=1000) as store:
            await _put(store, snapshot)
            await store.get(["other"])
            await store.invalidate("third")
            await store.lease("shop", "me", seconds=10)
            await store.remember("msg_1", seconds=20)
            for ticket in ("a", "b"):
                await store.acquire_permit("host", RateLimit(2, per=10), ticket, hold=30)
            await store.release_permit("host", RateLimit(2, per=10), "a")

        with server.client() as client:
            ends = {key: client.ttl(key) for key in client.scan_iter()}

        assert len(ends) == 6
        assert all(0 < end <= 1000 for end in ends.values())
        assert ends["balancekit:permits:{host}"] >= 30

    async def test_every_value_is_json_of_a_version(self, server, store, snapshot):
        """A later release can tell what an earlier one wrote; amounts are text."""
        await _put(store, snapshot)
        await store.lease("shop", "me", seconds=10)
        await store.remember("msg_1", seconds=20)

        with server.client() as client:
            written = json.loads(client.hget("balancekit:account:{shop}", "snapshot"))
            others = [json.loads(client.get(key)) for key in client.scan_iter() if "account" not in key]

        assert written["v"] == 1
        assert written["balances"][0]["amount"] == "1.50"
        assert [other["v"] for other in others] == [1, 1]

    @pytest.mark.parametrize("settings", [{"decode_responses": True}, {"protocol": 3}, {"protocol": 2}], ids=str)
    async def test_a_client_is_lent_however_it_is_set(self, server, snapshot, settings):
        """Its answers may be text or bytes; it is left open."""
        async with aioredis.Redis(unix_socket_path=str(server.socket), **settings) as lent:
            async with RedisStore(lent) as store, aclosing(store.changes()) as changes:
                await anext(changes)
                await _put(store, snapshot)
                assert await anext(changes) == Change("shop")
                await store.remember("msg_1", seconds=60)
                assert await store.acquire_permit("host", RateLimit(1, per=5), "a", hold=1) == 0
                assert await store.acquire_permit("host", RateLimit(1, per=5), "b", hold=1) > 4
                await lent.hset("balancekit:account:{till}", mapping={"version": b"\xff", "snapshot": b"\xff"})

                known = await store.get(["shop", "till"])

            assert (known[0].snapshot, known[0].valid, known[1].snapshot) == (snapshot, True, None)
            assert await lent.ping()

    async def test_other_errors_of_the_server_are_raised(self, server, store):
        """An account that may not be read is not one that is unknown."""
        with server.client() as client:
            client.execute_command("ACL SETUSER", "default", "-hmget")
            try:
                with pytest.raises(exceptions.NoPermissionError):
                    await store.get(["shop"])
            finally:
                client.execute_command("ACL SETUSER", "default", "+@all")


class TestClock:
    """A clock of Redis that was set back."""

    async def test_a_snapshot_from_the_future_is_not_valid(self, make_redis_world, snapshot):
        """Nobody knows its age; the next one takes its place."""
        world = make_redis_world()
        async with world.store as store:
            await _put(store, snapshot)
            world.time.now -= 3600

            assert not (await _one(store)).valid
            await _put(store, snapshot)
            assert (await _one(store)).valid

    async def test_an_ended_turn_waits_no_longer_than_the_limit(self, make_redis_world):
        """An hour back is no hour's wait."""
        world, limit = make_redis_world(), RateLimit(1, per=10)
        async with world.store as store:
            await store.acquire_permit("host", limit, "a", hold=5)
            await store.release_permit("host", limit, "a")
            world.time.now -= 3600

            assert await store.acquire_permit("host", limit, "b", hold=5) == pytest.approx(10)
            world.time.now += 10
            assert await store.acquire_permit("host", limit, "b", hold=5) == 0

    async def test_ages_are_by_the_clock_of_redis(self, store, snapshot, monkeypatch):
        """A replica whose own clock is wrong says the same age."""
        monkeypatch.setattr(time, "time", lambda: 0.0)
        await _put(store, snapshot, age=5)

        assert 5 <= (await _one(store)).age < 60


class TestSecrets:
    """Passwords and keys are in nothing that is shown or written."""

    async def test_nothing_secret_is_written(self, server, store, sandbox):
        """Whole snapshots of both providers, and all else that a client leaves, hold no key."""
        accounts = [sandbox.add_cryptoprocessing("shop", {"BTC": "1"}), sandbox.add_getmany("till", {"BTC": "1"})]
        providers = [CryptoprocessingProvider("shop", **accounts[0].settings)]
        providers.append(GetManyProvider("till", **accounts[1].settings))
        async with AggregateClient(providers) as client:
            merged = await client.fetch(strict=True)
        for snapshot in merged.accounts:
            await store.put(snapshot.account, snapshot, version="", age=0)
            await store.lease(snapshot.account, "me", seconds=10)
        await store.remember("msg_1", seconds=10)
        await store.acquire_permit("https://pay.example", RateLimit(1, per=1), "a", hold=1)

        with server.client() as client:
            keys = list(client.scan_iter())
            written = repr([(key, _content(client, key)) for key in keys])

        secrets = [value for one in accounts for name, value in one.settings.items() if name != "base_url" and value]
        assert len(keys) == 6
        assert len(secrets) >= 4
        assert [secret for secret in secrets if secret in written] == []

    @pytest.mark.parametrize(
        "url", [f"redis://:{CANARY}@host:no-port/0", f"http://:{CANARY}@host", CANARY, None, b"x"], ids=str
    )
    def test_what_is_no_url_is_refused_without_being_shown(self, url, everything_said_by):
        """A misspelt URL may hold a password."""
        with pytest.raises(ConfigError, match="url: expected redis://") as caught:
            RedisStore.from_url(url)

        assert CANARY not in everything_said_by(caught.value)

    async def test_a_password_that_is_refused_is_not_shown(self, server, everything_said_by):
        """Neither the message nor the frames of the connection hold it."""
        url = f"unix://nobody@{server.socket}?password={CANARY}"
        async with RedisStore.from_url(url) as store:
            raised = []
            for call in (store.get(["shop"]), store.seen("msg_1"), store.invalidate("shop"), anext(store.changes())):
                with pytest.raises(exceptions.ConnectionError) as caught:
                    await call
                raised.append(everything_said_by(caught.value))

        assert CANARY not in "".join(raised)
        assert CANARY not in repr(store) + str(store)

    async def test_what_was_handled_before_keeps_its_frames(self, server):
        """The store takes its own frames from an error, and no others."""
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


def _content(client, key):
    kind = client.type(key)
    if kind == "hash":
        return client.hgetall(key)
    return client.zrange(key, 0, -1) if kind == "zset" else client.get(key)


def test_without_the_extra_it_says_how_to_get_it():
    """The package works without redis-py; only the store needs it."""
    code = (
        "import sys; sys.modules['redis'] = sys.modules['redis.asyncio'] = None\n"
        "import balancekit.stores\n"
        "try: balancekit.stores.RedisStore\n"
        "except ImportError as error: print(error)"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "RedisStore needs redis-py: pip install 'balancekit[redis]'"
