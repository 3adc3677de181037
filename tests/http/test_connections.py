"""Which connections are used again, over real ones on loopback."""

import asyncio
import contextlib
import select
import socket
import ssl

import aiohttp
import pytest

from balancekit import AggregateClient, CryptoprocessingProvider, Request
from balancekit.http.connections import TooManyHeadsError, is_reused_connection
from balancekit.http.transport import send
from balancekit.sandbox.certificates import Authority, Certificate
from tests.support.loopback_origin import OK, headers_of, raw_response
from tests.support.stream_server import StreamServer
from tests.support.thread_server import ThreadServer

BALANCES = '{"data": [{"currency": "BTC", "type": "crypto", "balance": "%s"}]}'


def echo(request):
    """Respond with the body of the request."""
    return raw_response(200, request.partition(b"\r\n\r\n")[2])


@pytest.fixture(params=["http", "https"])
async def served(request):
    """Start a server that echoes bodies, and open a session that trusts it; with TLS and without."""
    authority = Authority(Certificate.VALID) if request.param == "https" else None
    context = authority and authority.server_context("127.0.0.1")
    connector = aiohttp.TCPConnector(ssl=authority.client_context() if authority else True)
    with ThreadServer(echo, context) as server:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield server, session


async def ask(session, server, body):
    """Return what the server responds to a request of its own."""
    response = await send(session, Request("POST", server.url, {}, body))
    return response.body


@pytest.mark.parametrize("data", [raw_response(200, b"first"), b"H", b"\r\n"], ids=["response", "byte", "empty line"])
async def test_data_that_came_while_the_event_loop_was_busy_is_no_response(served, data):
    """It is in the socket, and nobody has seen it yet, when the next request wants the connection."""
    server, session = served
    await ask(session, server, b"first")
    # This test is the busy one: nothing is read until its next await.
    server.send(data)

    with pytest.raises(aiohttp.ServerDisconnectedError, match="unsolicited data"):
        await ask(session, server, b"second")

    assert await ask(session, server, b"third") == b"third"
    assert len(server.connections) == 2


@pytest.mark.parametrize("data", [b"\r\n", b"HTTP/1.1 200 OK\r\nContent-"], ids=["empty line", "half a head"])
async def test_data_that_the_parser_would_take_is_no_response_either(served, data):
    """The beginning of a second copy arrives while the connection is idle, and the rest might come with the next."""
    server, session = served
    await ask(session, server, b"first")
    server.send(data)
    # With another server, so that the event loop has read by then what arrived before.
    with ThreadServer(echo) as another:
        async with aiohttp.ClientSession() as other:
            await ask(other, another, b"second")

    with pytest.raises(aiohttp.ServerDisconnectedError, match="unsolicited data"):
        await ask(session, server, b"third")


async def test_a_connection_that_ended_while_the_event_loop_was_busy_is_not_used(served):
    """No request is sent on it, so that sending it on another one is no second request."""
    server, session = served
    await ask(session, server, b"first")
    server.send(b"")

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(session, server, b"second")

    assert await ask(session, server, b"third") == b"third"


@pytest.mark.parametrize("is_lent", [False, True], ids=["own session", "lent session"])
async def test_balances_of_one_account_are_never_those_of_another(is_lent):
    """Not even if a server sends the response to one twice while the application keeps the event loop busy."""

    def respond(request):
        return raw_response(200, (BALANCES % ("111" if b"pk_aaaaaaaa" in request else "222")).encode())

    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(ThreadServer(respond))
        lent = await stack.enter_async_context(aiohttp.ClientSession()) if is_lent else None
        providers = [
            CryptoprocessingProvider(name, key="pk_" + name * 8, secret="s" * 32, base_url=server.url) for name in "ab"
        ]
        client = await stack.enter_async_context(AggregateClient(providers, session=lent))
        first = await client.fetch(["a"])
        server.send(respond(b"pk_aaaaaaaa"))
        second = await client.fetch(["b"])

    assert (first.amount("BTC"), second.amount("BTC")) == (111, 222)


async def test_a_connection_is_reused_if_it_carried_a_request_before(served):
    """Until the server ends it."""
    server, session = served
    await ask(session, server, b"first")
    reused = [is_reused_connection()]
    await ask(session, server, b"second")
    reused.append(is_reused_connection())
    server.send(b"")
    with contextlib.suppress(aiohttp.ClientError):
        await ask(session, server, b"third")
    await ask(session, server, b"fourth")
    reused.append(is_reused_connection())

    assert reused == [False, True, False]


class SlowConnector(aiohttp.TCPConnector):
    """A connector that waits until the server has sent its unsolicited data."""

    async def _create_connection(self, *args):
        protocol = await super()._create_connection(*args)
        while not protocol.should_close:  # noqa: ASYNC110 - the state has no event
            await asyncio.sleep(0)
        return protocol


