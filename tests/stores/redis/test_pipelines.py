"""Calls at the same time go to Redis together."""

import asyncio
import gc
import tempfile
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import exceptions

from balancekit import RateLimit
from balancekit.stores import RedisStore
from balancekit.stores.fail_open import FailOpenStore
from balancekit.stores.redis.pipelines import Call, Pipelines
from balancekit.testing import ManualClock
from tests.support.stores import PanicError, UncopyableError, known, put

DELAY = 0.025


class Distance:
    """A way to a server that takes 25 ms in each direction, and counts what goes over it and how often it waits."""

    def __init__(self, server):
        self._server = server
        self.connections = 0
        self.writes = 0
        self.rounds = 0
        self._asking = False
        self.blocked = False

    @asynccontextmanager
    async def url(self):
        """Give the address of its near end."""
        self._tasks = set()
        with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:
            near = Path(folder) / "near"
            async with await asyncio.start_unix_server(self._connect, near, limit=2**20):
                try:
                    yield f"unix://{near}"
                finally:
                    for task in self._tasks:
                        task.cancel()
                    await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader, writer):
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        far_reader, far_writer = await asyncio.open_unix_connection(self._server.socket)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await asyncio.gather(self._carry(reader, far_writer, count=True), self._carry(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    async def _carry(self, reader, writer, *, count=False):
        loop = asyncio.get_running_loop()
        while data := await reader.read(2**20):
            self.writes += count
            self.rounds += count and not self._asking
            self._asking = count
            if not self.blocked:
                loop.call_later(DELAY, writer.write, data)


@pytest.fixture
def distance(server):
    """Give a long way to the server."""
    return Distance(server)


async def test_a_thousand_calls_wait_for_a_distant_redis_once(distance, make_snapshot):
    """Over one connection, rather than a thousand times 50 ms, and none fails."""
    snapshots = {f"{number}": make_snapshot(f"{number}", ("BTC", "1")) for number in range(1000)}
    async with distance.url() as url, RedisStore.from_url(url) as store:
        client = FailOpenStore(store, lambda _: None, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
        stored = await store.get(list(snapshots))
        before = distance.rounds
        puts = [
            client.put(key, snapshot, version=one.version, age=0)
            for (key, snapshot), one in zip(snapshots.items(), stored, strict=True)
        ]
        await asyncio.gather(*puts)
        assert distance.rounds - before <= 10
        assert [one.valid for one in await store.get(list(snapshots))] == [True] * 1000
        assert client.reachable
        await client.aclose()

    assert distance.connections == 1


async def test_calls_of_one_turn_are_sent_together(distance):
    """Whatever they are."""
    async with distance.url() as url, RedisStore.from_url(url) as store:
        await store.seen("msg_1")
        await store.lease("shop", "me", seconds=1)
        before = distance.writes

        await asyncio.gather(*(store.seen(f"msg_{number}") for number in range(50)), store.lease("a", "b", seconds=1))

    assert distance.writes == before + 1


class Counting:
    """A Redis that counts what is in each pipeline, and replies to each command with its key."""

    def __init__(self):
        self.sizes = []

    def pipeline(self, *, transaction):
        """Begin a pipeline."""
        self._keys = []
        return self

    def execute_command(self, command, script, keys, key, *args, **options):
        """Add a command."""
        self._keys.append(key)

    async def execute(self, *, raise_on_error):
        """Send the pipeline."""
        self.sizes.append(len(self._keys))
        return self._keys


async def test_a_pipeline_is_no_longer_than_redis_responds_to_in_time():
    """What is called at once by the thousands goes in several, and each call has its own reply."""
    redis = Counting()
    calls = [Call("return KEYS[1]", f"{number}", ()) for number in range(2500)]

    replies = await Pipelines(redis, own=False).run(calls)

    assert redis.sizes == [1000, 1000, 500]
    assert replies == [call.key for call in calls]


async def test_an_error_is_that_of_its_own_call(server, store, snapshot):
    """The others of the pipeline have their replies."""
    with server.client() as client:
        client.execute_command("ACL SETUSER", "limited", "on", ">password", "~balancekit:account:*", "&*", "+@all")
    try:
        async with RedisStore.from_url(f"unix://limited@{server.socket}?password=password") as limited:
            await put(limited, snapshot)
            stored, refused, again = await asyncio.gather(
                known(limited), limited.seen("msg_1"), known(limited), return_exceptions=True
            )
    finally:
        with server.client() as client:
            client.execute_command("ACL DELUSER", "limited")

    assert stored.snapshot == again.snapshot == snapshot
    assert "keys" in str(refused)


async def test_a_caller_that_is_cancelled_harms_no_other(distance):
    """The calls that went with its own have their replies."""
    async with distance.url() as url, RedisStore.from_url(url) as store:
        calls = [asyncio.ensure_future(store.lease(f"{number}", "me", seconds=9)) for number in range(9)]
        await asyncio.sleep(DELAY / 2)
        for call in calls[::2]:
            call.cancel()

        ended = await asyncio.gather(*calls, return_exceptions=True)

        assert ended[1::2] == [0] * 4
        assert await store.lease("1", "you", seconds=9) > 0
    assert distance.connections == 1


async def test_the_next_calls_do_not_wait_for_a_pipeline_that_nobody_waits_for(distance, long_timeouts):
    """A connection on which nothing comes back is given up with its last caller."""
    async with distance.url() as url, RedisStore.from_url(url) as store:
        await store.seen("msg_1")
        distance.blocked = True
        call = asyncio.ensure_future(store.seen("msg_1"))
        await asyncio.sleep(DELAY)
        call.cancel()
        await asyncio.wait([call])
        distance.blocked = False

        async with asyncio.timeout(30):
            assert await store.seen("msg_1") is False


async def test_scripts_that_redis_has_forgotten_are_sent_again(server, store, snapshot):
    """All kinds in one pipeline."""
    await put(store, snapshot)
    with server.client() as client:
        client.script_flush()

    ended = await asyncio.gather(
        store.get(["shop", "till"]),
        store.lease("shop", "me", seconds=1),
        store.seen("msg_1"),
        store.acquire_permit("host", RateLimit(1, per=1), "a", hold=1),
    )

    assert [one.snapshot for one in ended[0]] == [snapshot, None]
    assert ended[1:] == [0, False, 0]


async def test_every_caller_has_an_error_of_its_own(server):
    """An exception that many raise would collect the frames of all."""
    async with RedisStore.from_url(f"unix://{server.socket}.none") as store:
        calls = [store.seen(f"msg_{number}") for number in range(20)]
        errors = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(error) for error in errors} == {exceptions.ConnectionError}
    assert len({id(error) for error in errors}) == 20


class LockedOut:
    """A client of Redis that gets no connection."""

    def pipeline(self, **_):
        """Raise an error with a token in its text."""
        raise UncopyableError("canary-token-1", status=403)


async def test_each_call_has_an_error_of_its_own_whatever_it_is(caplog):
    """One that cannot be copied is named, and its text is in no log."""
    calls = [Call("return 1", f"key-{number}", ()) for number in range(2)]

    one, other = await asyncio.gather(*(Pipelines(LockedOut(), own=True).run([call]) for call in calls))

    gc.collect()
    assert [(type(error), str(error)) for error in one + other] == [(RuntimeError, "UncopyableError")] * 2
    assert "canary-token-1" not in caplog.text


async def test_what_is_no_exception_is_an_error_of_each_call(monkeypatch):
    """A client of Redis that is lent may be written in another language."""
    redis = Counting()
    monkeypatch.setattr(redis, "execute_command", lambda *_, **__: (_ for _ in ()).throw(PanicError))

    replies = await Pipelines(redis, own=False).run([Call("return 1", f"{number}", ()) for number in range(2)])

    assert [(type(reply), str(reply)) for reply in replies] == [(RuntimeError, "PanicError")] * 2
