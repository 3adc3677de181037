"""What the tests of the stores share: a Redis server of their own, stores on it, and time that passes when told to."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis

from balancekit.stores import MemoryStore, RedisStore

NO_SERVER = "no redis-server on the path: apt install redis-server, or brew install redis"


class RedisServer:
    """A real server on a socket in a folder of its own, which keeps nothing when it stops."""

    def __init__(self, folder):
        self.socket = Path(folder) / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._folder = folder
        self._process = None

    def start(self):
        """Start it, and wait until it answers."""
        if self._process is not None:
            return
        settings = {"port": 0, "unixsocket": self.socket, "dir": self._folder, "save": "", "appendonly": "no"}
        words = [str(word) for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < give_up, "redis-server does not start"
            assert self._process.poll() is None, "redis-server has ended"
            time.sleep(0.01)

    def start_anew(self):
        """See that it runs, and that it knows nothing."""
        self.start()
        with self.client() as client:
            client.flushall()

    def stop(self):
        """Stop it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self):
        """Keep it from answering, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Let it answer again."""
        self._process.send_signal(signal.SIGCONT)

    def client(self):
        """Make a client that looks into the server, as any other program would."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def pass_time(self, seconds):
        """Bring every key's end nearer."""
        with self.client() as client:
            for key in client.scan_iter():
                client.pexpire(key, int(client.pttl(key) - seconds * 1000))

    def _answers(self):
        try:
            with self.client() as client:
                return client.ping()
        except redis.ConnectionError:
            return False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Report every test that lacks a server as skipped in one place, so that one line says it of them all."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].endswith(NO_SERVER):
        report.longrepr = (__file__, 0, report.longrepr[2])
    return report


@pytest.fixture(scope="session")
def running_server():
    """Run a server for all tests; without one they are skipped, but not where CI is to run them."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI"):
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    # A socket's path must be short, which pytest's own folders are not everywhere.
    with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:
        server = RedisServer(folder)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def server(running_server):
    """Give a running server that knows nothing."""
    running_server.start_anew()
    return running_server


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
