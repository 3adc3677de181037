"""Connections to Redis: how long they wait, how they recover, and what their errors show."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from redis import exceptions

from balancekit import ConfigError, RateLimit
from balancekit.http.secret import Secret
from balancekit.stores import RedisStore
from balancekit.stores.redis import connection, scripts
from balancekit.stores.redis.connection import connect, listen
from tests.support.stores import known, put

REPLICAS = Path(__file__).parents[3] / "docs" / "replicas.md"
CANARY = "canary-password-1"


@pytest.fixture
async def redis(server):
    """Give a client of the server."""
    async with connect(Secret.of(server.url)) as redis:
        yield redis


def test_without_the_extra_the_error_names_it():
    """The package works without redis-py; only the store needs it."""
    code = (
        "import sys; sys.modules['redis'] = sys.modules['redis.asyncio'] = None\n"
        "import balancekit.stores\n"
        "try: balancekit.stores.RedisStore\n"
        "except ImportError as error: print(error)"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "RedisStore needs redis-py: pip install 'balancekit[redis]'"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{CANARY}@host:no-port/0",
        f"redis://:{CANARY}@host?maint_notifications_config=enabled",
        f"redis://:{CANARY}@host/0?foo=bar",
        f"redis://:{CANARY}@host/0?retry=3",
        f"http://:{CANARY}@host",
        CANARY,
        None,
        b"x",
    ],
    ids=str,
)
def test_an_impossible_url_is_an_error_that_does_not_show_it(url, everything_shown_by):
    """A misspelt URL may hold a password."""
    with pytest.raises(ConfigError, match="url: expected redis://") as caught:
        connect(Secret.of(url))

    assert CANARY not in everything_shown_by(caught.value)


async def test_more_callers_than_connections_wait_for_one(long_timeouts, server):
    """A thousand at once do not open a thousand connections."""
    async with connect(Secret.of(server.url)) as redis:
        assert await asyncio.gather(*(redis.ping() for _ in range(1000))) == [True] * 1000

        with server.client() as client:
            assert client.info("clients")["connected_clients"] < 30


async def test_connections_that_the_server_has_closed_are_opened_again(server, redis):
    """A restart goes unnoticed, on every connection of the pool."""
    await asyncio.gather(*(redis.ping() for _ in range(10)))
    server.stop()
    server.start()

    assert await asyncio.gather(*(redis.ping() for _ in range(30))) == [True] * 30


async def test_a_close_that_is_cancelled_leaves_no_connection(server):
    """It is closed all the same, while the store is still referred to."""
    with server.client() as client:
        before = client.info("clients")["connected_clients"]
        store = RedisStore.from_url(server.url)
        await store.seen("event")
        close = asyncio.create_task(store.aclose())
        await asyncio.sleep(0)

        close.cancel()
        await asyncio.wait([close])

        async with asyncio.timeout(10):
            while client.info("clients")["connected_clients"] > before:  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(0)
    assert close.cancelled()


async def test_a_silent_server_is_not_waited_for(short_timeouts, server):
    """A call ends by the timeout of its socket, and the next works when the server does."""
    async with connect(Secret.of(server.url)) as redis:
        await redis.ping()
        server.pause()
        try:
            async with asyncio.timeout(30):
                with pytest.raises((exceptions.TimeoutError, exceptions.ConnectionError)):
                    await redis.ping()
        finally:
            server.resume()

        assert await redis.ping()


class TestListening:
    """Messages from a connection that may be lost."""

    @pytest.fixture
    def listeners(self, server):
        """Count the listeners at the server."""

        def count():
            with server.client() as client:
                return client.pubsub_numsub("news")[0][1]

        return count

    @pytest.fixture
    def publish(self, server):
        """Publish a message, as another process would."""

        def publish(text):
            with server.client() as client:
                client.publish("news", text)

        return publish

    async def test_messages_come_in_order_once_listening_has_begun(self, redis, publish):
        """None says that it has begun."""
        publish("before")
        async with aclosing(listen(redis, "news")) as messages:
            assert await anext(messages) is None

            publish("one")
            publish("two")

            assert [await anext(messages) for _ in range(2)] == [b"one", b"two"]

    async def test_a_listener_that_leaves_closes_its_connection(self, redis, listeners):
        """Closed or cancelled, it leaves nothing behind."""
        messages = listen(redis, "news")
        await anext(messages)
        assert listeners() == 1
        waiting = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        await messages.aclose()

        while listeners():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0)

    async def test_a_server_that_stops_ends_the_messages(self, server, redis):
        """The listener learns that some may be missed."""
        async with aclosing(listen(redis, "news")) as messages:
            await anext(messages)

            server.stop()

            with pytest.raises(exceptions.ConnectionError):
                await anext(messages)

    async def test_none_follows_a_connection_that_was_lost(self, server, redis, publish):
        """What was published in the gap is not known."""
        async with aclosing(listen(redis, "news")) as messages:
            await anext(messages)

            with server.client() as client:
                client.client_kill_filter(_type="pubsub")

            assert await anext(messages) is None
            publish("one")
            assert await anext(messages) == b"one"

    async def test_a_server_that_does_not_respond_to_a_ping_ends_the_messages(self, short_timeouts, server):
        """A peer that is dead, or cut off, is noticed."""
        async with connect(Secret.of(server.url)) as redis, aclosing(listen(redis, "news")) as messages:
            await anext(messages)
            server.pause()
            try:
                with pytest.raises(exceptions.TimeoutError):
                    await anext(messages)
            finally:
                server.resume()

    async def test_a_server_that_responds_is_listened_to_however_quiet_it_is(self, short_timeouts, server, publish):
        """Each heartbeat sends one ping."""
        async with connect(Secret.of(server.url)) as redis, aclosing(listen(redis, "news")) as messages:
            await anext(messages)
            waiting = asyncio.ensure_future(anext(messages))
            with server.client() as client:
                client.config_resetstat()
                while not waiting.done() and client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] < 2:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0.005)

            publish("one")

            assert await waiting == b"one"

    async def test_what_came_while_the_event_loop_stood_still_is_read(self, server, publish, monkeypatch):
        """However long that was, Redis has not been silent."""
        monkeypatch.setattr(connection, "HEARTBEAT", 0.05)
        async with connect(Secret.of(server.url)) as redis, aclosing(listen(redis, "news")) as messages:
            await anext(messages)
            waiting = asyncio.ensure_future(anext(messages))
            await asyncio.sleep(0)
            publish("one")
            time.sleep(0.2)  # noqa: ASYNC251 - this is what is tested

            assert await waiting == b"one"


def test_no_permission_is_documented_that_is_not_needed():
    """Each is of a command that is sent, or that a script calls."""
    used = {"evalsha", "eval", "ping", "subscribe"}
    for script in vars(scripts).values():
        if isinstance(script, str):
            used |= {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", script)}

    assert {rule[1:] for rule in documented_permissions() if rule.startswith("+")} == used


def documented_permissions():
    """Return the rules for the user of Redis, with the prefix `shop`."""
    return re.search(r"ACL SETUSER shop on >password (.*?)```", REPLICAS.read_text(), re.DOTALL)[1].split()


async def test_the_documented_permissions_are_those_that_it_needs(server, make_snapshot, caplog):
    """With them every call works, and nothing is logged."""
    with server.client() as client:
        client.script_flush()
        client.execute_command("ACL SETUSER", "shop", "on", ">password", *documented_permissions())
    try:
        url = f"unix://shop@{server.socket}?password=password"
        async with RedisStore.from_url(url, prefix="shop") as store, aclosing(store.changes()) as changes:
            await anext(changes)
            await put(store, make_snapshot("shop", ("BTC", "1")))
            assert (await known(store)).valid
            await store.invalidate("shop")
            await store.lease("shop", "me", seconds=10)
            await store.release("shop", "me")
            await store.remember("msg_1", seconds=10)
            assert await store.seen("msg_1")
            for request_id in ("a", "b"):
                await store.acquire_permit("host", RateLimit(1, per=1), request_id, hold=1)
            await store.release_permit("host", RateLimit(1, per=1), "a")
    finally:
        with server.client() as client:
            client.execute_command("ACL DELUSER", "shop")

    assert caplog.records == []


@pytest.mark.parametrize("cluster", [False, True], ids=["one server", "cluster"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_a_name_that_is_looked_up_for_long_takes_no_thread_of_the_event_loop(monkeypatch, scheme, cluster):
    """Those are for whatever else the program has to do, and few."""
    answer = threading.Event()

    def getaddrinfo(*_, **__):
        answer.wait()
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(connection, "SOCKET_TIMEOUT", 0.05)
    try:
        # Not as a context manager, which a cluster would have to respond to.
        redis = connect(Secret.of(f"{scheme}://redis.example"), cluster=cluster)
        async with aclosing(redis):
            outcomes = await asyncio.gather(*(redis.ping() for _ in range(20)), return_exceptions=True)
            async with asyncio.timeout(30):
                assert await asyncio.to_thread(int) == 0
    finally:
        answer.set()

    out_of_reach = {exceptions.TimeoutError, exceptions.ConnectionError, exceptions.RedisClusterException}
    assert {type(outcome) for outcome in outcomes} <= out_of_reach
