"""What becomes of every exception and broken response: one line, of the right class, that shows no secret."""

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit import (
    AuthenticationError,
    BadRequestError,
    MalformedResponseError,
    ProviderTimeoutError,
    RateLimitedError,
    Request,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)
from balancekit.http.bodies import BodyTooLargeError
from balancekit.http.quotations import Secrets
from balancekit.http.transport import send, transport_error
from tests.http.conftest import CANARY, INFO, failure_of
from tests.support.loopback_origin import headers_of, raw_response

EXCEPTIONS = [kind for kind in vars(client_exceptions).values() if isinstance(kind, type)]
EXCEPTIONS = [kind for kind in EXCEPTIONS if issubclass(kind, Exception) and "aiohttp" in kind.__module__]
PARSER_ERRORS = [kind for kind in vars(http_exceptions).values() if isinstance(kind, type)]
PARSER_ERRORS = [kind for kind in PARSER_ERRORS if kind.__module__ == http_exceptions.__name__]


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["reset", "no http", "no status", "header", "truncated", "length", "chunk", "not gzip", "long header"],
)
async def test_a_broken_response_is_a_transport_error_that_shows_no_secret(
    session, origin, response, everything_shown_by
):
    """Nothing that aiohttp knows of the request is left in the error, its causes and their frames."""
    origin.response = response

    failure = await failure_of(session, origin.url)

    assert type(failure) is TransportError
    assert failure.retryable
    assert CANARY not in everything_shown_by(failure)


@pytest.mark.parametrize(
    "echo",
    [
        f"POST / HTTP/1.1\r\nX-Key: {CANARY}\r\n\r\n{CANARY}",
        f"{CANARY}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nX-Key: {CANARY}\r\nX Bad: 1\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nX-Key: {CANARY}\x00\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nX-Key: {CANARY}\r\nContent-Length: 9\r\n\r\n{{",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n",
    ],
    ids=["request", "bare", "header before", "header itself", "truncated", "chunk"],
)
async def test_a_server_that_echoes_the_request_gives_no_secret_away(session, origin, echo, everything_shown_by):
    """What a broken server sends back of a request does not reach the message by way of aiohttp's."""
    origin.response = echo.encode()

    failure = await failure_of(session, origin.url)

    assert type(failure) is TransportError
    assert CANARY not in everything_shown_by(failure)


async def test_a_response_cut_in_its_head_is_described_in_words(session, origin):
    """The message is for people: it does not show how aiohttp keeps a partial head."""
    origin.response = b"HTTP/1.1 200 OK\r\nX-Some: thing\r\n"

    failure = await failure_of(session, origin.url)

    assert type(failure) is TransportError
    assert failure.message == "ServerDisconnectedError: the connection ended in the head of the response"


async def test_a_refused_connection_is_a_transport_error_that_shows_no_secret(session, everything_shown_by):
    """An origin that does not listen is worth another try, and its error names host and port alone."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        failure = await failure_of(session, url)

    assert type(failure) is TransportError
    assert failure.message.startswith("ClientConnectorError: Cannot connect to host 127.0.0.1:")
    assert CANARY not in everything_shown_by(failure)


async def test_a_server_without_tls_is_a_transport_error_that_shows_no_secret(session, origin, everything_shown_by):
    """An https:// URL is never served in the clear."""
    origin.reads_requests = False

    failure = await failure_of(session, origin.url.replace("http://", "https://"))

    assert type(failure) is TransportError
    assert failure.message.startswith("ClientConnectorSSLError: ")
    assert CANARY not in everything_shown_by(failure)


@pytest.mark.parametrize("kind", [kind for kind in EXCEPTIONS if kind is not aiohttp.WSMessageTypeError])
def test_every_error_of_aiohttps_client_has_its_own_error(kind):
    """A later aiohttp may not have an error that none of the classes stands for."""
    bare = {"__init__": lambda _: None, "__str__": lambda _: "reason", "request_info": INFO}
    error = type(kind.__name__, (kind,), bare)()

    failure = transport_error(error, account="shop", provider="fake")

    assert type(failure) is (ProviderTimeoutError if issubclass(kind, TimeoutError) else TransportError)
    assert failure.message == f"{kind.__name__}: reason"


@pytest.mark.parametrize(
    ("error", "is_kept"),
    [
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), True),
        (aiohttp.ClientConnectionResetError("Cannot write to closing transport"), True),
        (aiohttp.NonHttpUrlClientError(URL("ftp://pay.example/?key=canary-3f9a")), False),
        (aiohttp.InvalidUrlRedirectClientError("ftp://pay.example/?key=canary-3f9a", "bad"), False),
        (aiohttp.InvalidURL("http:///?key=canary-3f9a"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_cause_has_only_words_and_numbers(error, is_kept, everything_shown_by):
    """The credential of a URL need not be known as one: an adapter may have it from the environment."""
    failure = transport_error(error, account="shop", provider="fake")

    assert failure.__cause__ is (error if is_kept else None)
    assert CANARY not in everything_shown_by(failure)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (401, AuthenticationError, False),
        (403, AuthenticationError, False),
        (404, BadRequestError, False),
        (408, BadRequestError, True),
        (429, RateLimitedError, True),
        (503, ServiceUnavailableError, True),
        (302, UnexpectedRedirectError, False),
        (200, MalformedResponseError, False),
    ],
)
def test_what_raise_for_status_raises_is_the_error_of_its_status(status, kind, retryable, everything_shown_by):
    """An adapter that lets aiohttp raise is understood as well as one that returns the response."""
    headers = CIMultiDictProxy(CIMultiDict({"Retry-After": "40"}))
    error = aiohttp.ClientResponseError(INFO, (), status=status, message=f"No\n{CANARY}", headers=headers)

    failure = transport_error(error, account="shop", provider="fake", secrets=Secrets([CANARY]))

    assert type(failure) is kind
    assert (failure.message, failure.status, failure.retry_after) == (f"{status}: No …", status, 40)
    assert failure.retryable is retryable
    assert CANARY not in everything_shown_by(failure)


