"""The one place where requests are sent, and where what aiohttp raises becomes an error of ours."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from balancekit.errors import ProviderError, ProviderTimeoutError, TransportError
from balancekit.http.messages import MAX_ERROR_BODY, Request, Response, excerpt
from balancekit.http.redaction import redact, sanitize_exception, walk_exception_chain
from balancekit.version import __version__

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

MAX_RESPONSE_BODY: Final = 10 * 2**20
"""How many bytes of a body, decompressed, are read before it is refused."""

_NO_CONTENT_TYPE: Final = ("Content-Type",)

_ERROR_BODY_SECONDS: Final = 1.0
"""How long an error's body is waited for once its head is there."""

USER_AGENT: Final = f"balancekit/{__version__}"

_HINTS: Final = MappingProxyType(
    {
        TransportError: "Check base_url and the network; if both are right, try again later",
        ProviderTimeoutError: "The provider is slow or out of reach. Try again later",
    }
)

# Most specific first. A test fails if aiohttp has a client error that is under none of them.
_ERRORS: Final[tuple[tuple[type[BaseException], type[ProviderError]], ...]] = (
    (TimeoutError, ProviderTimeoutError),
    (aiohttp.ClientError, TransportError),
    (HttpProcessingError, TransportError),
    (OSError, TransportError),
)


class BodyTooLargeError(ValueError):
    """The body of an answer is larger than `MAX_RESPONSE_BODY`."""


class Connector(aiohttp.TCPConnector):
    """A pool that gives out no connection on which the server has sent unsolicited data.

    aiohttp looks at a connection when it comes back to the pool, but not when it leaves it, and would take what has
    come in between for the answer of the next request, and that answer for the one after: with several accounts on a
    host, the balances of one for those of another.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list["Trace"],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> aiohttp.connector.Connection:
        """Take a connection from the pool or open one; ServerDisconnectedError if it cannot be trusted."""
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        if protocol is not None and protocol.should_close:
            connection.close()
            raise aiohttp.ServerDisconnectedError("the server sent unsolicited data")
        return connection


class ClearTextProxyError(ValueError):
    """The environment names a proxy for a request that is not encrypted."""


def _is_proxied(url: URL) -> bool:
    # For URLs without TLS alone: those are of loopback, where nobody means to use a proxy.
    return "http" in getproxies() and not proxy_bypass(url.host or "")


async def send(session: aiohttp.ClientSession, request: Request) -> Response:
    """Send a request exactly as it is and read the whole answer.

    Raises BodyTooLargeError, and whatever aiohttp raises; see `transport_error`.
    """
    # Already encoded: the path that was signed is the path that is sent.
    url = URL(request.url, encoded=True)
    if session.trust_env and url.scheme == "http" and _is_proxied(url):
        raise ClearTextProxyError("http:// through a proxy would send credentials in the clear")
    headers = {"User-Agent": USER_AGENT, **request.headers}
    # A session that is lent may leave bodies as they come; then they must come as they are.
    if not session.auto_decompress:
        headers.setdefault("Accept-Encoding", "identity")
    answer = await session.request(
        request.method,
        url,
        headers=headers,
        # Skipping what is there anyway costs aiohttp two more copies of the headers.
        skip_auto_headers=None if "Content-Type" in request.headers else _NO_CONTENT_TYPE,
        data=request.body or None,
        # aiohttp would carry the credentials to wherever a redirect points.
        allow_redirects=False,
        # A session that is lent may say otherwise; the provider's own words stand in the body of an error.
        raise_for_status=False,
    )
    try:
        if answer.status == HTTPStatus.OK:
            return Response(answer.status, answer.headers, await _read(answer.content))
        body = bytearray()
        # A refusal is a refusal, even if its words did not arrive whole, or not at all.
        with suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                await _read_into(body, answer.content, MAX_ERROR_BODY)
        return Response(answer.status, answer.headers, bytes(body[:MAX_ERROR_BODY]))
    finally:
        # An answer that was read to its end has given its connection back. `async with` would do all this again, for a
        # fiftieth of the time of reading an account.
        if not answer.closed:
            answer.release()
            await answer.wait_for_close()


async def _read(content: aiohttp.StreamReader) -> bytes:
    chunk = await content.readany()
    # Most bodies have come whole by now, and need no copy.
    if content.at_eof() and len(chunk) <= MAX_RESPONSE_BODY:
        return chunk
    body = bytearray(chunk)
    await _read_into(body, content, MAX_RESPONSE_BODY)
    if len(body) > MAX_RESPONSE_BODY:
        raise BodyTooLargeError(f"the body is larger than {MAX_RESPONSE_BODY} bytes")
    return bytes(body)


async def _read_into(body: bytearray, content: aiohttp.StreamReader, limit: int) -> None:
    """Read to the end, or a little beyond the limit."""
    while len(body) <= limit and (chunk := await content.readany()):
        body += chunk


def is_lost_keepalive(error: BaseException) -> bool:
    """Whether a request ended with its connection before any of the answer came.

    That is what becomes of a request on a connection that was kept alive and closed by the server in the meantime;
    aiohttp itself tries again only for methods that are idempotent by name.
    """
    cause = error.__cause__
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return not _is_partial_head(cause)
    return isinstance(cause, aiohttp.ClientOSError) and not isinstance(cause, aiohttp.ClientConnectorError)


def _is_partial_head(error: BaseException) -> bool:
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(getattr(error, "message", ""), str)


def transport_error(
    error: BaseException, *, account: str, provider: str, secrets: Collection[str] = ()
) -> ProviderError | None:
    """Return what an exception of aiohttp's, or of the sockets below it, means here; None if it is neither.

    The exception becomes the cause, without what it holds of the request: its headers are credentials. An exception
    that quotes one of the secrets, because the server sent it back, is dropped.
    """
    kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), None)
    if kind is None:
        return None
    said: object = error
    if _is_partial_head(error):
        # It holds what had come, as an object of aiohttp's parser.
        said = "the connection ended in the head of the answer"
    message = excerpt(redact(f"{type(error).__name__}: {said}".rstrip(": "), secrets))
    translated = kind(message, account=account, provider=provider, hint=_HINTS.get(kind))
    sanitize_exception(error)
    quoted = any(
        secret in f"{link} {link!r} {vars(link)!r}" for secret in secrets for link in walk_exception_chain(error)
    )
    translated.__cause__ = None if quoted else error
    return translated
