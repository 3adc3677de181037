"""A Redis that responds, but does not do what it was asked: full, without a permission, or in another mode."""

import asyncio
from contextlib import contextmanager

import pytest
from redis import exceptions

from balancekit.stores import RedisStore, StoreRefusedError
from balancekit.stores.redis.refusals import refusal_of
from tests.support.stores import known, put
from tests.support.thread_server import ThreadServer

CANARY = "canary-value-1"


@pytest.fixture
def full(server):
    """Give a context in which Redis has no memory left."""

    @contextmanager
    def full():
        with server.client() as client:
            client.config_set("maxmemory", 1)
            try:
                yield
            finally:
                client.config_set("maxmemory", 0)

    return full


@pytest.fixture
def few_replicas(server):
    """Give a server that refuses writes for want of replicas."""
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        yield server
        client.config_set("min-replicas-to-write", 0)


class TestFullRedis:
    """No memory left, and nothing that may be evicted."""

    async def test_an_account_is_still_invalidated(self, full, store, snapshot):
        """Its key is deleted, which needs no memory: what was sent before is not valid after."""
        await put(store, snapshot)
        before = (await known(store)).version

        with full():
            await store.invalidate("shop")

        assert not (await known(store)).valid
        await store.put("shop", snapshot, version=before, age=0)
        assert not (await known(store)).valid

    async def test_snapshots_are_still_read(self, full, store, snapshot):
        """Also together with an account that has no version, which cannot be given one."""
        await put(store, snapshot)

        with full():
            shop, till = await store.get(["shop", "till"])
            await store.invalidate("till")
            again = await known(store, "till")

        assert (shop.snapshot, shop.valid) == (snapshot, True)
        assert (till.snapshot, till.valid) == (None, False)
        assert till.version != again.version

    async def test_what_cannot_be_written_is_refused(self, full, store, snapshot):
        """The error says what to do."""
        with full():
            calls = [
                store.put("shop", snapshot, version="", age=0),
                store.lease("shop", "me", seconds=1),
                store.remember(CANARY, seconds=1),
            ]
            errors = await asyncio.gather(*calls, return_exceptions=True)

        assert {type(error) for error in errors} == {StoreRefusedError}
        assert {str(error) for error in errors} == {
            "Redis is full: raise its maxmemory, or choose a maxmemory-policy that evicts keys"
        }


async def test_a_primary_without_replicas_is_refused(few_replicas, store, snapshot):
    """Invalidations, too: what only one server knows could be lost with it."""
    for call in (store.invalidate("shop"), store.put("shop", snapshot, version="", age=0)):
        with pytest.raises(StoreRefusedError, match="fewer replicas than its min-replicas-to-write"):
            await call


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["~*", "&*", "+@all", "-evalsha"], r"Redis does not permit its user evalsha: add \+evalsha"),
        (["~*", "&*", "+@all", "-hmget"], "(hmget: add .hmget|not permit its user a command)"),
        (["~other:*", "&*", "+@all"], "keys: add ~ with the prefix"),
    ],
    ids=["command", "command in a script", "key"],
)
async def test_a_permission_that_is_missing_is_named(server, rules, message):
    """As an operator writes it; nothing shows the user or the key."""
    with server.client() as client:
        client.execute_command("ACL SETUSER", "limited", "on", ">password", *rules)
    try:
        async with RedisStore.from_url(f"unix://limited@{server.socket}?password=password") as store:
            with pytest.raises(StoreRefusedError, match=message) as caught:
                await store.get([CANARY])
    finally:
        with server.client() as client:
            client.execute_command("ACL DELUSER", "limited")

    assert "limited" not in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ("MISCONF Redis is configured to save RDB snapshots", "cannot save to its disk"),
        ("NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"),
        ("ERR The user executing the script can't run this command or subcommand script: 5f", "a command"),
        ("No permissions to access a channel", "channel: add & with the prefix"),
        ("MOVED 3999 127.0.0.1:6381", "pass cluster=True"),
        ("Cluster mode is not enabled on this node", "leave out cluster=True"),
    ],
)
def test_what_redis_responds_is_explained(response, message):
    """By what it is called in the configuration of Redis, and without what follows."""
    explained = str(refusal_of(Exception(response)))

    assert message in explained
    assert "127.0.0.1" not in explained


def test_another_error_is_no_refusal():
    """An outage, for example, ends by itself."""
    assert refusal_of(ConnectionError("Connection closed by server.")) is None


def test_only_a_command_that_the_store_uses_is_named():
    """A server may send any text in its place."""
    denied = "NOPERM User u has no permissions to run the '{}' command"

    assert "add +hmget to" in str(refusal_of(Exception(denied.format("hmget"))))
    assert "canary" not in str(refusal_of(Exception(denied.format("canary"))))


@pytest.mark.parametrize("response", [b"-LOADING %s", b"PASS %s"], ids=["loading", "no RESP"])
async def test_no_error_while_a_connection_is_opened_shows_what_was_sent(everything_shown_by, response):
    """Whatever stands at the address."""
    with ThreadServer(lambda _: response % CANARY.encode() + b"\r\n") as server:
        async with RedisStore.from_url(f"redis://:{CANARY}@{server.url.removeprefix('http://')}") as store:
            for call in (store.get(["shop"]), anext(store.changes())):
                with pytest.raises(exceptions.RedisError) as caught:
                    await call

                assert CANARY not in everything_shown_by(caught.value)


@pytest.mark.parametrize("cluster", [False, True], ids=["one server", "cluster"])
@pytest.mark.parametrize("url", ["redis://user:{}@{}", "redis://:{}@{}"], ids=["user", "password alone"])
@pytest.mark.parametrize("code", ["ERR unknown command", "WRONGPASS", "NOPERM no permissions to access a channel"])
async def test_what_redis_responds_to_a_password_is_not_shown(everything_shown_by, code, url, cluster):
    """A server that does not know AUTH, or what stands before it, may repeat the password."""

    def refuse(command):
        return b"-%s, with args beginning with: %s\r\n" % (code.encode(), command.replace(b"\r\n", b" "))

    shown = []
    with ThreadServer(refuse) as server:
        address = url.format(CANARY, server.url.removeprefix("http://"))
        async with RedisStore.from_url(address, cluster=cluster) as store:
            for call in (store.get(["shop"]), anext(store.changes())):
                with pytest.raises(StoreRefusedError) as caught:
                    await call
                shown.append(everything_shown_by(caught.value))

    assert CANARY not in "".join(shown)
