"""The connections of a session, but for those on which a response could be taken for that to another request."""

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.tracing import Trace
from aiohttp.typedefs import StrOrURL
from yarl import URL

from balancekit.http.messages import OK, is_loopback
from balancekit.http.own_variables import own_variable
from balancekit.http.secret import Secret

_opens_connections: Final = own_variable("balancekit_opens_connections", default=False)
_is_reused: Final = own_variable("balancekit_is_reused", default=False)


_ENCRYPTED: Final = frozenset({"https", "wss"})

_PROXY_SCHEMES: Final = frozenset({"http", "https"})

_MAX_INFORMATIONAL: Final = 20
"""How many informational responses (100 to 199) may come before a response."""

_TURNS: Final = 2
"""How many iterations the event loop needs to read what has arrived: one to poll the sockets, one to read them."""

_AT_HASH: Final = ConnectionKey._fields.index("proxy_headers_hash")

_GUARD: Final = "balancekit_guard"
"""The attribute of a connection's protocol that holds its guard."""


class ProxyAddressError(aiohttp.ClientConnectionError):
    """The address of a proxy cannot be used; the message shows nothing of it."""


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

    __slots__ = ("_feed", "_informational", "_protocol", "peer", "unread")

    def __init__(self, protocol: Any, transport: asyncio.Transport | None) -> None:  # noqa: ANN401 - a class of aiohttp
        self.peer: object = transport and transport.get_extra_info("peername")
        self.unread = _unread_in(None if transport is None else transport.get_extra_info("socket"))
        self._protocol = protocol
        self._feed = protocol.feed_data
        self._informational = 0
        protocol.feed_data = self.feed_head

    def stop_reading(self) -> None:
        """Have what arrives before the next request kept unread, by which aiohttp shows that it is there.

        Its parser would take a blank line, or the beginning of a head, and show nothing of it.
        """
        self._protocol._parser = None  # noqa: SLF001 # there is no other way

    def feed_head(self, data: tuple[Any, object], size: int = 0) -> None:
        """End the connection after too many informational responses, which aiohttp reads for ever and all at once."""
        if self._informational > _MAX_INFORMATIONAL:
            # What else has arrived with them.
            return
        self._informational = 0 if data[0].code >= OK else self._informational + 1
        if self._informational <= _MAX_INFORMATIONAL:
            self._feed(data, size)
        else:
            problem = f"more than {_MAX_INFORMATIONAL} informational responses came before the response"
            self._protocol.set_exception(TooManyHeadsError(problem))
            self._protocol.transport.close()


