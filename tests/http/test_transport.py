"""Sending requests, over real connections on loopback."""

import asyncio
import base64
import contextlib
import gc
import gzip
import socket
import tracemalloc
import weakref

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
from balancekit.http.transport import (
    MAX_RESPONSE_BODY,
    USER_AGENT,
    BodyTooLargeError,
    LostKeepaliveError,
    is_lost_keepalive,
    send,
    transport_error,
)
from tests.support.loopback_origin import OK, LoopbackOrigin, headers_of, raw_response
from tests.support.thread_server import ThreadServer

CANARY = "canary-3f9a"
PROXY_PASSWORD = "hunter-2pw-71"
INFO = aiohttp.RequestInfo(
    URL("https://pay.example"), "POST", CIMultiDictProxy(CIMultiDict({"X-Key": CANARY})), URL("https://pay.example")
)

EXCEPTIONS = [kind for kind in vars(client_exceptions).values() if isinstance(kind, type)]
EXCEPTIONS = [kind for kind in EXCEPTIONS if issubclass(kind, Exception) and "aiohttp" in kind.__module__]
PARSER_ERRORS = [kind for kind in vars(http_exceptions).values() if isinstance(kind, type)]
PARSER_ERRORS = [kind for kind in PARSER_ERRORS if kind.__module__ == http_exceptions.__name__]


@pytest.fixture
async def start_origin():
    """Start servers that end with the test."""
    origins = []

    async def start():
        origin = LoopbackOrigin()
        await origin.start()
        origins.append(origin)
        return origin

    yield start

    for origin in origins:
        origin.server.close()


@pytest.fixture
async def origin(start_origin):
    """Start a server."""
    return await start_origin()


@pytest.fixture
async def session():
    """Open a session with aiohttp's defaults."""
    async with aiohttp.ClientSession() as session:
        yield session


