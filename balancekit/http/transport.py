"""Sending a request and reading its response; what aiohttp raises on the way becomes an error of balancekit."""

import time
from http import HTTPStatus
from typing import Final, cast

import aiohttp
from aiohttp.hdrs import METH_CONNECT
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError, LineTooLong
from yarl import URL

from balancekit.errors import MalformedResponseError, ProviderError, ProviderTimeoutError, TransportError
from balancekit.http.bodies import BodyTooLargeError, read_body, read_error_body
from balancekit.http.connections import ProxyAddressError, TooManyHeadsError, is_reused_connection
from balancekit.http.content_encoding import ACCEPTED_ENCODINGS, EncodingError, UnsupportedEncodingError
from balancekit.http.error_responses import ErrorDetail, error_of
from balancekit.http.hints import ENCODING_HINT, HINTS, LONG_HEAD_HINT, PROXY_HINT, PROXY_LOGIN_HINT, UNSENT_HINT
from balancekit.http.known_secrets import secrets_of
from balancekit.http.messages import OK, Request, Response, excerpt
from balancekit.http.quotations import NO_SECRETS, Secrets
from balancekit.http.redaction import clean, sanitize_exception, walk_exception_chain
from balancekit.http.sessions import sender_over
from balancekit.version import __version__

USER_AGENT: Final = f"balancekit/{__version__}"

_DISCONNECTIONS: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)

_PARTIAL_HEAD: Final = "the connection ended in the head of the response"

_NO_CONTENT_TYPE: Final = ("Content-Type",)

# Most specific first. A test fails if aiohttp has a client error that is under none of them.
_ERRORS: Final[tuple[tuple[type[BaseException], type[ProviderError]], ...]] = (
    (TimeoutError, ProviderTimeoutError),
    (aiohttp.ClientError, TransportError),
    (HttpProcessingError, TransportError),
    (EncodingError, TransportError),
    (OSError, TransportError),
)


class LostKeepaliveError(aiohttp.ServerDisconnectedError):
    """A connection that had carried a request before ended before any of the response to this one came.

    That happens to a request on a kept-alive connection that the server has just closed.
    """


async def send(session: aiohttp.ClientSession, request: Request) -> Response:
    """Send a request exactly as it is over the connections of a session, and read the whole response.

    Of the session, its proxy is used for requests over TLS, and its tracing; nothing that it would add to a request.
    Raises BodyTooLargeError, TooManyHeadsError, and whatever aiohttp raises; see `transport_error`.
    """
    # Already encoded: the path that was signed is the path that is sent.
    url = URL(request.url, encoded=True)
    sender = sender_over(session)
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
        read = read_body if response.status == OK else read_error_body
        return Response(response.status, response.headers, await read(response))
    finally:
        # A response that was read to its end has released its connection already. `async with` would release it again,
        # which takes a fiftieth of the time of reading an account.
        if not response.closed:
            response.release()
            await response.wait_for_close()


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
        # Only where an adapter sends over a session of its own: aiohttp decodes there, and loses the status.
        reason, hint = f"the response is encoded in another way than asked for: {error.message}", ENCODING_HINT
    elif isinstance(error, aiohttp.ClientResponseError) and isinstance(error.__cause__, HttpProcessingError):
        # Not by the status that aiohttp gives it, which nobody has sent.
        reason = f"the response is no HTTP: {error.message}"
    elif isinstance(error, aiohttp.ClientPayloadError) and isinstance(error.__cause__, HttpProcessingError):
        # The status in this message is also aiohttp's own, and was never sent.
        reason = f"the body is not complete: {error.__cause__.message}"
    return reason, hint


def transport_error(
    error: BaseException, *, account: str, provider: str, secrets: Secrets = NO_SECRETS
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
        detail = ErrorDetail(None, secrets.redact(str(getattr(error, "message", ""))))
        failure = error_of(response, detail, account=account, provider=provider, now=time.time())
    else:
        reason, hint = _explain(error, HINTS[kind])
        message = excerpt(f"{type(error).__name__}: {secrets.redact(reason)}".rstrip(": "))
        failure = kind(message, account=account, provider=provider, hint=hint)
        if hint in {PROXY_LOGIN_HINT, ENCODING_HINT}:
            # The next request would take the same password there, and be responded to alike; that may be a 429.
            failure.retryable = False
    # The password of a proxy is not among the secrets.
    failure.__cause__ = None if is_of_proxy else clean(error, secrets)
    if failure.__cause__ is None and isinstance(error, LostKeepaliveError):
        failure.__cause__ = LostKeepaliveError()
    return failure


def unsent_error(raised: BaseException, *, account: str, provider: str) -> TransportError:
    """Return the error that an exception of `send` stands for that is none of aiohttp's: a request was not sent.

    Such as a closed session or a header that cannot be written: trying again would change nothing.
    """
    problem = f"{type(raised).__name__} while sending the request"
    return TransportError(problem, account=account, provider=provider, retryable=False, hint=UNSENT_HINT)


def describe_failure(error: BaseException, request: Request) -> str | None:
    """Return what an exception of aiohttp says without what it quotes of the request; None for any other."""
    failure = transport_error(error, account="", provider="", secrets=secrets_of(None, request))
    return None if failure is None else failure.message
