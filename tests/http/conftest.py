"""What the tests of the transport share: servers, a session, and what becomes of a request that fails."""

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit import ErrorDetail, Request
from balancekit.http.error_responses import error_of
from balancekit.http.quotations import Secrets
from balancekit.http.transport import send, transport_error
from tests.support.loopback_origin import LoopbackOrigin

CANARY = "canary-3f9a"
NEW_YEAR = 1_767_225_600.0
INFO = aiohttp.RequestInfo(
    URL("https://pay.example"), "POST", CIMultiDictProxy(CIMultiDict({"X-Key": CANARY})), URL("https://pay.example")
)


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
        await origin.stop()


@pytest.fixture
async def origin(start_origin):
    """Start a server."""
    return await start_origin()


@pytest.fixture
async def session():
    """Open a session with aiohttp's defaults."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def make_error():
    """Make the error of a response, for an adapter with two hints of its own."""

    def make(response, detail=None):
        hints = {"locked": "Call the bank", 402: "Pay the bank"}
        return error_of(response, detail or ErrorDetail(), account="shop", provider="fake", hints=hints, now=NEW_YEAR)

    return make


async def failure_of(session, url):
    """Send a request whose headers and body are secrets, and return what its failure becomes."""
    request = Request("POST", url, {"X-Key": CANARY, "Cookie": f"c={CANARY}"}, CANARY.encode())
    try:
        response = await send(session, request)
    except Exception as error:  # noqa: BLE001 - whatever aiohttp raises is what is looked at
        return transport_error(error, account="shop", provider="fake", secrets=Secrets([CANARY]))
    pytest.fail(f"there was a response: {response}")
