"""How connections are accepted when little else works."""

import asyncio
import errno
import socket

import pytest

from balancekit.sandbox.acceptor import Acceptor


class Greeter(asyncio.Protocol):
    """Sends a greeting, and keeps the connection."""

    def connection_made(self, transport):
        """Greet."""
        transport.write(b"hello")


async def greeting(port):
    """Return what a new connection is sent first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            return await reader.readexactly(5)
    finally:
        writer.close()


async def nothing():
    """End no protocol."""


async def test_it_goes_on_after_a_connection_could_not_be_accepted(monkeypatch):
    """A process without file descriptors for a moment accepts again as soon as it has some."""
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "Too many open files")]

    def accept_later(listening):
        if failures:
            raise failures.pop()
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    acceptor = Acceptor(Greeter, "127.0.0.1", 0)

    assert await greeting(acceptor.port) == b"hello"
    assert failures == []
    await acceptor.stop(nothing)


def test_it_serves_on_uvloop():
    """Connections are accepted, and dropped by `stop`, on an event loop that is not written in Python."""
    uvloop = pytest.importorskip("uvloop")

    async def connect_and_stop():
        acceptor = Acceptor(Greeter, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
        received = await reader.readexactly(5)
        await acceptor.stop(nothing)
        received += await reader.read()
        writer.close()
        return received

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(connect_and_stop()) == b"hello"