async def failure_of(session, url):
    """Send a request whose headers and body are secrets, and return what its failure becomes."""
    request = Request("POST", url, {"X-Key": CANARY, "Cookie": f"c={CANARY}"}, CANARY.encode())
    try:
        response = await send(session, request)
    except Exception as error:  # noqa: BLE001 - whatever aiohttp raises is what is looked at
        return transport_error(error, account="shop", provider="fake", secrets={CANARY})
    pytest.fail(f"there was a response: {response}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(session, origin, start_origin, status):
    """Credentials go to the configured origin alone, wherever its response points."""
    other = await start_origin()
    origin.response = raw_response(status, b"moved", f"Location: {other.url}/stolen")

    response = await send(session, Request("POST", origin.url, {"X-Key": CANARY}, b"{}"))

    assert (response.status, response.body) == (status, b"moved")
    assert len(origin.requests) == 1
    assert other.requests == []


async def test_a_request_is_sent_as_it_is(session, origin):
    """Method, path, headers and body are on the wire as they were signed."""
    headers = {"X-Signature": "abc=", "Content-Type": "a/b"}
    request = Request("POST", f"{origin.url}/a%2Fb/%C3%A9?q=%20x", headers, b"{ }")

    response = await send(session, request)

    (sent,) = origin.requests
    assert sent.startswith(b"POST /a%2Fb/%C3%A9?q=%20x HTTP/1.1\r\n")
    assert sent.endswith(b"\r\n\r\n{ }")
    assert headers_of(sent).getall("Content-Type") == ["a/b"]
    assert headers_of(sent)["X-Signature"] == "abc="
    assert response.body == b"{}"


async def test_a_request_without_a_body_has_a_length_of_zero(session, origin):
    """It has no content type either, which would belong to a body."""
    await send(session, Request("POST", f"{origin.url}/x"))

    headers = headers_of(origin.requests[0])
    assert headers.getall("Content-Length") == ["0"]
    assert "Content-Type" not in headers
    assert "Transfer-Encoding" not in headers


async def test_the_user_agent_names_the_library_and_its_version(session, origin):
    """A provider can see which client sent a request."""
    await send(session, Request("POST", origin.url))

    assert headers_of(origin.requests[0]).getall("User-Agent") == [USER_AGENT]
    assert USER_AGENT.startswith("balancekit/")


async def test_a_lent_session_that_raises_for_status_changes_nothing(origin):
    """The provider's code and message are in the body of an error response, so it is read all the same."""
    origin.response = raw_response(403, b"no")

    async with aiohttp.ClientSession(raise_for_status=True) as session:
        response = await send(session, Request("POST", origin.url))

    assert (response.status, response.body) == (403, b"no")


async def test_a_lent_session_that_does_not_decompress_changes_nothing(origin):
    """How bodies are read is not taken from the session."""
    origin.response = raw_response(200, gzip.compress(b'{"data": []}'), "Content-Encoding: gzip")

    async with aiohttp.ClientSession(auto_decompress=False) as session:
        response = await send(session, Request("POST", origin.url))

    assert response.body == b'{"data": []}'


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("has_auth", [False, True], ids=["without auth", "with auth"])
async def test_nothing_of_a_lent_session_is_added_to_a_request(session, origin, tmp_path, monkeypatch, has_auth):
    """Neither its cookies, headers, authentication and middlewares, nor a login from `.netrc`, reach a provider."""
    (tmp_path / ".netrc").write_text(f"default login {CANARY} password {CANARY}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    async def add_a_header(request, handler):
        request.headers["X-Middleware"] = CANARY
        return await handler(request)

    request = Request("POST", origin.url, {"X-Key": "key"}, b"{}")
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies({"c": CANARY}, URL(origin.url))
    lent = aiohttp.ClientSession(
        # It cannot have both: aiohttp refuses the first request.
        headers={"X-Default": CANARY, "X-Key": CANARY, "User-Agent": CANARY}
        | ({} if has_auth else {"Authorization": CANARY}),
        auth=aiohttp.BasicAuth("user", CANARY) if has_auth else None,
        cookie_jar=jar,
        middlewares=[add_a_header],
        trust_env=True,
        skip_auto_headers=["Host"],
    )

    async with lent:
        await send(lent, request)
    await send(session, request)

    of_lent, of_plain = (headers_of(sent) for sent in origin.requests)
    assert of_lent == of_plain
    assert CANARY.encode() not in b"".join(origin.requests)


async def test_no_proxy_sees_a_request_that_is_not_encrypted(start_origin, monkeypatch):
    """Neither the proxy of a lent session, nor one of the environment, is used for `http://`."""
    origin, proxy = await start_origin(), await start_origin()
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)

    for settings in ({"proxy": proxy.url}, {"trust_env": True}):
        async with aiohttp.ClientSession(**settings) as session:
            response = await send(session, Request("POST", origin.url))
        assert response.status == 200

    assert len(origin.requests) == 2
    assert proxy.requests == []


@pytest.mark.parametrize("scheme", ["http://", ""], ids=["with scheme", "without"])
@pytest.mark.parametrize("given", ["session", "environment"])
async def test_the_proxy_of_a_session_is_used_over_tls(start_origin, monkeypatch, given, scheme):
    """It is asked for a tunnel, and sees nothing of the request itself."""
    proxy = await start_origin()
    proxy.response = raw_response(502)
    address = proxy.url.rstrip("/").removeprefix("http://")
    monkeypatch.delenv("no_proxy", raising=False)
    if given == "environment":
        monkeypatch.setenv("https_proxy", scheme + address)
        settings = {"trust_env": True}
    else:
        settings = {"proxy": f"http://{address}"}

    async with aiohttp.ClientSession(**settings) as session:
        with pytest.raises(aiohttp.ClientHttpProxyError):
            await send(session, Request("POST", "https://api.example", {"X-Key": CANARY}))

    (asked,) = proxy.requests
    assert asked.startswith(b"CONNECT api.example:443 ")
    assert CANARY.encode() not in asked


async def test_a_host_without_a_proxy_is_reached_without_one(start_origin, monkeypatch):
    """`no_proxy` is obeyed."""
    proxy = await start_origin()
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "localhost")

    async with aiohttp.ClientSession(trust_env=True) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await send(session, Request("POST", "https://localhost:9"))

    assert proxy.requests == []


async def test_a_session_that_is_closed_is_not_used(origin):
    """Even if its connections are somebody else's, and open."""
    async with aiohttp.TCPConnector() as connector:
        session = aiohttp.ClientSession(connector=connector, connector_owner=False)
        await send(session, Request("POST", origin.url))
        await session.close()
        with pytest.raises(RuntimeError, match="closed"):
            await send(session, Request("POST", origin.url))


async def test_a_session_that_is_dropped_is_not_reported(origin):
    """Nothing of ours keeps it alive, or warns that it was not closed."""
    async with aiohttp.TCPConnector() as connector:
        session = aiohttp.ClientSession(connector=connector, connector_owner=False)
        await send(session, Request("POST", origin.url))
        session.detach()
        watched = weakref.ref(session)
        del session
        gc.collect()

        assert watched() is None


