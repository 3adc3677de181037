"""The connections of a session, but for those on which a response could be taken for that to another request."""

import asyncio
import select
from contextvars import ContextVar
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
from aiohttp.tracing import Trace

from balancekit.http.messages import is_loopback

_opens_connections: Final[ContextVar[bool]] = ContextVar("balancekit_opens_connections", default=False)
_is_reused: Final[ContextVar[bool]] = ContextVar("balancekit_is_reused", default=False)


_MAX_INFORMATIONAL: Final = 20
"""How many informational responses (100 to 199) may come before a response."""


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


class _ReuseTrace(Trace):
    """Learns where a connection comes from; a connector reports that to tracing alone."""

    async def send_connection_reuseconn(self) -> None:
        """Note that it comes from the pool."""
        _is_reused.set(True)


def _make_reuse_trace() -> Trace:
    config = aiohttp.TraceConfig()
    config.freeze()
    # The session is for callbacks, and there are none.
    return _ReuseTrace(cast("aiohttp.ClientSession", None), config, SimpleNamespace())


_REUSE_TRACE: Final = _make_reuse_trace()


def _has_unread_data(transport: asyncio.Transport | None) -> bool:
    """Whether a connection's socket has something that the event loop has not read yet: data, or the end of it.

    With TLS that may be of no response, such as a session ticket, which there is no telling from one here. Servers send
    those before the first response, and so not on a connection that has carried one.
    """
    sock: Any = transport and transport.get_extra_info("socket")
    if sock is None:
        return False
    if not hasattr(select, "poll"):  # pragma: no cover - Windows, whose select takes a socket of any number
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _bound_heads(protocol: Any) -> None:  # noqa: ANN401 - one of its methods is replaced
    """Have a connection end after too many informational responses, which aiohttp reads for ever and all at once."""
    feed, informational = protocol.feed_data, 0

    def feed_head(data: tuple[Any, object], size: int = 0) -> None:
        nonlocal informational
        if informational > _MAX_INFORMATIONAL:
            # What else has arrived with them.
            return
        informational = informational + 1 if data[0].code < HTTPStatus.OK else 0
        if informational <= _MAX_INFORMATIONAL:
            feed(data, size)
        else:
            problem = f"more than {_MAX_INFORMATIONAL} informational responses came before the response"
            protocol.set_exception(TooManyHeadsError(problem))
            protocol.transport.close()

    protocol.feed_data = feed_head


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
        traces = [_REUSE_TRACE, *traces]
        while True:
            _is_reused.set(False)
            connection = await self._connector.connect(req, traces, timeout)
            if not (_opens_connections.get() and _is_reused.get()):
                break
            connection.close()
        protocol = connection.protocol
        if protocol is None or protocol.should_close or (_is_reused.get() and _has_unread_data(connection.transport)):
            connection.close()
            raise aiohttp.ServerDisconnectedError("the server sent unsolicited data, or closed the connection")
        if not _is_reused.get():
            _bound_heads(protocol)
        if req.url.scheme == "http" and is_loopback(host := req.url.host or ""):
            # A resolver, or a proxy that the other connector goes through, may lead the name elsewhere.
            peer: object = connection.transport and connection.transport.get_extra_info("peername")
            if isinstance(peer, tuple) and not is_loopback(address := cast("tuple[str, int]", peer)[0]):
                connection.close()
                raise aiohttp.ClientConnectionError(f"{host} leads to {address}, which is not this machine")
        return connection
