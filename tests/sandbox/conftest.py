"""Clients that sign by themselves, a receiver of webhooks, and a sandbox whose clock and waits are the test's."""

import asyncio
import base64
import hashlib
import hmac
import json

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_der_private_key
from multidict import CIMultiDict
from yarl import URL

from balancekit.sandbox import Sandbox
from tests.support.clock import NEW_YEAR as NOW, Clock

NONCE = "AAECAwQFBgcICQoLDA0ODw=="


class Sleep:
    """The wait before an attempt: it records the seconds and returns at once, unless it is held."""

    def __init__(self):
        """Begin with no waits."""
        self.seconds = []
        self.held = False

    async def __call__(self, seconds):
        """Return at once, or never."""
        self.seconds.append(seconds)
        if self.held:
            await asyncio.Event().wait()


class Receiver:
    """A merchant's server: it keeps the path, headers and body of each request, and responds 200 or the next status."""

    def __init__(self):
        """Begin with nothing received."""
        self.received = []
        self.statuses = []
        self.url = ""
        self.responding = asyncio.Event()
        self.responding.set()

    async def handle(self, request):
        """Respond with the next status, once it is responding."""
        self.received.append((request.path, CIMultiDict(request.headers), await request.read()))
        await self.responding.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": f"{self.url}/elsewhere"})

    @property
    def documents(self):
        """The bodies, decoded."""
        return [json.loads(body) for _, _, body in self.received]

    def values_of(self, name):
        """Return one header of every request."""
        return [headers.get(name) for _, headers, _ in self.received]


@pytest.fixture
def clock():
    """Return the sandbox's clock, at the moment of the published vectors."""
    return Clock()


@pytest.fixture
def sleep():
    """Return the sandbox's wait between the attempts of a delivery."""
    return Sleep()


@pytest.fixture
async def sandbox(clock, sleep):
    """Run a sandbox."""
    async with Sandbox(clock=clock, sleep=sleep) as started:
        yield started


@pytest.fixture
async def receiver():
    """Run a receiver on a free port."""
    running = Receiver()
    runner = web.ServerRunner(web.Server(running.handle, handler_cancellation=True), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield running
    await runner.cleanup()


@pytest.fixture
def add(sandbox, receiver):
    """Add an account "shop" whose webhooks go to the receiver."""

    def add(provider, holdings=()):
        return getattr(sandbox, f"add_{provider}")("shop", holdings, webhook_url=f"{receiver.url}/shop")

    return add


@pytest.fixture
async def http():
    """Open a plain client with no opinion about either API."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def until():
    """Wait until a condition holds that the server brings about."""

    async def until(condition):
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - no event is set for it
                await asyncio.sleep(0)

    return until


@pytest.fixture
def exchange(sandbox):
    """Send raw bytes and return the head and the body of what arrives until the connection ends."""

    async def exchange(data):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.address.rpartition(":")[2]))
        writer.write(data)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return head, body

    return exchange


@pytest.fixture
async def connect(sandbox):
    """Open plain connections, which are closed with the test."""
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.address.rpartition(":")[2]))
        writers.append(writer)
        return reader, writer

    yield connect

    for writer in writers:
        writer.transport.abort()


@pytest.fixture
def send(http):
    """Send a request with exactly these headers, without those whose value is None; the response is read whole."""

    async def send(method, url, headers=(), body=None):
        kept = CIMultiDict((name, value) for name, value in CIMultiDict(headers).items() if value is not None)
        request = http.request(
            method,
            URL(url, encoded=True),
            headers=kept,
            data=body,
            skip_auto_headers=["Content-Type"],
            allow_redirects=False,
        )
        async with request as response:
            await response.read()
            return response

    return send


@pytest.fixture
def ask_cryptoprocessing(send):
    """Ask for the balances of an account at Cryptoprocessing, with any part changed."""

    async def ask(account, *, body=b"{}", method="POST", path="/accounts/list", **changed):
        settings = account.settings
        headers = {
            "Content-Type": "application/json",
            "X-Processing-Key": settings["key"],
            "X-Processing-Signature": hmac.new(settings["secret"].encode(), body, hashlib.sha512).hexdigest(),
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        return await send(method, settings["base_url"] + path, headers, body)

    return ask


@pytest.fixture
def ask_getmany(send):
    """Ask for the balances of an account at getMany, with any part changed; `extra` goes into the path unsigned."""

    async def ask(account, *, timestamp=str(NOW), nonce=NONCE, body=b"", digest=None, query="", extra="", **changed):
        settings = account.settings
        key_id, path = settings["key_id"], f"/account.balance.getMany{query}"
        counted = [f"{len(part)}:{part}" for part in (key_id, timestamp, nonce)]
        text = ":".join([*counted, "POST", f"{len(path)}:{path}", digest or ""])
        key = load_der_private_key(base64.b64decode(settings["signing_key"]), password=None)
        headers = {
            "Bs-Key-Id": key_id,
            "Bs-Timestamp": timestamp,
            "Bs-Nonce": nonce,
            "Bs-Signature": base64.b64encode(key.sign(text.encode())).decode(),
            "Content-Digest": digest,
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        return await send("POST", settings["base_url"] + path + extra, headers, body or None)

    return ask
