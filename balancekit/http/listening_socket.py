"""A socket on loopback that knows what it has accepted, so that a server which stops leaves nothing open."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakSet

_TURNS_TO_BEGIN: Final = 3
"""How many turns of the event loop it takes until a connection that was accepted has its transport and protocol."""

_TURNS_TO_END: Final = 20
"""How many turns a transport has at most to notice the end of its connection; four or five are enough."""


def family_of(host: str) -> socket.AddressFamily:
    """Return the family of a loopback address; that of `localhost` is IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class ListeningSocket(socket.socket):
    """Bound to a loopback address, for an event loop to serve; port 0 means any that is free.

    A server that is closed forgets the connections which are just being accepted, or are in a TLS handshake, and waits
    for clients that do not read: `stop` ends them all. uvloop and the loop of Windows accept by themselves, without
    `accept`; what they have accepted is left to them.
    """

    def __init__(self, host: str, port: int = 0) -> None:
        """Bind; OSError if the address is not available."""
        super().__init__(family_of(host), socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._accepted = WeakSet[socket.socket]()
        self._stopped = False
        try:
            if sys.platform != "win32":
                self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.bind((host, port))
        except BaseException as error:
            self.close()
            if not isinstance(error, OSError):
                raise
            raise OSError(error.errno, f"cannot listen on port {port} of {host}: {error.strerror}") from None

    @property
    def port(self) -> int:
        """The port to which it is bound."""
        port: int = self.getsockname()[1]
        return port

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection; BlockingIOError, as if there were none, once it is being stopped."""
        if self._stopped:
            raise BlockingIOError
        connection, address = super().accept()
        self._accepted.add(connection)
        return connection, address

    async def stop(self, close_server: Callable[[], Awaitable[object]]) -> None:
        """Accept no more, close the server, and end the connections that are open then, with what is not sent yet."""
        self._stopped = True
        try:
            # Otherwise the event loop makes transports for a server that is closed, and closes none of them.
            for _ in range(_TURNS_TO_BEGIN):
                await asyncio.sleep(0)
        finally:
            try:
                await close_server()
            finally:
                await self._end_connections()

    async def _end_connections(self) -> None:
        for connection in self._accepted:
            # Many are closed already.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _ in range(_TURNS_TO_END):
            if all(connection.fileno() == -1 for connection in self._accepted):
                break
            await asyncio.sleep(0)
