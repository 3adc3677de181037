"""What the tests of all adapters share: samples of what the providers send, and a network that is not there."""

from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aioresponses import aioresponses, core
from yarl import URL

from balancekit import Response
from balancekit.providers import base
from tests.support.clock import NEW_YEAR
from tests.support.my_bank import CANARY, MyBank

pytest.register_assert_rewrite("tests.providers.contract")
from tests.providers.contract import BASE_URLS  # noqa: E402 - only now are its assertions explained where they fail

SAMPLES = Path(__file__).parent.parent / "samples"
NONCE = "AAAAAAAAAAAAAAAAAAAAAA=="


def pytest_generate_tests(metafunc):
    """Make a test of the contract of each row of an adapter's table."""
    if "bad_setting" in metafunc.fixturenames:
        rows = [*metafunc.cls.bad_settings, *(("base_url", url) for url in BASE_URLS)]
        metafunc.parametrize("bad_setting", rows, ids=ascii)
    if "malformed" in metafunc.fixturenames:
        rows = metafunc.cls.malformed
        metafunc.parametrize("malformed", rows, ids=[message for _, message in rows])
    if "documented_error" in metafunc.fixturenames:
        rows = metafunc.cls.documented_errors
        metafunc.parametrize("documented_error", rows, ids=[case for case, *_ in rows])


class Wire:
    """Stands in for the network: it gives or raises its outcome, and keeps the requests."""

    def __init__(self):
        self.outcome = Response(200, body=b"[]")
        self.requests = []

    async def send(self, session, request):
        """Give or raise the outcome instead of sending."""
        self.requests.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def wire(monkeypatch):
    """Replace the network; all requests have one nonce, since words that are in a random one are hidden."""
    monkeypatch.setattr(base, "new_nonce", lambda: NONCE)
    wire = Wire()
    monkeypatch.setattr(base, "send", wire.send)
    return wire


class _Response(aiohttp.ClientResponse):
    """What aiohttp 3.14 makes of the arguments that aioresponses passes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, stream_writer=SimpleNamespace(output_size=0), **kwargs)


def _passes_all_arguments():
    try:
        core.RequestMatch("http://shim.example")._build_response(URL("http://shim.example"))
    except TypeError as error:
        if "stream_writer" not in str(error):
            raise
        return False
    return True


@pytest.fixture
def mocked(monkeypatch):
    """Stand in for every session's network."""
    # aioresponses 0.7.9 does not pass `stream_writer`, which aiohttp requires from 3.14 on. A version that does is left
    # as it is.
    if not _passes_all_arguments():
        monkeypatch.setattr(core, "ClientResponse", _Response)
    with aioresponses() as mock:
        yield mock


@pytest.fixture
async def session():
    """Open a session with aiohttp's defaults."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def read_sample():
    """Read what a provider sends; the status is the name of the file."""

    def read(provider, case):
        (path,) = (SAMPLES / provider / case).iterdir()
        return Response(int(path.stem), body=path.read_bytes())

    return read


@pytest.fixture
def bank():
    """Make an account at the tests' own bank, whose clock stands still."""
    bank = MyBank("shop", token=CANARY)
    bank.clock = lambda: NEW_YEAR + 0.9
    return bank
