"""What the tests of the stores share: stores in memory and in Redis, each with a time that a test sets."""

import asyncio

import pytest

import balancekit
from balancekit.stores import MemoryStore, RedisStore
from balancekit.stores.fail_open import FailOpenStore
from tests.support.clock import Clock
from tests.support.stores import FlakyStore


class MemoryWorld:
    """A store in memory, and its time."""

    def __init__(self):
        self.time = Clock()
        self.store = MemoryStore(clock=self.time)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def pass_time(self, seconds):
        """Let time pass."""
        self.time.now += seconds


class RedisWorld:
    """A store in a Redis that knows nothing, and its time."""

    def __init__(self, server):
        server.start_empty()
        self.time = Clock()
        self.store = RedisStore.from_url(server.url)
        self.store.clock = self.time
        self._server = server

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.store.aclose()

    def pass_time(self, seconds):
        """Let time pass, also for the expiry of keys in Redis."""
        self.time.now += seconds
        self._server.pass_time(seconds)


@pytest.fixture(scope="session")
def make_memory_world():
    """Make a store in memory with a time of its own."""
    return MemoryWorld


@pytest.fixture(scope="session")
def make_redis_world(running_server):
    """Make a store in a Redis that knows nothing, with a time of its own."""
    return lambda: RedisWorld(running_server)


@pytest.fixture(params=["memory", "redis"])
async def world(request):
    """Give a store of either kind, with its time."""
    if request.param == "redis":
        request.getfixturevalue("patience")
    async with request.getfixturevalue(f"make_{request.param}_world")() as world:
        yield world


@pytest.fixture
def store(world):
    """Give a store of either kind."""
    return world.store


@pytest.fixture
def with_store(run_virtually):
    """Run a test's steps with a store that can fail, and with it behind a fail-open store; nothing may go on after."""

    def run(steps, **settings):
        async def main():
            store = FlakyStore()
            fail_open = FailOpenStore(store, lambda change: None, balancekit.Clock(), **settings)
            result = await steps(store, fail_open)
            await fail_open.aclose()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        return run_virtually(main())

    return run
