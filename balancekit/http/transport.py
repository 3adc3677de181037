"""Sending a request and reading its response; what aiohttp raises on the way becomes an error of balancekit."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, cast
from weakref import WeakKeyDictionary, finalize

import aiohttp
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, METH_CONNECT, TRANSFER_ENCODING
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError, LineTooLong
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit.errors import MalformedResponseError, ProviderError, ProviderTimeoutError, TransportError
from balancekit.http.connections import (
    GuardedConnector,
    OwnRequest,
    Proxy,
    ProxyAddressError,
    TooManyHeadsError,
    is_reused_connection,
)
from balancekit.http.content_encoding import ACCEPTED_ENCODINGS, EncodingError, UnsupportedEncodingError, decode_body
from balancekit.http.error_responses import ErrorDetail, error_of
from balancekit.http.hints import ENCODING_HINT, HINTS, LONG_HEAD_HINT, PROXY_HINT, PROXY_LOGIN_HINT
from balancekit.http.known_secrets import secrets_of
from balancekit.http.messages import MAX_ERROR_BODY, OK, Request, Response, excerpt
from balancekit.http.quotations import Secrets
from balancekit.http.redaction import clean, redact, sanitize_exception, walk_exception_chain
from balancekit.http.tracing import observers_of
from balancekit.money.exact_json import ShapeError, decode_json
from balancekit.version import __version__

USER_AGENT: Final = f"balancekit/{__version__}"

MAX_RESPONSE_BODY: Final = 10 * 2**20
"""How many bytes the body of a 200 may have, decompressed; of any other, `MAX_ERROR_BODY` are read."""

_MAX_CHUNKS: Final = 100_000
"""How many chunks a body may have: to read one takes the time of hundreds of bytes, however small it is."""

_CHUNKS_AT_ONCE: Final = 2_000
"""After how many of them the event loop goes on with something else: all may have arrived."""

_PIECES_AT_ONCE: Final = 8
"""The same for the pieces of a body that is decoded."""

_ERROR_BODY_TIMEOUT: Final = 1.0
"""How many seconds the body of an error response may take once its head has arrived."""

_DISCONNECTIONS: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)

_PARTIAL_HEAD: Final = "the connection ended in the head of the response"

_NO_CONTENT_TYPE: Final = ("Content-Type",)

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict())

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""The statuses that aiohttp follows."""

# Most specific first. A test fails if aiohttp has a client error that is under none of them.
_ERRORS: Final[tuple[tuple[type[BaseException], type[ProviderError]], ...]] = (
    (TimeoutError, ProviderTimeoutError),
    (aiohttp.ClientError, TransportError),
    (HttpProcessingError, TransportError),
    (EncodingError, TransportError),
    (OSError, TransportError),
)


class BodyTooLargeError(ValueError):
    """The body of a response is larger than `MAX_RESPONSE_BODY`, or has more chunks than any should."""


class LostKeepaliveError(aiohttp.ServerDisconnectedError):
    """A connection that had carried a request before ended before any of the response to this one came.

    That happens to a request on a kept-alive connection that the server has just closed.
    """


class _CheckedResponse(aiohttp.ClientResponse):
    """A response that is no redirect: aiohttp would carry the credentials to wherever one points.

    Nor is its body read if it may have been cut.
    """

    async def read(self) -> bytes:
        """Read the body; raises ClientPayloadError if nothing shows that it is whole."""
        body = await super().read()
        _check_is_whole(body, self)
        return body

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