async def test_headers_of_a_response_are_kept(session, origin):
    """`Retry-After` and `Date` are needed later."""
    origin.response = raw_response(429, b"", "retry-after: 5", "Date: Thu, 01 Jan 2026 00:00:00 GMT")

    response = await send(session, Request("POST", origin.url))

    assert response.headers["Retry-After"] == "5"
    assert response.headers["date"] == "Thu, 01 Jan 2026 00:00:00 GMT"


async def test_a_compressed_body_is_read(session, origin):
    """A proxy may compress a response."""
    origin.response = raw_response(200, gzip.compress(b'{"data": []}'), "Content-Encoding: gzip")

    response = await send(session, Request("POST", origin.url))

    assert response.body == b'{"data": []}'


async def test_a_body_of_the_greatest_size_is_read(session, origin):
    """The limit itself is within the limit."""
    origin.response = raw_response(200, b" " * MAX_RESPONSE_BODY)

    response = await send(session, Request("POST", origin.url))

    assert len(response.body) == MAX_RESPONSE_BODY


@pytest.mark.parametrize("encode", [bytes, gzip.compress], ids=["plain", "compressed"])
async def test_a_body_over_the_limit_is_refused(session, origin, encode):
    """The limit counts decompressed bytes, so that a small response cannot fill the memory."""
    encoding = "X-Plain: yes" if encode is bytes else "Content-Encoding: gzip"
    origin.response = raw_response(200, encode(b" " * (MAX_RESPONSE_BODY + 1)), encoding)

    with pytest.raises(BodyTooLargeError, match="larger than 10485760 bytes"):
        await send(session, Request("POST", origin.url))


async def test_a_body_of_too_many_chunks_is_refused(session, origin):
    """Each takes the event loop as long as hundreds of bytes, however few are in it."""
    origin.response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200_000

    with pytest.raises(BodyTooLargeError, match="more than 100000 chunks"):
        await send(session, Request("POST", origin.url))


async def test_an_error_response_of_too_many_chunks_keeps_its_status(session, origin):
    """What is read of its body ends long before."""
    origin.response = b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200_000

    assert (await send(session, Request("POST", origin.url))).status == 503


async def test_a_body_in_many_chunks_is_read(session, origin):
    """Servers that write JSON by tokens send each in a chunk."""
    origin.response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\n1,\r\n" * 90_000 + b"0\r\n\r\n"

    assert (await send(session, Request("POST", origin.url))).body == b"1," * 90_000


async def test_informational_responses_come_before_the_response(session, origin):
    """A few are read over, as HTTP wants it."""
    origin.response = b"HTTP/1.1 102 Processing\r\n\r\n" * 20 + OK

    assert (await send(session, Request("POST", origin.url))).body == b"{}"


async def test_informational_responses_for_ever_are_refused(session, origin):
    """They would keep the event loop busy until the attempt's timeout; another attempt would read the same."""
    origin.response = b"HTTP/1.1 102 Processing\r\n\r\n" * 21 + OK

    failure = await failure_of(session, origin.url)

    assert type(failure) is MalformedResponseError
    assert failure.message == "more than 20 informational responses came before the response"
    assert (failure.status, failure.retryable) == (None, False)


@pytest.mark.parametrize("status", [200, 503])
async def test_a_decompression_bomb_takes_little_memory(session, origin, status):
    """64 KiB that would be 64 MiB are never inflated beyond the limit; aiohttp before 3.14.1 inflates all at once."""
    bomb = gzip.compress(bytes(64 * 2**20))
    origin.response = raw_response(status, bomb, "Content-Encoding: gzip")

    tracemalloc.start()
    try:
        with contextlib.suppress(BodyTooLargeError):
            await send(session, Request("POST", origin.url))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(bomb) < 2**16
    assert peak < 2 * MAX_RESPONSE_BODY


@pytest.mark.parametrize("encode", [bytes, gzip.compress], ids=["plain", "compressed"])
async def test_a_long_body_of_an_error_response_is_cut(session, origin, encode):
    """No message shows more than its start, and the status alone makes the error."""
    encoding = "X-Plain: yes" if encode is bytes else "Content-Encoding: gzip"
    origin.response = raw_response(503, encode(b"down " * 4 * 2**20), encoding)

    response = await send(session, Request("POST", origin.url))

    assert response.status == 503
    assert response.body.startswith(b"down down ")
    assert len(response.body) <= 2**16


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 403 Forbidden\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["truncated", "not gzip"],
)
async def test_an_error_response_whose_body_is_broken_keeps_its_status(session, origin, broken):
    """That the credentials are refused is known before the body, and must not look like a lost connection."""
    origin.response = broken

    response = await send(session, Request("POST", origin.url))

    assert response.status == 403


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


