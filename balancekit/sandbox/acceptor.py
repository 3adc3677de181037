"""Accepting connections on loopback, so that stopping leaves none open, however far it has come."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final
from weakref import WeakSet

_RETRY_DELAY: Final = 0.1
"""Seconds until the next try when a connection could not be accepted, for want of file descriptors for example."""


class Acceptor:
    """Listens at a loopback address and gives each connection a protocol; port 0 means any that is free.

    It takes the place of an event loop's own server, which leaves open what is being accepted when it is closed.
    """

    def __init__(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int, context: ssl.SSLContext | None = None
    ) -> None:
        """Begin, in the running event loop; with a context it speaks TLS. OSError if the port is not available."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = _ListeningSocket(fileno=socket.create_server((host, port), family=family).detach())
        self._socket.settimeout(0)
        self.port: int = self._socket.getsockname()[1]
        self._factory = factory
        self._context = context
        self._transports = WeakSet[asyncio.Transport]()
        self._tasks = set[asyncio.Task[None]]()
        self._begin(self._accept())

    async def stop(self, end_protocols: Callable[[], Awaitable[object]]) -> None:
        """Accept no more, close what is being accepted, end the protocols, and drop what is still connected then."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await end_protocols()
        finally:
            self._socket.close()
            for connection in self._socket.accepted:
                connection.close()
            for transport in self._transports:
                transport.abort()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(_RETRY_DELAY)
                continue
            self._begin(self._connect(connection))

    def _begin(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        self._socket.accepted.discard(connection)
        loop = asyncio.get_running_loop()
        # A client may go away, or fail at TLS.
        with contextlib.suppress(OSError):
            transport, _ = await loop.connect_accepted_socket(self._factory, connection, ssl=self._context)
            self._transports.add(transport)


class _ListeningSocket(socket.socket):
    """Keeps what it has accepted until a task has it: one that is cancelled at that moment loses the connection."""

    def __init__(self, *, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self.accepted: set[socket.socket] = set()

    def accept(self) -> tuple[socket.socket, object]:
        connection, address = super().accept()
        self.accepted.add(connection)
        return connection, address