def _sender_over(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return a session over the connections of another, with its proxy for TLS and its tracing, and no more of it."""
    if session.connector is None:
        raise RuntimeError("Session is closed")
    sender = _senders.get(session)
    if sender is None:
        address, auth = getattr(session, "_default_proxy", None), getattr(session, "_default_proxy_auth", None)
        connector = GuardedConnector(session.connector, Proxy(address, auth, session.trust_env))
        # aiohttp would drop the status of a response that it cannot decode.
        sender = _senders[session] = _open_over(session, connector, aiohttp.ClientResponse, auto_decompress=False)
        # aiohttp would send a GET a second time, without a permit and whatever the budget of retries says.
        sender._retry_connection = False  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - there is no other way
    return sender


def stand_in_for(lent: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return the session that adapters are given in place of another, over its connections.

    It adds nothing to a request: no cookies, default headers, authentication, middlewares or `.netrc`. It follows no
    redirect, and uses a proxy for TLS alone.
    """
    session = _stand_ins.get(lent)
    if session is None:
        sender = _sender_over(lent)
        session = _stand_ins[lent] = _open_over(lent, sender.connector, _CheckedResponse)
        _senders[session] = sender
    return session


def _open_over(
    lent: aiohttp.ClientSession,
    connector: aiohttp.BaseConnector | None,
    response_class: type[aiohttp.ClientResponse],
    *,
    auto_decompress: bool = True,
) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        auto_decompress=auto_decompress,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=OwnRequest,
        response_class=response_class,
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


async def send(session: aiohttp.ClientSession, request: Request) -> Response:
    """Send a request exactly as it is over the connections of a session, and read the whole response.

    Of the session, its proxy is used for requests over TLS, and its tracing; nothing that it would add to a request.
    Raises BodyTooLargeError, TooManyHeadsError, and whatever aiohttp raises; see `transport_error`.
    """
    # Already encoded: the path that was signed is the path that is sent.
    url = URL(request.url, encoded=True)
    sender = _sender_over(session)
    try:
        response = await sender.request(
            request.method,
            url,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPTED_ENCODINGS, **request.headers},
            # Skipping a header that is there anyway costs aiohttp two more copies of the headers.
            skip_auto_headers=None if "Content-Type" in request.headers else _NO_CONTENT_TYPE,
            data=request.body or None,
            # aiohttp would carry the credentials to wherever a redirect points.
            allow_redirects=False,
        )
    except _DISCONNECTIONS as error:
        if is_reused_connection() and not _is_partial_head(error):
            raise LostKeepaliveError(str(error)) from error
        raise
    try:
        if response.status == OK:
            return Response(response.status, response.headers, await _read_body(response))
        body = bytearray()
        # The status alone makes the error, even if the body is cut, cannot be decoded or never arrives.
        with suppress(aiohttp.ClientError, TimeoutError, BodyTooLargeError):
            try:
                async with asyncio.timeout(_ERROR_BODY_TIMEOUT):
                    await _read_up_to(MAX_ERROR_BODY, body, response.content)
            except asyncio.CancelledError:
                # A 429 is heeded, as if all of it had come a moment before its caller left.
                if response.status != HTTPStatus.TOO_MANY_REQUESTS:
                    raise
        decoded = bytearray()
        # It may have been cut here.
        with suppress(EncodingError):
            await _decode_up_to(MAX_ERROR_BODY, decoded, bytes(body), response)
        return Response(response.status, response.headers, bytes(decoded[:MAX_ERROR_BODY]))
    finally:
        # A response that was read to its end has released its connection already. `async with` would release it again,
        # which takes a fiftieth of the time of reading an account.
        if not response.closed:
            response.release()
            await response.wait_for_close()


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    content = response.content
    body: bytes | bytearray = await content.readany()
    # Most bodies have arrived whole by now, and need no copy.
    if not content.at_eof():
        body = bytearray(body)
        await _read_up_to(MAX_RESPONSE_BODY, body, content)
    if CONTENT_ENCODING in response.headers and len(body) <= MAX_RESPONSE_BODY:
        encoded, body = bytes(body), bytearray()
        await _decode_up_to(MAX_RESPONSE_BODY, body, encoded, response)
    if len(body) > MAX_RESPONSE_BODY:
        raise BodyTooLargeError(f"the body is larger than {MAX_RESPONSE_BODY} bytes")
    whole = bytes(body)
    if CONTENT_LENGTH not in response.headers:
        _check_is_whole(whole, response)
    return whole


def _check_is_whole(body: bytes, response: aiohttp.ClientResponse) -> None:
    """Raise ClientPayloadError for a body that the end of the connection alone ends, unless it shows that it is whole.

    One JSON document or a page does; of anything else, such as lines, a part may pass for all of it.
    Source: RFC 9112, 8.
    """
    headers = response.headers
    has_end = CONTENT_LENGTH in headers or "chunked" in headers.get(TRANSFER_ENCODING, "").lower()
    # Without a version it is from no connection: tools for tests make such responses.
    if has_end or response.version is None:
        return
    start = body.lstrip()[:1]
    if start == b"<":
        return
    if start in {b"{", b"["}:
        with suppress(ShapeError):
            decode_json(body)
            return
    raise aiohttp.ClientPayloadError("nothing but the end of the connection shows where the body ends: it may be cut")


async def _decode_up_to(limit: int, decoded: bytearray, body: bytes, response: aiohttp.ClientResponse) -> None:
    """Append a body without its encoding, to its end, or until it is longer than the limit; raises EncodingError."""
    for number, piece in enumerate(decode_body(body, ",".join(response.headers.getall(CONTENT_ENCODING, ())))):
        decoded += piece
        if len(decoded) > limit:
            return
        if number % _PIECES_AT_ONCE == _PIECES_AT_ONCE - 1:
            await asyncio.sleep(0)


async def _read_up_to(limit: int, body: bytearray, content: aiohttp.StreamReader) -> None:
    """Append to the body until its end, or until it is longer than the limit; BodyTooLargeError for too many chunks."""
    chunks = 0
    while len(body) <= limit:
        data, ends_chunk = await content.readchunk()
        if not (data or ends_chunk):
            return
        body += data
        chunks += ends_chunk
        if chunks % _CHUNKS_AT_ONCE == _CHUNKS_AT_ONCE - 1:
            await asyncio.sleep(0)
        if chunks > _MAX_CHUNKS:
            raise BodyTooLargeError(f"the body has more than {_MAX_CHUNKS} chunks")


def is_lost_keepalive(error: BaseException) -> bool:
    """Whether a request failed because its kept-alive connection had ended: sending it again is safe."""
    return isinstance(error.__cause__, LostKeepaliveError)