def _unread_in(sock: Any) -> Callable[[], list[Any]]:  # noqa: ANN401 - a socket, or what stands for one
    """Return what lists what the event loop has not read yet: data, or the end of it.

    With TLS that may be of no response, such as a session ticket, which there is no telling from one here. Servers send
    those before the first response, and so not on a connection that has carried one.
    """
    if sock is None:
        return list
    if not hasattr(select, "poll"):  # pragma: no cover - Windows, whose select takes a socket of any number
        return lambda: select.select([sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return lambda: poll.poll(0)


@attrs.frozen
class Proxy:
    """The proxy of a session: its `address`, or else, where the session `uses_environment`, that of the environment."""

    address: StrOrURL | None = attrs.field(default=None, repr=False)
    auth: aiohttp.BasicAuth | None = attrs.field(default=None, repr=False)
    uses_environment: bool = False

    def use_for(self, request: aiohttp.ClientRequest) -> str | None:
        """Have a request with TLS go through the proxy; returns what is wrong with its address, which is not used then.

        It raises nothing: error trackers collect the local variables of the frames that an exception comes from, and
        here the password is in one.
        """
        address = self.address
        if address is None and self.uses_environment and not proxy_bypass(request.url.host or ""):
            address = getproxies().get("https")
        if address is None:
            return None
        text = str(address)
        proxy = _proxy_url(text if "://" in text else f"http://{text}")
        if proxy is None:
            return "the address of the proxy is no URL such as http://host:3128"
        try:
            auth = aiohttp.BasicAuth.from_url(proxy) if self.auth is None else self.auth
            headers = None if auth is None else {"Proxy-Authorization": auth.encode()}
        except ValueError:
            return "the user or the password of the proxy has a character that no header can have"
        request.update_proxy(proxy.origin(), None, headers)
        return None


def is_proxy(address: Secret) -> bool:
    """Whether a text, which may hold a password, is the URL of a proxy."""
    return not address.problem() and _proxy_url(address.reveal()) is not None


def _proxy_url(text: str) -> URL | None:
    """Return the URL of a proxy, None if a text is none, such as one with a bare slash or `#` in its password."""
    with suppress(ValueError):
        url = URL(text)
        if url.scheme in _PROXY_SCHEMES and url.with_user(None) == url.origin():
            return url
    return None


class OwnRequest(aiohttp.ClientRequest):
    """A request that shares no connection with those of another session that uses the same connector.

    The owner's request may have read, and dropped, a part of what the server sent unsolicited: such a connection is not
    safe to use.
    """

    @property
    def connection_key(self) -> ConnectionKey:
        """What the connector finds a connection by."""
        key = super().connection_key
        # `_replace` takes longer, and each call leaves a tuple in CPython's free list, up to 2000 of them.
        own_hash = hash((OwnRequest, key.proxy_headers_hash))
        return ConnectionKey._make((*key[:_AT_HASH], own_hash, *key[_AT_HASH + 1 :]))


class GuardedConnector(aiohttp.BaseConnector):
    """The connections of another connector, but for those on which the server has sent unsolicited data.

    Nor is a connection used that leads elsewhere than to this machine for a URL of this machine: it is not encrypted.
    The proxy is for requests over TLS alone: it would see the credentials of any other.

    aiohttp checks a connection when it returns to the pool, but not when it leaves it. Data that arrived in between
    would be taken for the response to the next request, and that response for the one to the request after: with
    several accounts at one origin, the balances of one for those of another. While the event loop was busy with
    something else, the data is still in the socket.
    """

    def __init__(self, connector: aiohttp.BaseConnector, proxy: Proxy) -> None:
        super().__init__()
        self._connector = connector
        self._proxy = proxy

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
        if req.url.scheme in _ENCRYPTED:
            if req.proxy is None and (problem := self._proxy.use_for(req)):
                raise ProxyAddressError(problem)
        elif req.proxy is not None:
            raise aiohttp.ClientConnectionError("a proxy would see the credentials of a request that is not encrypted")
        while True:
            try:
                connection = await self._connector.connect(req, traces, timeout)
            except BaseException as error:
                _is_reused.set(False)
                if req.proxy is not None and isinstance(error, aiohttp.ClientConnectorDNSError):
                    # As for all else that is wrong on the way to a proxy.
                    raise aiohttp.ClientProxyConnectionError(error._conn_key, error.os_error) from error  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - it is needed
                raise
            protocol: Any = connection.protocol
            guard: _Guard | None = getattr(protocol, _GUARD, None)
            is_reused = guard is not None
            if not (is_reused and _opens_connections.get()):
                break
            connection.close()
        if _is_reused.get() is not is_reused:
            _is_reused.set(is_reused)
        if guard is None and protocol is not None:
            guard = _Guard(protocol, connection.transport)
            setattr(protocol, _GUARD, guard)
        is_after_handshake = req.url.scheme in _ENCRYPTED and not is_reused
        if is_after_handshake:
            await _read_what_has_arrived(connection)
        if protocol is None or guard is None or protocol.should_close or (not is_after_handshake and guard.unread()):
            _abort(connection)
            raise aiohttp.ServerDisconnectedError("the server sent unsolicited data, or closed the connection")
        if (address := _other_machine(req.url, guard.peer)) is not None:
            connection.close()
            raise aiohttp.ClientConnectionError(f"{req.url.host} leads to {address}, which is not this machine")
        connection.add_callback(guard.stop_reading)
        return connection


async def _read_what_has_arrived(connection: aiohttp.connector.Connection) -> None:
    """Let the event loop read and decrypt what has arrived: some of it may be of the handshake, as no socket shows."""
    try:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
    except BaseException:
        _abort(connection)
        raise


def _abort(connection: aiohttp.connector.Connection) -> None:
    """End a connection at once: with TLS, a peer that speaks out of turn may not take part in closing it."""
    if connection.protocol is not None:
        connection.protocol.abort()
    connection.close()


def _other_machine(url: URL, peer: object) -> str | None:
    """Return the address that a URL of this machine leads to without TLS if that is another; None otherwise."""
    # A resolver, or a proxy that the other connector goes through, may lead the name elsewhere.
    if url.scheme == "http" and is_loopback(url.host or "") and isinstance(peer, tuple):
        address = cast("tuple[str, int]", peer)[0]
        return None if is_loopback(address) else address
    return None
