"""Sending requests, over real connections on loopback."""

import gc
import gzip
import weakref

import aiohttp
import pytest
from yarl import URL

from balancekit import Request, TransportError
from balancekit.http.sessions import stand_in_for
from balancekit.http.transport import USER_AGENT, LostKeepaliveError, is_lost_keepalive, send, transport_error
from tests.http.conftest import CANARY, failure_of
from tests.support.loopback_origin import OK, headers_of, raw_response
from tests.support.thread_server import ThreadServer


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


@pytest.mark.parametrize("body", [b"EUR,1\n", b"1000", b'{"EUR": "1"}\n{"USD": "2"}\n', b'[{"EUR": "1"', b""])
@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip"])
async def test_a_body_that_may_have_been_cut_is_refused(session, origin, head, body):
    """Where its end is that of the connection alone, a part of lines, or of a number, would pass for all of it."""
    origin.response = f"{head}\r\n\r\n".encode() + body

    with pytest.raises(aiohttp.ClientPayloadError, match="nothing shows whether the body is complete"):
        await send(session, Request("GET", origin.url))
    with pytest.raises(aiohttp.ClientPayloadError, match="nothing shows whether the body is complete"):
        await (await stand_in_for(session).get(origin.url)).read()


async def test_what_may_have_been_cut_is_said_in_words_that_are_shown(session, origin):
    """Although a message of aiohttp is shown as far as it looks like words."""
    origin.response = b"HTTP/1.0 200 OK\r\n\r\nEUR,1\n"

    failure = await failure_of(session, origin.url)

    words = "ClientPayloadError: nothing shows whether the body is complete: it came without a length or chunks"
    assert failure.message == words


@pytest.mark.parametrize("status", [204, 304])
async def test_a_response_that_has_no_body_is_whole(session, origin, status):
    """Such as that to a login."""
    origin.response = f"HTTP/1.1 {status} Reason\r\n\r\n".encode()

    assert await (await stand_in_for(session).post(origin.url)).read() == b""
    assert await (await stand_in_for(session).head(origin.url)).read() == b""


@pytest.mark.parametrize("body", [b' {"EUR": "1"}\n', b"[1]", b"<html>Not here</html>", b'\xef\xbb\xbf{"EUR": "1"}'])
async def test_a_body_that_shows_its_own_end_needs_no_length(session, origin, body):
    """Such as that of a server that speaks HTTP/1.0."""
    origin.response = b"HTTP/1.0 200 OK\r\n\r\n" + body

    assert (await send(session, Request("GET", origin.url))).body == body
    assert await (await stand_in_for(session).get(origin.url)).read() == body
