"""The sessions that requests are sent with: over the connections of another, and with nothing else of that."""

from typing import Final
from weakref import WeakKeyDictionary, finalize

import aiohttp
from aiohttp.hdrs import ACCEPT_ENCODING
from multidict import CIMultiDict, CIMultiDictProxy

from balancekit.http.bodies import read_body, read_error_body
from balancekit.http.connections import GuardedConnector, OwnRequest, Proxy
from balancekit.http.tracing import observers_of

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict())

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""The statuses that aiohttp follows."""


class _OwnResponse(aiohttp.ClientResponse):
    """A response that is no redirect: aiohttp would carry the credentials to wherever one points.

    Its body is read as that of an adapter with a base class is: within bounds, decoded here, and whole. aiohttp would
    drop the status of a response that it cannot decode.
    """

    async def read(self) -> bytes:
        """Read the body; raises BodyTooLargeError, EncodingError, and whatever aiohttp raises."""
        if self._body is None:
            try:
                self._body = await (read_body if self.ok else read_error_body)(self)
            except BaseException:
                self.close()
                raise
        return await super().read()

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Read the head; raises ClientResponseError, as `raise_for_status` does, if it is one of a redirect."""
        await super().start(connection)
        if self.status in _REDIRECTS:
            reason = self.reason or ""
            raise aiohttp.ClientResponseError(
                self.request_info, (), status=self.status, message=reason, headers=self.headers
            )
        return self


_senders: Final[WeakKeyDictionary[aiohttp.ClientSession, aiohttp.ClientSession]] = WeakKeyDictionary()
"""The session that sends for a lent one, and for the one that stands in for it."""

_stand_ins: Final[WeakKeyDictionary[aiohttp.ClientSession, aiohttp.ClientSession]] = WeakKeyDictionary()


def sender_over(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return a session over the connections of another, with its proxy for TLS and its tracing, and no more of it."""
    if session.connector is None:
        raise RuntimeError("Session is closed")
    sender = _senders.get(session)
    if sender is None:
        address, auth = getattr(session, "_default_proxy", None), getattr(session, "_default_proxy_auth", None)
        connector = GuardedConnector(session.connector, Proxy(address, auth, session.trust_env))
        sender = _senders[session] = _open_over(session, connector, aiohttp.ClientResponse)
        # aiohttp would send a GET a second time, without a permit and whatever the budget of retries says.
        sender._retry_connection = False  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - there is no other way
    return sender


def stand_in_for(lent: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return the session that adapters are given in place of another, over its connections.

    It adds nothing to a request: no cookies, default headers, authentication, middlewares or `.netrc`. It follows no
    redirect, and uses a proxy for TLS alone. It asks for no encoding: what an adapter reads of the content, rather than
    of the body, is as it was sent.
    """
    session = _stand_ins.get(lent)
    if session is None:
        sender = sender_over(lent)
        session = _stand_ins[lent] = _open_over(lent, sender.connector, _OwnResponse)
        _senders[session] = sender
    return session


def _open_over(
    lent: aiohttp.ClientSession,
    connector: aiohttp.BaseConnector | None,
    response_class: type[aiohttp.ClientResponse],
) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=OwnRequest,
        response_class=response_class,
        skip_auto_headers=(ACCEPT_ENCODING,),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    )
    # Not as an argument: tools that trace every session would add themselves a second time.
    observers = tuple(observers_of(lent))
    # The connections are not ours to close.
    finalize(lent, session.detach)
    # No adapter can add to the requests of the others, trace them, or close the session for them.
    vars(session).update(_default_headers=_NO_HEADERS, _trace_configs=observers, close=_stay_open, detach=_do_nothing)
    return session


async def _stay_open() -> None:
    pass


def _do_nothing() -> None:
    pass
