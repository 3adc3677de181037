"""A failure that its caller keeps holds nothing of the response: neither its bytes nor its connection."""

import asyncio
import gc
import json
import time

import aiohttp
import attrs
import pytest

from balancekit import (
    AggregateClient,
    BalancekitError,
    CryptoprocessingProvider,
    GetManyProvider,
    Response,
)
from balancekit.sandbox import Fault

FAULTS = {
    "a rejected key": Fault(status=401, body='{"error": "of the provider"}'),
    "a rejected request": Fault(status=404, body="<html>" + "x" * 5000),
    "too many requests": Fault(status=429, headers={"Retry-After": "60"}),
    "an outage": Fault(status=503, body='{"error": "down"}'),
    "a redirect": Fault(status=302, headers={"Location": "https://other.example"}),
    "no JSON": Fault(body="{" * 100),
    "a wrong shape": Fault(body='{"data": [{"balance": {"value": true}}], "result": 1}'),
    "a cut body": Fault(cut_after=20),
    "a reset": Fault(stop="start", ending="reset"),
    "a timeout": Fault(hang=True),
}


@attrs.define(eq=False, slots=False)
class Blob:
    """Something that an adapter has made of a response."""

    body: bytes


class Own(CryptoprocessingProvider):
    """An adapter of our own, which keeps what it reads in its frames and in what it raises."""

    provider = "own"

    def read_response(self, response):
        """Raise from within, as adapters do."""
        blob = Blob(response.body)
        try:
            return [blob.amount, json.loads(blob.body)]
        except AttributeError:
            return json.loads(blob.body + b"}")

    def read_error(self, response):
        """Raise where an error response is read, too."""
        return {}[Blob(response.body)]


class Session:
    """An adapter that uses the session itself."""

    provider = "session"

    def __init__(self, account, **settings):
        self.account = account
        self._signer = CryptoprocessingProvider(account, **settings)

    async def fetch_balances(self, session):
        """Let aiohttp raise, with the response in the frame."""
        request = self._signer.build_request(now=int(time.time()), nonce="")
        async with session.request(
            request.method, request.url, headers=request.headers, data=request.body, allow_redirects=False
        ) as response:
            blob = Blob(await response.read())
            response.raise_for_status()
            return blob.balances


def holders_of(kinds):
    """Return the objects of those kinds that are alive."""
    gc.collect()
    return [found for found in gc.get_objects() if isinstance(found, kinds)]


KINDS = (Response, Blob, aiohttp.ClientResponse, aiohttp.connector.Connection)


@pytest.mark.parametrize("kind", [CryptoprocessingProvider, GetManyProvider, Own, Session])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failure_keeps_nothing_of_a_response(sandbox, kind, fault):
    """Not in a frame of a traceback of it, of its cause or of its context."""
    add = sandbox.add_getmany if kind is GetManyProvider else sandbox.add_cryptoprocessing
    provider = kind("shop", **add("shop", {"BTC": "1"}).settings)
    sandbox.fail("shop", FAULTS[fault], times=10)
    before = {id(found) for found in holders_of(KINDS)}

    async with AggregateClient([provider], attempts=1, timeout=0.2) as client:
        merged = await client.fetch()
        known = client.latest()
    await asyncio.sleep(0)

    assert len(merged.failures) == len(known.failures) == 1
    assert [found for found in holders_of(KINDS) if id(found) not in before] == []


@pytest.mark.parametrize("kind", [CryptoprocessingProvider, GetManyProvider, Own])
@pytest.mark.parametrize("fault", ["a rejected key", "a wrong shape", "a cut body", "a timeout"])
async def test_what_an_adapter_raises_keeps_nothing_of_a_response(sandbox, kind, fault):
    """Neither where it is used without a client."""
    add = sandbox.add_getmany if kind is GetManyProvider else sandbox.add_cryptoprocessing
    provider = kind("shop", **add("shop", {"BTC": "1"}).settings)
    sandbox.fail("shop", FAULTS[fault], times=10)
    before = {id(found) for found in holders_of(KINDS)}
    kept = []

    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(0.2):
                await provider.fetch_balances(session)
        except (BalancekitError, TimeoutError) as error:
            kept.append(error)
    await asyncio.sleep(0)

    assert len(kept) == 1
    assert [found for found in holders_of(KINDS) if id(found) not in before] == []