def _is_partial_head(error: BaseException) -> bool:
    # Then `message` is not a text but the part of the head that has arrived, as an object of aiohttp's parser.
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(getattr(error, "message", ""), str)


def _is_of_broken_proxy(error: BaseException) -> bool:
    """Whether a proxy that was asked for a tunnel sent what is no HTTP; it may quote the proxy's password."""
    # aiohttp asks for one, and no request of ours does.
    return (
        isinstance(error, aiohttp.ClientResponseError)
        and not isinstance(error, aiohttp.ClientHttpProxyError)
        and error.request_info.method == METH_CONNECT
    )


def _response_of(error: BaseException) -> Response | None:
    """Return the status and headers of the response that an exception was raised for, if the provider sent one."""
    # aiohttp gives a response that it cannot parse the status 400, and a proxy's response is none of the provider's.
    if (
        not isinstance(error, aiohttp.ClientResponseError)
        or isinstance(error, aiohttp.ClientHttpProxyError)
        or isinstance(error.__cause__, HttpProcessingError)
        or not getattr(error, "status", 0)
    ):
        return None
    return Response(error.status, error.headers or {})


def _explain(error: BaseException, hint: str) -> tuple[str, str]:
    """Return the reason that is shown for an exception, and its own hint, if it has one, instead of the general one."""
    reason = str(error)
    if isinstance(error, ProxyAddressError):
        hint = PROXY_LOGIN_HINT
    elif isinstance(error, aiohttp.ClientProxyConnectionError):
        hint = PROXY_HINT
    elif isinstance(error, aiohttp.ClientHttpProxyError) and (status := getattr(error, "status", 0)):
        wants_login = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        reason, hint = f"the proxy refused, with status {status}", PROXY_LOGIN_HINT if wants_login else PROXY_HINT
    elif _is_of_broken_proxy(error):
        reason, hint = "the proxy was asked for a tunnel, and did not respond as one", PROXY_HINT
    elif any(isinstance(link, LineTooLong) for link in walk_exception_chain(error)):
        reason, hint = "the response has a header that is too long", LONG_HEAD_HINT
    elif isinstance(error, UnsupportedEncodingError):
        hint = ENCODING_HINT
    elif isinstance(error, aiohttp.ClientResponseError) and any(
        isinstance(link, ContentEncodingError) for link in walk_exception_chain(error)
    ):
        # Only where an adapter without a base class sends: aiohttp decodes there, and loses the status.
        reason, hint = f"the response is encoded in another way than asked for: {error.message}", ENCODING_HINT
    elif isinstance(error, aiohttp.ClientResponseError) and isinstance(error.__cause__, HttpProcessingError):
        # Not by the status that aiohttp gives it, which nobody has sent.
        reason = f"the response is no HTTP: {error.message}"
    return reason, hint


def transport_error(
    error: BaseException, *, account: str, provider: str, secrets: Iterable[str] | Secrets = ()
) -> ProviderError | None:
    """Return the error that an exception of `send`, or of aiohttp in an adapter, stands for; None for any other.

    What `raise_for_status` raises becomes the error of its status, as if the adapter had returned the response.
    An exception of aiohttp's, or of the sockets below it, becomes the cause if it has only words and numbers: others
    may hold a URL, or what the server sent, and in either a credential that is not known to be one.
    """
    if isinstance(error, BodyTooLargeError | TooManyHeadsError):
        hint = HINTS[MalformedResponseError]
        status = OK if isinstance(error, BodyTooLargeError) else None
        return MalformedResponseError(str(error), account=account, provider=provider, status=status, hint=hint)
    kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), None)
    if kind is None:
        return None
    response, is_partial_head = _response_of(error), _is_partial_head(error)
    is_of_proxy = response is None and _is_of_broken_proxy(error)
    sanitize_exception(error)
    if is_partial_head:
        # The head may hold what the server, or a proxy, was sent.
        cast("aiohttp.ServerDisconnectedError", error).message = _PARTIAL_HEAD
        error.args = (_PARTIAL_HEAD,)
    if response is not None:
        detail = ErrorDetail(None, redact(str(getattr(error, "message", "")), secrets))
        failure = error_of(response, detail, account=account, provider=provider, now=time.time())
    else:
        reason, hint = _explain(error, HINTS[kind])
        message = excerpt(f"{type(error).__name__}: {redact(reason, secrets)}".rstrip(": "))
        failure = kind(message, account=account, provider=provider, hint=hint)
        if hint in {PROXY_LOGIN_HINT, ENCODING_HINT}:
            # The next request would take the same password there, and be responded to alike; that may be a 429.
            failure.retryable = False
    # The password of a proxy is not among the secrets.
    failure.__cause__ = None if is_of_proxy else clean(error, Secrets.of(secrets))
    if failure.__cause__ is None and isinstance(error, LostKeepaliveError):
        failure.__cause__ = LostKeepaliveError()
    return failure


def describe_failure(error: BaseException, request: Request) -> str | None:
    """Return what an exception of aiohttp says without what it quotes of the request; None for any other."""
    failure = transport_error(error, account="", provider="", secrets=secrets_of(None, request))
    return None if failure is None else failure.message