class BusyConnector(aiohttp.TCPConnector):
    """A connector after which the event loop is busy until the server has sent its unsolicited data."""

    async def _create_connection(self, *args):
        protocol = await super()._create_connection(*args)
        select.select([protocol.transport.get_extra_info("socket")], [], [], 5)
        return protocol


@pytest.mark.parametrize("version", [None, ssl.TLSVersion.TLSv1_2], ids=["without TLS", "with TLS"])
@pytest.mark.parametrize("data", [b"H", b"\r\n", OK], ids=["byte", "empty line", "response"])
async def test_data_on_a_new_connection_is_no_response_either(data, version):
    """Although nobody has seen it yet when the request wants the connection."""
    authority, context = Authority(Certificate.VALID), None
    if version is not None:
        context = authority.client_context()
        # Later versions send tickets after the handshake, so that the socket does not say when data has arrived.
        context.maximum_version = version
    served = authority.server_context("127.0.0.1") if context else None
    with ThreadServer(echo, served, greeting=data) as server:
        async with aiohttp.ClientSession(connector=BusyConnector(ssl=context or True)) as session:
            with pytest.raises(aiohttp.ServerDisconnectedError, match="unsolicited data"):
                async with asyncio.timeout(30):
                    await ask(session, server, b"first")


@pytest.mark.parametrize("data", [b"H", OK, b"garbage\r\n\r\n"], ids=["byte", "response", "garbage"])
async def test_a_connection_with_unsolicited_data_is_not_used(data):
    """On any session: the data would be taken for the response, and the response for that of the next request."""

    async def speak(reader, writer):
        writer.write(data)
        await reader.read()

    connector = SlowConnector()
    async with StreamServer(speak) as server, aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ServerDisconnectedError, match="unsolicited data"):
            async with asyncio.timeout(30):
                await send(session, Request("POST", server.url))


class FixedResolver(aiohttp.abc.AbstractResolver):
    """Finds one address for every name."""

    def __init__(self, address):
        self.address = address

    async def resolve(self, host, port=0, family=socket.AF_INET):
        """Return the one address."""
        return [{"hostname": host, "host": self.address, "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self):
        """Release nothing."""


def address_of_this_machine():
    """Return an address of this machine that is not a loopback address; skip the test if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only looks up the route.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return probe.getsockname()[0]


async def test_localhost_that_leads_elsewhere_receives_nothing():
    """A resolver may give the name any address; credentials are not sent there in the clear."""
    address = address_of_this_machine()
    received = asyncio.Queue()

    async def serve(reader, writer):
        data = await reader.read(9)
        writer.close()
        await writer.wait_closed()
        await received.put(data)

    connector = aiohttp.TCPConnector(resolver=FixedResolver(address))
    async with StreamServer(serve, address) as server, aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectionError, match=f"localhost leads to {address}, which is not this"):
            await send(session, Request("POST", server.url.replace(address, "localhost")))
        assert await received.get() == b""


async def test_localhost_that_leads_to_this_machine_is_used():
    """Whichever loopback address the name has."""
    connector = aiohttp.TCPConnector(resolver=FixedResolver("127.0.0.1"))
    with ThreadServer(echo) as server:
        async with aiohttp.ClientSession(connector=connector) as session:
            response = await send(session, Request("GET", server.url.replace("127.0.0.1", "localhost")))

    assert response.status == 200


async def test_informational_responses_for_ever_are_refused():
    """They would be read all at once, and for as long as they come."""
    with ThreadServer(lambda _: b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000) as server:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TooManyHeadsError):
                await send(session, Request("POST", server.url))


@pytest.mark.parametrize("data", [b"\r\n", b"HTTP/1.1 200 OK\r\nX: "], ids=["empty line", "half a head"])
async def test_no_connection_is_shared_with_the_lender_of_a_session(served, data):
    """Whose own reading may have taken a part of what the server sent after a response, and shows nothing of it."""
    server, session = served
    async with session.post(server.url, data=b"the lender's") as response:
        await response.read()
    server.send(data)
    for _ in range(5):
        await asyncio.sleep(0)
    bodies = [await ask(session, server, b"first"), await ask(session, server, b"second")]

    assert bodies == [b"first", b"second"]
    assert len(server.connections) == 2


async def test_a_response_that_is_sent_twice_is_nobody_elses_without_reuse():
    """Not even if the second one comes when the next request has been sent: a connection has one request."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            last = None
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(headers_of(head).get("Content-Length", 0)))
                amount = b"111" if b"pk_aaaaaaaa" in head else b"222"
                response = raw_response(200, BALANCES.encode() % amount)
                writer.write(last or response)
                last = response

    async with StreamServer(serve) as server:
        providers = [
            CryptoprocessingProvider(name, key="pk_" + name * 8, secret="s" * 32, base_url=server.url) for name in "ab"
        ]
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            AggregateClient(providers, session=session, concurrency=1) as client,
        ):
            merged = await client.fetch()

    assert [merged.of(name).amount("BTC") for name in "ab"] == [111, 222]
