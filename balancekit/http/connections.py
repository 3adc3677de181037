"""The connections of a session, but for those on which a response could be taken for that to another request."""

import asyncio
import select
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, cast

import aiohttp
from aiohttp.tracing import Trace

from balancekit.http.messages import is_loopback

_opens_connections: Final[ContextVar[bool]] = ContextVar("balancekit_opens_connections", default=False)
_is_reused: Final[ContextVar[bool]] = ContextVar("balancekit_is_reused", default=False)


_OK: Final = 200

_MAX_INFORMATIONAL: Final = 20
"""How many informational responses (100 to 199) may come before a response."""

_GUARD: Final = "balancekit_guard"
"""The attribute of a connection's protocol that holds its guard."""


class TooManyHeadsError(ValueError):
    """A server sent more informational responses in a row than any should."""


def open_connections(*, is_on: bool) -> None:
    """Have a connection opened for each request that the current task sends from now on, or not any more.

    A load balancer or a NAT that forgets connections forgets all of them, so where one in the pool turned out to be
    dead, the others probably are as well.
    """
    _opens_connections.set(is_on)


def is_reused_connection() -> bool:
    """Whether the connection of the current task's last request had carried a request before."""
    return _is_reused.get()


class _Guard:
    """Watches one connection from the first of our requests on."""

    __slots__ = ("_feed", "_informational", "_poll", "_protocol", "peer")

    def __init__(self, protocol: Any, transport: asyncio.Transport | None) -> None:  # noqa: ANN401 - a class of aiohttp
        self.peer: object = transport and transport.get_extra_info("peername")
        self._poll = None if transport is None else _poll_for(transport.get_extra_info("socket"))
        self._protocol = protocol
        self._feed = protocol.feed_data
        self._informational = 0
        protocol.feed_data = self.feed_head

    def has_unread_data(self) -> bool:
        """Whether the socket has something that the event loop has not read yet: data, or the end of it.

        With TLS that may be of no response, such as a session ticket, which there is no telling from one here. Servers
        send those before the first response, and so not on a connection that has carried one.
        """
        return self._poll is not None and bool(self._poll(0))

    def feed_head(self, data: tuple[Any, object], size: int = 0) -> None:
        """End the connection after too many informational responses, which aiohttp reads for ever and all at once."""
        if self._informational > _MAX_INFORMATIONAL:
            # What else has arrived with them.
            return
        self._informational = 0 if data[0].code >= _OK else self._informational + 1
        if self._informational <= _MAX_INFORMATIONAL:
            self._feed(data, size)
        else:
            problem = f"more than {_MAX_INFORMATIONAL} informational responses came before the response"
            self._protocol.set_exception(TooManyHeadsError(problem))
            self._protocol.transport.close()


def _poll_for(sock: Any) -> Callable[[int], list[Any]] | None:  # noqa: ANN401 - a socket, or what stands for one
    """Return what lists the events of a socket that are due within so many milliseconds; None without a socket."""
    if sock is None:
        return None
    if not hasattr(select, "poll"):  # pragma: no cover - Windows, whose select takes a socket of any number
        return lambda milliseconds: select.select([sock], [], [], milliseconds / 1000)[0]
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return poll.poll


class GuardedConnector(aiohttp.BaseConnector):
    """The connections of another connector, but for those on which the server has sent unsolicited data.

    Nor is a connection used that leads elsewhere than to this machine for a URL of this machine: it is not encrypted.

    aiohttp checks a connection when it returns to the pool, but not when it leaves it. Data that arrived in between
    would be taken for the response to the next request, and that response for the one to the request after: with
    several accounts at one origin, the balances of one for those of another. While the event loop was busy with
    something else, the data is still in the socket.
    """

    def __init__(self, connector: aiohttp.BaseConnector) -> None:
        super().__init__()
        self._connector = connector

    @property
    def closed(self) -> bool:
        """Whether the other connector is closed."""
        return self._connector.closed

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> aiohttp.connector.Connection:
        """Take a connection from the pool or open one; ServerDisconnectedError if it cannot be trusted."""
        while True:
            try:
                connection = await self._connector.connect(req, traces, timeout)
            except BaseException:
                _is_reused.set(False)
                raise
            protocol: Any = connection.protocol
            guard: _Guard | None = getattr(protocol, _GUARD, None)
            # Without a guard it is new, unless the lender of the session has used it. aiohttp gives a connection a
            # parser for its first request.
            is_reused = guard is not None or getattr(protocol, "_parser", None) is not None
            if not (is_reused and _opens_connections.get()):
                break
            connection.close()
        if _is_reused.get() is not is_reused:
            _is_reused.set(is_reused)
        if guard is None and protocol is not None:
            guard = _Guard(protocol, connection.transport)
            setattr(protocol, _GUARD, guard)
        if protocol is None or guard is None or protocol.should_close or (is_reused and guard.has_unread_data()):
            connection.close()
            raise aiohttp.ServerDisconnectedError("the server sent unsolicited data, or closed the connection")
        if req.url.scheme == "http" and is_loopback(host := req.url.host or ""):
            # A resolver, or a proxy that the other connector goes through, may lead the name elsewhere.
            peer = guard.peer
            if isinstance(peer, tuple) and not is_loopback(address := cast("tuple[str, int]", peer)[0]):
                connection.close()
                raise aiohttp.ClientConnectionError(f"{host} leads to {address}, which is not this machine")
        return connection