def test_a_response_in_another_format_than_json_is_malformed():
    """That is what aiohttp raises for the JSON of a page."""
    error = aiohttp.ContentTypeError(INFO, (), status=200, message="unexpected mimetype: text/html")

    failure = transport_error(error, account="shop", provider="fake")

    assert type(failure) is MalformedResponseError
    assert failure.message == "200: unexpected mimetype: text/html"


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (http_exceptions.BadStatusLine("SSH"), "the response is no HTTP: Bad status line"),
        (
            http_exceptions.ContentEncodingError("brotli"),
            "the response is encoded in another way than asked for: brotli",
        ),
    ],
    ids=["no http", "encoding"],
)
def test_a_response_that_aiohttp_cannot_read_has_no_status(cause, reason):
    """The 400 that aiohttp gives it was sent by nobody."""
    error = aiohttp.ClientResponseError(INFO, (), status=400, message=str(cause.message))
    error.__cause__ = cause

    failure = transport_error(error, account="shop", provider="fake")

    assert (type(failure), failure.status) == (TransportError, None)
    assert failure.message.startswith(f"ClientResponseError: {reason}")
    assert "400" not in failure.message


@pytest.mark.parametrize("length", ["Content-Length: 50", "Transfer-Encoding: chunked"])
async def test_a_body_that_is_cut_is_described_in_words(session, origin, length):
    """Neither by the class of an exception, nor by the status that aiohttp gives that."""
    origin.response = f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n20\r\n".encode()

    failure = await failure_of(session, origin.url)

    assert type(failure) is TransportError
    assert failure.message.startswith("ClientPayloadError: the body is not complete: Not enough data to satisfy")
    assert "400" not in failure.message


async def test_a_header_that_is_too_long_is_named(session, origin):
    """A policy of 9 KB is more than aiohttp reads; the message shows none of it, and the hint says where to look."""
    origin.response = b"HTTP/1.1 200 OK\r\nContent-Security-Policy: " + b"x" * 9000 + b"\r\n\r\n"

    failure = await failure_of(session, origin.url)

    assert type(failure) is TransportError
    assert failure.message == "ClientResponseError: the response has a header that is too long"
    assert "have the long one shortened" in failure.hint
    assert failure.status is None


async def test_a_response_that_cannot_be_decoded_is_not_asked_for_again(session, origin):
    """It would be encoded so the next time, too, whatever is installed here; the hint says what to do."""
    origin.response = raw_response(200, b"xxxx", "Content-Encoding: br")

    failure = await failure_of(session, origin.url)

    assert (type(failure), failure.status, failure.retryable) == (TransportError, None, False)
    assert failure.message == "UnsupportedEncodingError: the response is encoded in another way than asked for: br"
    assert "send gzip or none" in failure.hint
    assert headers_of(origin.requests[0]).getall("Accept-Encoding") == ["gzip, deflate"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
async def test_a_status_counts_although_its_body_cannot_be_decoded(session, origin, encoding):
    """A limit is heeded, and its moment with it."""
    origin.response = raw_response(429, b"xxxx", f"Content-Encoding: {encoding}", "Retry-After: 60")

    response = await send(session, Request("POST", origin.url))

    assert (response.status, response.headers["Retry-After"], response.body) == (429, "60", b"")


@pytest.mark.parametrize("kind", PARSER_ERRORS)
def test_every_error_of_aiohttps_parser_has_its_own_error(kind):
    """Reading a body may raise what the parser raises."""
    error = type(kind.__name__, (kind,), {"__init__": lambda _: None, "__str__": lambda _: "reason"})()

    assert type(transport_error(error, account="shop", provider="fake")) is TransportError


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (TimeoutError(), ProviderTimeoutError, "TimeoutError"),
        (aiohttp.ServerTimeoutError("slow"), ProviderTimeoutError, "ServerTimeoutError: slow"),
        (OSError(5, "broken"), TransportError, "OSError: [Errno 5] broken"),
        (ConnectionResetError(), TransportError, "ConnectionResetError"),
        (socket.gaierror(-2, "unknown host"), TransportError, "gaierror: [Errno -2] unknown host"),
        (aiohttp.ServerDisconnectedError(), TransportError, "ServerDisconnectedError: Server disconnected"),
        (aiohttp.ClientPayloadError("two\nlines"), TransportError, "ClientPayloadError: two lines"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_of_a_socket_or_of_aiohttp_becomes_one_line(error, kind, message):
    """It names what happened and to which account, and is worth another try."""
    failure = transport_error(error, account="shop", provider="fake")

    assert type(failure) is kind
    assert failure.message == message
    assert (failure.account, failure.provider, failure.status) == ("shop", "fake", None)
    assert failure.retryable


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), asyncio.CancelledError()], ids=repr)
def test_an_exception_that_sending_does_not_raise_is_no_transport_error(error):
    """A mistake in an adapter is not put down to the network."""
    assert transport_error(error, account="shop", provider="fake") is None


def test_a_body_over_the_limit_is_a_malformed_response():
    """Trying again would read the same body, so it is not retryable."""
    failure = transport_error(BodyTooLargeError("too large"), account="shop", provider="fake")

    assert type(failure) is MalformedResponseError
    assert (failure.message, failure.status, failure.retryable) == ("too large", 200, False)