async def test_a_password_of_a_proxy_is_not_shown(everything_shown_by):
    """A lent session may go through a proxy, whose password is a secret too."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://user:{CANARY}@127.0.0.1:{unused.getsockname()[1]}"
        async with aiohttp.ClientSession(proxy=proxy) as session:
            failure = await failure_of(session, "https://127.0.0.1:9")

    assert failure.message.startswith("ClientProxyConnectionError: ")
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

    failure = transport_error(error, account="shop", provider="fake", secrets={CANARY})

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


def test_the_response_of_a_proxy_is_not_the_providers():
    """A proxy that wants a password says nothing about the account."""
    error = aiohttp.ClientHttpProxyError(INFO, (), status=407, message="Proxy Authentication Required")

    failure = transport_error(error, account="shop", provider="fake")

    assert type(failure) is TransportError
    assert failure.status is None


async def test_a_header_that_is_too_long_is_named(session, origin):
    """A policy of 9 KB is more than aiohttp reads; the message shows none of it, and the hint says where to look."""
    origin.response = b"HTTP/1.1 200 OK\r\nContent-Security-Policy: " + b"x" * 9000 + b"\r\n\r\n"

    failure = await failure_of(session, origin.url)

    assert type(failure) is TransportError
    assert failure.message == "ClientResponseError: the response has a header that is too long"
    assert "have the long one shortened" in failure.hint
    assert failure.status is None


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


def is_first(request):
    """Whether a request is the first on its connection."""
    return b"/first" in request


def is_later(request):
    """Whether a request is not the first on its connection."""
    return not is_first(request)


async def test_a_kept_alive_connection_is_lost_if_it_ends_before_the_response(session):
    """Sending the request again is safe then: the server had closed an idle connection."""
    with ThreadServer(lambda request: OK if is_first(request) else b"", ends=is_later) as server:
        await send(session, Request("POST", f"{server.url}/first"))
        failure = await failure_of(session, server.url)

    assert type(failure) is TransportError
    assert failure.message == "LostKeepaliveError: Server disconnected"
    assert is_lost_keepalive(failure)


def test_a_lost_connection_is_one_whatever_its_reason_says():
    """A reason with more than words and numbers is dropped, and the request is sent again all the same."""
    error = LostKeepaliveError(f"lost: https://pay.example/?key={CANARY}")

    failure = transport_error(error, account="shop", provider="fake")

    assert failure.__cause__ is not error
    assert is_lost_keepalive(failure)


@pytest.mark.parametrize("response", [b"", b"HTTP/1.1 200 OK\r\nX-Some"], ids=["reset", "within the head"])
async def test_a_new_connection_that_ends_is_no_lost_keepalive(session, origin, response):
    """The server has closed it because of the request, and would do so again."""
    origin.response = response

    assert not is_lost_keepalive(await failure_of(session, origin.url))


@pytest.mark.parametrize(
    "response", [b"HTTP/1.1 200 OK\r\nX-Some", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], ids=["head", "body"]
)
async def test_a_response_that_is_cut_is_no_lost_keepalive(session, response):
    """The server has begun to respond to the request."""
    with ThreadServer(lambda request: OK if is_first(request) else response, ends=is_later) as server:
        await send(session, Request("POST", f"{server.url}/first"))
        failure = await failure_of(session, server.url)

    assert not is_lost_keepalive(failure)


async def test_no_request_is_sent_twice(session, origin):
    """Aiohttp would repeat a GET by itself, for which there is no permit."""
    origin.response = b""

    with pytest.raises(aiohttp.ClientError):
        await send(session, Request("GET", origin.url))

    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://user:{secret}@{host}", "user:{secret}@{host}", "user:{secret}@{host}x", "http://user:{secret}@",
        "http://user:{secret}@[{host}",
    ],
    ids=["with scheme", "without", "no port", "no host", "no URL"],
)  # fmt: skip
@pytest.mark.parametrize("given", ["session", "environment"])
@pytest.mark.parametrize("echo", [b"", base64.b64encode(f"user:{PROXY_PASSWORD}".encode())], ids=["refused", "echoed"])
async def test_the_password_of_a_proxy_is_in_no_error(
    start_origin, monkeypatch, everything_shown_by, address, given, echo
):
    """Whatever is wrong with the address, and whatever the proxy sends back of the request."""
    proxy = await start_origin()
    proxy.response = b"HTTP/1.1 407 Basic " + echo + b"\r\nX-Echo: " + echo + b"\r\nContent-Length: 0\r\n\r\n"
    text = address.format(secret=PROXY_PASSWORD, host=proxy.url.rstrip("/").removeprefix("http://"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("https_proxy", text if given == "environment" else "")

    async with aiohttp.ClientSession(trust_env=given == "environment") as session:
        if given == "session":
            # The constructor takes whatever it is given.
            session._default_proxy = text
        failure = await failure_of(session, "https://127.0.0.1:9")

    shown = everything_shown_by(failure)
    assert type(failure) is TransportError
    assert PROXY_PASSWORD not in shown
    assert base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode() not in shown


@pytest.mark.parametrize(
    "response",
    [
        "HTTP/9 {echo}\r\n{echo}\r\n\r\n",
        "HTTP/1.1 403 No\r\n{echo}: bad credentials\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: {echo}\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Echo: {echo}\r\nX-Cut",
        "HTTP/1.1 200 OK\r\n\r\n{echo}",
        "HTTP/1.1 200 OK\r\nX: " + "{echo}" * 300 + "\r\n\r\n",
    ],
    ids=["no http", "header name", "header", "cut", "no tls", "long header"],
)
async def test_nothing_that_a_proxy_sends_is_quoted(start_origin, everything_shown_by, response):
    """It may send the password back, also in what is no HTTP, before there is a tunnel to the provider."""
    echo = base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode()
    proxy = await start_origin()
    proxy.response = response.format(echo=echo).encode()

    async with aiohttp.ClientSession(proxy=proxy.url.replace("://", f"://user:{PROXY_PASSWORD}@")) as session:
        failure = await failure_of(session, "https://api.example")

    assert headers_of(proxy.requests[0])["Proxy-Authorization"] == f"Basic {echo}"
    assert type(failure) is TransportError
    assert failure.status is None
    assert echo[:8] not in everything_shown_by(failure)


async def test_a_proxy_is_sent_its_user_and_password(start_origin):
    """They are in the address that the session was given, and go to the proxy alone."""
    proxy = await start_origin()
    proxy.response = raw_response(502)

    async with aiohttp.ClientSession(proxy=proxy.url.replace("://", "://user:pass%40word@")) as session:
        await failure_of(session, "https://api.example")

    sent = headers_of(proxy.requests[0])
    assert sent["Proxy-Authorization"] == "Basic " + base64.b64encode(b"user:pass@word").decode()


@pytest.mark.parametrize(
    "password",
    ["4321/{secret}", "4321?{secret}", "4321#{secret}", "{secret}/x", "{secret}#x", "x{secret}é€"],
    ids=["slash", "question mark", "hash", "slash after", "hash after", "euro sign"],
)
async def test_a_password_with_a_bare_mark_is_refused(start_origin, everything_shown_by, password):
    """Its parts would be taken for a host, a port and a path; the hint says how it is written."""
    proxy = await start_origin()
    proxy.response = raw_response(407)
    address = proxy.url.replace("://", f"://user:{password.format(secret=PROXY_PASSWORD)}@")

    async with aiohttp.ClientSession() as session:
        # The constructor takes whatever it is given.
        session._default_proxy = address
        failure = await failure_of(session, "https://api.example")

    assert (type(failure), failure.retryable) == (TransportError, False)
    assert "`%2F` for a slash" in failure.hint
    assert PROXY_PASSWORD[:6] not in everything_shown_by(failure)
    assert "4321" not in everything_shown_by(failure)


@pytest.mark.parametrize(
    ("status", "hint", "retryable"),
    [(407, "Put the user and the password of the proxy", False), (403, "Check the address of the proxy", True)],
)
async def test_a_proxy_that_refuses_is_named(start_origin, status, hint, retryable):
    """The error says that it was the proxy; a wrong password is not sent again."""
    proxy = await start_origin()
    proxy.response = raw_response(status)

    async with aiohttp.ClientSession(proxy=proxy.url) as session:
        failure = await failure_of(session, "https://api.example")

    assert failure.message == f"ClientHttpProxyError: the proxy refused, with status {status}"
    assert failure.hint.startswith(hint)
    assert failure.retryable is retryable


async def test_a_proxy_whose_name_is_unknown_is_named():
    """The name in the message is the proxy's, and the error says so."""
    async with aiohttp.ClientSession(proxy="http://proxy.invalid:3128") as session:
        failure = await failure_of(session, "https://api.example")

    assert failure.message.startswith("ClientProxyConnectionError: Cannot connect to host proxy.invalid:3128 ")
    assert failure.hint.startswith("Check the address of the proxy")
