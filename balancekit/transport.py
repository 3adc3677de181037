"""The one place where requests are sent, and where what aiohttp raises becomes an error of ours."""

from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import Final, cast

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit.errors import ProviderError, ProviderTimeoutError, TransportError
from balancekit.http import MAX_ERROR_BODY, Request, Response, excerpt, without
from balancekit.version import __version__

MAX_BODY: Final = 10 * 2**20
"""How many bytes of a body, decompressed, are read before it is refused."""

USER_AGENT: Final = f"balancekit/{__version__}"

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict[str]())

# Most specific first. A test fails if aiohttp has a client error that is under none of them.
_ERRORS: Final[tuple[tuple[type[BaseException], type[ProviderError]], ...]] = (
    (TimeoutError, ProviderTimeoutError),
    (aiohttp.ClientError, TransportError),
    (HttpProcessingError, TransportError),
    (OSError, TransportError),
)


class BodyTooLargeError(ValueError):
    """The body of an answer is larger than `MAX_BODY`."""


async def send(session: aiohttp.ClientSession, request: Request) -> Response:
    """Send a request exactly as it is and read the whole answer.

    Raises BodyTooLargeError, and whatever aiohttp raises; see `translate`.
    """
    # A session that is lent may leave bodies as they come; then they must come as they are.
    encoding = {} if session.auto_decompress else {"Accept-Encoding": "identity"}
    async with session.request(
        request.method,
        # Already encoded: the path that was signed is the path that is sent.
        URL(request.url, encoded=True),
        headers={"User-Agent": USER_AGENT, **encoding, **request.headers},
        skip_auto_headers=("Content-Type",),
        data=request.body or None,
        # aiohttp would carry the credentials to wherever a redirect points.
        allow_redirects=False,
        # A session that is lent may say otherwise; the provider's own words stand in the body of an error.
        raise_for_status=False,
    ) as answer:
        succeeded = answer.status == HTTPStatus.OK
        limit = MAX_BODY if succeeded else MAX_ERROR_BODY
        body = bytearray()
        try:
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
        except aiohttp.ClientError:
            # A refusal is a refusal, even if its words did not arrive whole.
            if succeeded:
                raise
        if succeeded and len(body) > limit:
            raise BodyTooLargeError(f"the body is larger than {limit} bytes")
        return Response(answer.status, answer.headers, bytes(body[:limit]))


def translate(
    error: BaseException, *, account: str, provider: str, secrets: Collection[str] = ()
) -> ProviderError | None:
    """Return what an exception of aiohttp's, or of the sockets below it, means here; None if it is neither.

    The exception becomes the cause, without what it holds of the request: its headers are credentials. An exception
    that quotes one of the secrets, because the server sent it back, is dropped.
    """
    kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), None)
    if kind is None:
        return None
    message = excerpt(without(f"{type(error).__name__}: {error}".rstrip(": "), secrets))
    translated = kind(message, account=account, provider=provider)
    disarm(error)
    quoted = any(secret in f"{link} {link!r} {vars(link)!r}" for secret in secrets for link in _chain(error))
    translated.__cause__ = None if quoted else error
    return translated


def disarm(error: BaseException) -> BaseException:
    """Take from an exception, and from those it came from, the frames and request headers that they hold.

    Frames hold the local variables of aiohttp's functions, and error trackers collect them.
    """
    for link in _chain(error):
        link.__traceback__ = None
        if isinstance(link, aiohttp.ClientResponseError):
            bare = aiohttp.RequestInfo(
                link.request_info.url,
                link.request_info.method,
                _NO_HEADERS,
                link.request_info.real_url,
            )
            link.request_info = bare
            link.args = (bare, ())
            link.history = ()
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending = [error]
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [other for other in (link.__cause__, link.__context__) if other is not None]
        if isinstance(link, BaseExceptionGroup):
            pending += cast("BaseExceptionGroup[BaseException]", link).exceptions
