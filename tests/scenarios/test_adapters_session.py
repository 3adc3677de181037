"""What an adapter that sends its requests itself is given: a session that adds nothing to them, whoever opened it."""

import asyncio
import contextlib
import gzip
import logging

import aiohttp
import pytest
from yarl import URL

from balancekit import (
    AggregateClient,
    MalformedResponseError,
    RateLimitedError,
    TransportError,
    UnexpectedRedirectError,
)
from tests.support.loopback_origin import headers_of, raw_response
from tests.support.thread_server import ThreadServer

CANARY = "canary-3f9a"


class Direct:
    """An adapter without a base class: it sends a GET over the session that it is given."""

    provider = "direct"

    def __init__(self, account, url, **options):
        self.account, self._url, self._options = account, url, options

    async def fetch_balances(self, session):
        """Send the request, and hold nothing."""
        async with session.get(self._url, headers={"X-Key": f"key-{self.account}"}, **self._options) as response:
            await response.read()
        return []


@pytest.fixture
def serve():
    """Start servers that keep the requests they are sent."""
    with contextlib.ExitStack() as stack:

        def start(response):
            requests = []

            def respond(request):
                requests.append(request)
                return response

            server = stack.enter_context(ThreadServer(respond))
            server.requests = requests
            return server

        yield start


