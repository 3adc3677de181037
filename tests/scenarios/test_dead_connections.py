"""Kept-alive connections that turn out to be dead, as many as there are, over real sockets."""

import contextlib

import aiohttp
import pytest

from balancekit import AggregateClient, CryptoprocessingProvider, GetManyProvider, RetryPolicy
from balancekit.sandbox import Fault
from tests.support.loopback_origin import raw_response
from tests.support.stream_server import StreamServer


@pytest.mark.parametrize("number", [60, 300])
@pytest.mark.parametrize("is_lent", [False, True], ids=["own session", "lent session"])
async def test_any_number_of_dead_connections_costs_nothing(sandbox, number, is_lent):
    """Neither a failure nor an attempt nor the budget of retries, however many more are dead than accounts are read."""
    accounts = [sandbox.add_cryptoprocessing(f"a{n}", {"BTC": "1"}) for n in range(number)]
    for account in accounts:
        sandbox.fail(account.label, Fault(ending="reset-next"))
    providers = [CryptoprocessingProvider(account.label, **account.settings) for account in accounts]

    async with contextlib.AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=number)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector)) if is_lent else None
        if not is_lent:
            await connector.close()
        patience = {"timeout": 60.0, "deadline": 60.0}
        client = AggregateClient(providers, session=session, concurrency=number, attempts=1, **patience)
        await stack.enter_async_context(client)
        await client.fetch(strict=True)
        few = await client.fetch([account.label for account in accounts[: number // 3]])
        rest = await client.fetch()

    assert (few.amount("BTC"), rest.amount("BTC")) == (number // 3, number)


class Forgetful:
    """A server behind something that forgets its connections: on each, only the first request is responded to."""

    def __init__(self):
        self.connections = 0

    async def start(self):
        """Begin to listen."""
        self._server = StreamServer(self._serve)
        await self._server.start()
        self.url = self._server.url

    async def stop(self):
        """Stop listening, and drop every connection."""
        await self._server.stop()

    async def _serve(self, reader, writer):
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw_response(200, b'{"data": []}'))
        await reader.read()


async def test_an_attempt_after_a_silent_one_opens_a_connection(sandbox):
    """Where connections are dead without having been closed, no second attempt is lost on another of them."""
    keys = sandbox.add_getmany("a", {}).settings
    origin = Forgetful()
    await origin.start()
    providers = [GetManyProvider(f"a{n}", **keys | {"base_url": f"{origin.url}/{n}"}) for n in range(5)]
    retry = RetryPolicy(2, first=0)

    async with AggregateClient(providers, timeout=2.0, retry=retry) as client:
        await client.fetch(strict=True)
        merged = await client.fetch(["a0"])
    await origin.stop()

    assert merged.complete
    assert origin.connections == 6


async def test_connections_that_end_at_once_are_opened_within_the_budget_of_retries():
    """None of them has been kept alive: the origin is failing, and gets no second request of every account for free."""
    requests = []

    async def hang_up(reader, writer):
        requests.append(await reader.readuntil(b"\r\n\r\n"))

    async with StreamServer(hang_up) as server:
        settings = {"secret": "s" * 32, "base_url": server.url}
        providers = [CryptoprocessingProvider(f"a{n}", key=f"pk_{n:08}", **settings) for n in range(100)]
        async with AggregateClient(providers) as client:
            merged = await client.fetch()

    assert len(merged.failures) == 100
    assert len(requests) < 150
