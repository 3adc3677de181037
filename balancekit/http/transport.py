"""Sending a request and reading its response; what aiohttp raises on the way becomes an error of balancekit."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final, cast
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary, finalize

import aiohttp
import attrs
from aiohttp.hdrs import METH_CONNECT
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.typedefs import StrOrURL
from yarl import URL

from balancekit.errors import MalformedResponseError, ProviderError, ProviderTimeoutError, TransportError
from balancekit.http.connections import GuardedConnector, TooManyHeadsError, is_reused_connection
from balancekit.http.error_responses import ErrorDetail, error_of
from balancekit.http.hints import HINTS, LONG_HEAD_HINT
from balancekit.http.messages import MAX_ERROR_BODY, Request, Response, excerpt
from balancekit.http.quotations import Secrets
from balancekit.http.redaction import quotes_any, redact, sanitize_exception, walk_exception_chain
from balancekit.http.tracing import observers_of
from balancekit.version import __version__

USER_AGENT: Final = f"balancekit/{__version__}"

MAX_RESPONSE_BODY: Final = 10 * 2**20
"""How many bytes the body of a 200 may have, decompressed; of any other, `MAX_ERROR_BODY` are read."""

_MAX_CHUNKS: Final = 100_000
"""How many chunks a body may have: to read one takes the time of hundreds of bytes, however small it is."""

_ERROR_BODY_TIMEOUT: Final = 1.0
"""How many seconds the body of an error response may take once its head has arrived."""

_DISCONNECTIONS: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)

_NO_CONTENT_TYPE: Final = ("Content-Type",)

# Most specific first. A test fails if aiohttp has a client error that is under none of them.
_ERRORS: Final[tuple[tuple[type[BaseException], type[ProviderError]], ...]] = (
    (TimeoutError, ProviderTimeoutError),
    (aiohttp.ClientError, TransportError),
    (HttpProcessingError, TransportError),
    (OSError, TransportError),
)


class BodyTooLargeError(ValueError):
    """The body of a response is larger than `MAX_RESPONSE_BODY`, or has more chunks than any should."""


class LostKeepaliveError(aiohttp.ServerDisconnectedError):
    """A connection that had carried a request before ended before any of the response to this one came.

    That happens to a request on a kept-alive connection that the server has just closed.
    """


@attrs.frozen
class _Route:
    """A session of our own over the connections of another; `proxy` is for requests over TLS."""

    session: aiohttp.ClientSession
    proxy: StrOrURL | None
    proxy_auth: aiohttp.BasicAuth | None
    uses_environment: bool

    def proxy_for(self, url: URL) -> tuple[URL | None, Mapping[str, str] | None]:
        """Return the proxy for a URL with TLS, and the headers with its password: no message or frame shows those."""
        address = self.proxy
        if address is None and self.uses_environment and not proxy_bypass(url.host or ""):
            address = getproxies().get("https")
        if address is None:
            return None, None
        text = str(address)
        proxy: URL | None = None
        with suppress(ValueError):
            proxy = URL(text if "://" in text else f"http://{text}")
        if proxy is None or proxy.host is None:
            raise aiohttp.ClientConnectionError("the address of the proxy is no URL such as http://host:3128")
        auth = aiohttp.BasicAuth.from_url(proxy) if self.proxy_auth is None else self.proxy_auth
        return proxy.with_user(None), None if auth is None else {"Proxy-Authorization": auth.encode()}


_routes: Final[WeakKeyDictionary[aiohttp.ClientSession, _Route]] = WeakKeyDictionary()


def _route_over(lent: aiohttp.ClientSession) -> _Route:
    """Return a session over the connections of another: with its proxy for TLS and its tracing, and nothing else of it.

    Its cookies, default headers, authentication, middlewares, `.netrc` and timeouts do not reach our requests.
    """
    if lent.connector is None or lent.closed:
        raise RuntimeError("Session is closed")
    route = _routes.get(lent)
    if route is None:
        session = aiohttp.ClientSession(
            connector=GuardedConnector(lent.connector),
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )
        # aiohttp would send a GET a second time, without a permit and whatever the budget of retries says.
        session._retry_connection = False  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - there is no other way
        # Not as an argument: tools that trace every session would add themselves a second time.
        session.trace_configs[:] = observers_of(lent)
        proxy, proxy_auth = getattr(lent, "_default_proxy", None), getattr(lent, "_default_proxy_auth", None)
        route = _routes[lent] = _Route(session, proxy, proxy_auth, lent.trust_env)
        # The connections are not ours to close.
        finalize(lent, session.detach)
    return route


async def send(session: aiohttp.ClientSession, request: Request) -> Response:
    """Send a request exactly as it is over the connections of a session, and read the whole response.

    Of the session, its proxy is used for requests over TLS, and its tracing; nothing that it would add to a request.
    Raises BodyTooLargeError, TooManyHeadsError, and whatever aiohttp raises; see `transport_error`.
    """
    # Already encoded: the path that was signed is the path that is sent.
    url = URL(request.url, encoded=True)
    route = _route_over(session)
    # A proxy would see the credentials of a request that is not encrypted. Those are for this machine alone.
    proxy, proxy_headers = route.proxy_for(url) if url.scheme == "https" else (None, None)
    try:
        response = await route.session.request(
            request.method,
            url,
            headers={"User-Agent": USER_AGENT, **request.headers},
            # Skipping a header that is there anyway costs aiohttp two more copies of the headers.
            skip_auto_headers=None if "Content-Type" in request.headers else _NO_CONTENT_TYPE,
            data=request.body or None,
            # aiohttp would carry the credentials to wherever a redirect points.
            allow_redirects=False,
            proxy=proxy,
            proxy_headers=proxy_headers,
        )
    except _DISCONNECTIONS as error:
        if is_reused_connection() and not _is_partial_head(error):
            raise LostKeepaliveError(str(error)) from error
        raise
    try:
        if response.status == HTTPStatus.OK:
            return Response(response.status, response.headers, await _read_body(response.content))
        body = bytearray()
        # The status alone makes the error, even if the body is cut or never arrives.
        with suppress(aiohttp.ClientError, TimeoutError, BodyTooLargeError):
            try:
                async with asyncio.timeout(_ERROR_BODY_TIMEOUT):
                    await _read_up_to(MAX_ERROR_BODY, body, response.content)
            except asyncio.CancelledError:
                # A 429 is heeded, as if all of it had come a moment before its caller left.
                if response.status != HTTPStatus.TOO_MANY_REQUESTS:
                    raise
        return Response(response.status, response.headers, bytes(body[:MAX_ERROR_BODY]))
    finally:
        # A response that was read to its end has released its connection already. `async with` would release it again,
        # which takes a fiftieth of the time of reading an account.
        if not response.closed:
            response.release()
            await response.wait_for_close()


async def _read_body(content: aiohttp.StreamReader) -> bytes:
    chunk = await content.readany()
    # Most bodies have arrived whole by now, and need no copy.
    if content.at_eof() and len(chunk) <= MAX_RESPONSE_BODY:
        return chunk
    body = bytearray(chunk)
    await _read_up_to(MAX_RESPONSE_BODY, body, content)
    if len(body) > MAX_RESPONSE_BODY:
        raise BodyTooLargeError(f"the body is larger than {MAX_RESPONSE_BODY} bytes")
    return bytes(body)


async def _read_up_to(limit: int, body: bytearray, content: aiohttp.StreamReader) -> None:
    """Append to the body until its end, or until it is longer than the limit; BodyTooLargeError for too many chunks."""
    chunks = 0
    while len(body) <= limit:
        data, ends_chunk = await content.readchunk()
        if not (data or ends_chunk):
            return
        body += data
        chunks += ends_chunk
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


def transport_error(
    error: BaseException, *, account: str, provider: str, secrets: Iterable[str] | Secrets = ()
) -> ProviderError | None:
    """Return the error that an exception of `send`, or of aiohttp in an adapter, stands for; None for any other.

    What `raise_for_status` raises becomes the error of its status, as if the adapter had returned the response.
    An exception of aiohttp's, or of the sockets below it, becomes the cause, without the headers of the request: they
    are credentials. One that quotes one of the secrets, because the server sent it back, is dropped.
    """
    if isinstance(error, BodyTooLargeError | TooManyHeadsError):
        hint = HINTS[MalformedResponseError]
        status = HTTPStatus.OK.value if isinstance(error, BodyTooLargeError) else None
        return MalformedResponseError(str(error), account=account, provider=provider, status=status, hint=hint)
    kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), None)
    if kind is None:
        return None
    response, is_partial_head = _response_of(error), _is_partial_head(error)
    is_of_proxy = response is None and _is_of_broken_proxy(error)
    sanitize_exception(error)
    if is_partial_head:
        # The head may hold what the server, or a proxy, was sent.
        cast("aiohttp.ServerDisconnectedError", error).message = ""
        error.args = ()
    if response is not None:
        detail = ErrorDetail(None, redact(str(getattr(error, "message", "")), secrets))
        failure = error_of(response, detail, account=account, provider=provider, now=time.time())
    else:
        hint = HINTS[kind]
        reason = "the connection ended in the head of the response" if is_partial_head else str(error)
        if is_of_proxy:
            reason = "the proxy was asked for a tunnel, and did not respond as one"
        elif any(isinstance(link, LineTooLong) for link in walk_exception_chain(error)):
            reason, hint = "the response has a header that is too long", LONG_HEAD_HINT
        message = excerpt(f"{type(error).__name__}: {redact(reason, secrets)}".rstrip(": "))
        failure = kind(message, account=account, provider=provider, hint=hint)
    # The password of a proxy is not among the secrets.
    failure.__cause__ = None if is_of_proxy or quotes_any(secrets, error) else error
    return failure
