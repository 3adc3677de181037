"""Proxies: which requests they see, what is sent to them, and what is said of their failures."""

import base64
import socket
import traceback

import aiohttp
import pytest

from balancekit import Request, TransportError
from balancekit.http.sessions import stand_in_for
from balancekit.http.transport import send, transport_error
from tests.http.conftest import CANARY, INFO, failure_of
from tests.support.loopback_origin import headers_of, raw_response

PROXY_PASSWORD = "hunter-2pw-71"


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


async def test_a_password_of_a_proxy_is_not_shown(everything_shown_by):
    """A lent session may go through a proxy, whose password is a secret too."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://user:{CANARY}@127.0.0.1:{unused.getsockname()[1]}"
        async with aiohttp.ClientSession(proxy=proxy) as session:
            failure = await failure_of(session, "https://127.0.0.1:9")

    assert failure.message.startswith("ClientProxyConnectionError: ")
    assert CANARY not in everything_shown_by(failure)


def test_the_response_of_a_proxy_is_not_the_providers():
    """A proxy that wants a password says nothing about the account."""
    error = aiohttp.ClientHttpProxyError(INFO, (), status=407, message="Proxy Authentication Required")

    failure = transport_error(error, account="shop", provider="fake")

    assert type(failure) is TransportError
    assert failure.status is None


@pytest.fixture
def session_with_proxy(monkeypatch):
    """Open a session that has the address of a proxy, with a password, from its constructor or the environment."""

    def make(address, proxy, given):
        text = address.format(secret=PROXY_PASSWORD, host=proxy.url.rstrip("/").removeprefix("http://"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("https_proxy", text if given == "environment" else "")
        session = aiohttp.ClientSession(trust_env=given == "environment")
        if given == "session":
            # The constructor takes whatever it is given.
            session._default_proxy = text
        return session

    return make


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
    start_origin, session_with_proxy, everything_shown_by, address, given, echo
):
    """Whatever is wrong with the address, and whatever the proxy sends back of the request."""
    proxy = await start_origin()
    proxy.response = b"HTTP/1.1 407 Basic " + echo + b"\r\nX-Echo: " + echo + b"\r\nContent-Length: 0\r\n\r\n"

    async with session_with_proxy(address, proxy, given) as session:
        failure = await failure_of(session, "https://127.0.0.1:9")

    shown = everything_shown_by(failure)
    assert type(failure) is TransportError
    assert PROXY_PASSWORD not in shown
    assert base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode() not in shown


@pytest.mark.parametrize(
    "address",
    [
        "http://user:{secret}@{host}",
        "http://user:{secret}@127.0.0.1:1",
        "http://user:{secret}é€@{host}",
        "socks://{secret}",
    ],
    ids=["refused", "down", "euro sign", "no URL"],
)
@pytest.mark.parametrize("given", ["session", "environment"])
async def test_the_password_of_a_proxy_is_in_no_local_variable(start_origin, session_with_proxy, address, given):
    """An adapter without a base class may log what its request raises, and an error tracker collects the frames."""
    proxy = await start_origin()
    proxy.response = raw_response(407)

    async with session_with_proxy(address, proxy, given) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await stand_in_for(session).get("https://127.0.0.1:9")

    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    shown = [repr(value) for frame in frames for value in frame.f_locals.values()]
    assert len(frames) > 1
    for form in (PROXY_PASSWORD, base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode()):
        assert not [text for text in shown if form in text]


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
