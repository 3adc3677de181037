"""What the tests of the stores share: stores in memory and in Redis, and time that passes when told to."""

import pytest

from balancekit.stores import MemoryStore, RedisStore


class Time:
    """A clock that stands still until told otherwise."""

    def __init__(self):
        self.now = 1_767_225_600.0

    def __call__(self):
        """Tell the time."""
        return self.now


class MemoryWorld:
    """A store in memory, and its time."""

    def __init__(self):
        self.time = Time()
        self.store = MemoryStore(clock=self.time, monotonic=self.time)

    def pass_time(self, seconds):
        """Let time pass."""
        self.time.now += seconds


class RedisWorld:
    """A store in Redis, and its time."""

    def __init__(self, server):
        self.time = Time()
        self.store = RedisStore.from_url(server.url)
        self.store.clock = self.time
        self._server = server

    def pass_time(self, seconds):
        """Let time pass, for what Redis itself ends as well."""
        self.time.now += seconds
        self._server.pass_time(seconds)


@pytest.fixture(scope="session")
def make_memory_world():
    """Make a store in memory with a time of its own."""
    return MemoryWorld


@pytest.fixture(scope="session")
def make_redis_world(running_server):
    """Make a store in a Redis that knows nothing, with a time of its own."""

    def make():
        running_server.start_anew()
        return RedisWorld(running_server)

    return make


@pytest.fixture(params=["memory", "redis"])
async def world(request):
    """Be a store of either kind, with its time."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    world = RedisWorld(request.getfixturevalue("server"))
    async with world.store:
        yield world


@pytest.fixture
def store(world):
    """Be a store of either kind."""
    return world.store