@pytest.fixture(params=[False, True], ids=["own session", "lent session"])
async def read(request, tmp_path, monkeypatch):
    """Read accounts, with everything in the environment and in a lent session that could be added to a request."""
    (tmp_path / ".netrc").write_text(f"default login {CANARY} password {CANARY}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.delenv("no_proxy", raising=False)

    async def read(*providers, proxy=None):
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", proxy or "")
        async with contextlib.AsyncExitStack() as stack:
            lent = None
            if request.param:
                jar = aiohttp.CookieJar(unsafe=True)
                jar.update_cookies({"lent": CANARY}, URL("http://127.0.0.1"))
                lent = aiohttp.ClientSession(
                    headers={"X-Default": CANARY}, cookie_jar=jar, proxy=proxy, trust_env=proxy is None
                )
                await stack.enter_async_context(lent)
            client = AggregateClient(providers, session=lent, trust_env=not lent, concurrency=1, attempts=1)
            await stack.enter_async_context(client)
            await client.fetch()
            return await client.fetch()

    return read


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
async def test_the_status_of_a_response_counts_although_it_cannot_be_decoded(serve, read, encoding):
    """A 429 in an encoding that nobody asked for, or that it does not have, is heeded."""
    server = serve(raw_response(429, b"no", f"Content-Encoding: {encoding}", "Retry-After: 7"))

    (failure,) = (await read(Direct("till", server.url, raise_for_status=True))).failures

    assert type(failure.error) is RateLimitedError
    assert failure.error.retry_after > 6


class Reading(Direct):
    """An adapter that notes what it has read."""

    async def fetch_balances(self, session):
        """Note it."""
        async with session.get(self._url) as response:
            self.read = await response.text()
        return []


async def test_a_body_is_decoded_within_bounds(serve, read):
    """Although no encoding is asked for, as is one that the adapter asked for; and a bomb is refused."""
    good = Reading("good", serve(raw_response(200, gzip.compress(b"{}"), "Content-Encoding: gzip")).url)
    bomb = gzip.compress(bytes(11 * 2**20))
    bad = Reading("bad", serve(raw_response(200, bomb, "Content-Encoding: gzip")).url)

    merged = await read(good, bad)

    assert good.read == "{}"
    assert [(one.account, type(one.error)) for one in merged.failures] == [("bad", MalformedResponseError)]


async def test_nothing_is_added_to_a_request(serve, read, caplog):
    """Neither the cookies that another account was sent, nor a login, nor a default header; nor are cookies logged."""
    caplog.set_level(logging.DEBUG)
    server = serve(raw_response(200, b"{}", f"Set-Cookie: sid={CANARY}; Path=/", f"Set-Cookie: a b{CANARY}=1"))

    merged = await read(Direct("a", server.url), Direct("b", server.url))

    assert merged.complete
    assert len(server.requests) == 4
    assert CANARY.encode() not in b"".join(server.requests)
    assert {*headers_of(server.requests[-1])} <= {"Host", "X-Key", "Accept", "Accept-Encoding", "User-Agent"}
    assert CANARY not in caplog.text


async def test_an_adapter_cannot_add_headers_to_the_requests_of_others(serve, read):
    """The session's default headers cannot be changed."""

    class Careless(Direct):
        async def fetch_balances(self, session):
            session.headers["X-Key"] = CANARY
            return await super().fetch_balances(session)

    server = serve(raw_response(200, b"{}"))

    merged = await read(Careless("a", server.url), Direct("b", server.url))

    assert [failure.account for failure in merged.failures] == ["a"]
    assert CANARY.encode() not in b"".join(server.requests)


@pytest.mark.parametrize(
    "end",
    [
        lambda session: session.close(),
        lambda session: session.__aexit__(None, None, None),
        lambda session: asyncio.to_thread(session.detach),
        lambda session: session.connector.close(),
    ],
    ids=["close", "async with", "detach", "close the connector"],
)
async def test_an_adapter_cannot_close_the_session_of_others(serve, read, end):
    """It is the client's: neither another account nor the adapter's own next read fails."""

    class Tidy(Direct):
        async def fetch_balances(self, session):
            balances = await super().fetch_balances(session)
            await end(session)
            return balances

    server = serve(raw_response(200, b"{}"))

    merged = await read(Tidy("a", server.url), Direct("b", server.url))

    assert merged.failures == ()
    assert len(server.requests) == 4


async def test_an_adapter_cannot_trace_the_requests_of_others(serve, read):
    """The list of what traces them cannot be changed."""

    class Curious(Direct):
        async def fetch_balances(self, session):
            session.trace_configs.append(aiohttp.TraceConfig())
            return await super().fetch_balances(session)

    server = serve(raw_response(200, b"{}"))

    merged = await read(Curious("a", server.url), Direct("b", server.url))

    assert [failure.account for failure in merged.failures] == ["a"]


@pytest.mark.parametrize("options", [{}, {"allow_redirects": True}, {"middlewares": ()}], ids=str)
async def test_a_redirect_is_not_followed(serve, read, options):
    """Credentials go to where the adapter sends them alone."""
    other = serve(raw_response(200, b"{}"))
    server = serve(raw_response(302, b"", f"Location: {other.url}/stolen"))

    merged = await read(Direct("a", server.url, **options))

    assert [type(failure.error) for failure in merged.failures] == [UnexpectedRedirectError]
    assert other.requests == []


async def test_no_proxy_sees_a_request_that_is_not_encrypted(serve, read):
    """Neither the environment's nor that of a lent session."""
    server, proxy = serve(raw_response(200, b"{}")), serve(raw_response(200, b"{}"))

    merged = await read(Direct("a", server.url), proxy=proxy.url)

    assert merged.complete
    assert proxy.requests == []


async def test_a_proxy_that_an_adapter_asks_for_sees_no_request_that_is_not_encrypted(serve, read):
    """Such a request is refused before it is sent."""
    server, proxy = serve(raw_response(200, b"{}")), serve(raw_response(200, b"{}"))

    merged = await read(Direct("a", server.url, proxy=proxy.url))

    assert [type(failure.error) for failure in merged.failures] == [TransportError]
    assert server.requests == proxy.requests == []


async def test_the_proxy_is_used_over_tls(serve, read):
    """It is asked for a tunnel, and sees nothing of the request itself."""
    proxy = serve(raw_response(502))

    await read(Direct("a", "https://api.example"), proxy=proxy.url)

    assert proxy.requests[0].startswith(b"CONNECT api.example:443 ")
    assert b"key-a" not in b"".join(proxy.requests)
