"""What the tests of the sandbox share: a plain HTTP client that signs by itself, in a few lines for each API."""

import asyncio
import base64
import hashlib
import hmac

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from multidict import CIMultiDict
from yarl import URL

from balancekit.sandbox import Sandbox

NOW = 1767225600
NONCE = "AAECAwQFBgcICQoLDA0ODw=="


class Clock:
    """A clock that stands still until it is set."""

    now: float = NOW

    def __call__(self) -> float:
        """Return the moment."""
        return self.now


@pytest.fixture
def clock():
    """Return the sandbox's clock, at the moment of the published vectors."""
    return Clock()


@pytest.fixture
async def sandbox(clock):
    """Run a sandbox."""
    async with Sandbox(clock=clock) as started:
        yield started


@pytest.fixture
async def http():
    """Open a plain client with no opinion about either API."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def until():
    """Wait until something that the server does on its own has happened."""

    async def until(condition):
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0)

    return until


@pytest.fixture
def exchange(sandbox):
    """Send raw bytes and return the head and the body of what came until the end of the connection."""

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
    """Open plain connections that end with the test."""
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
    """Send a request with exactly these headers, of which a value None is left out; the response is read whole."""

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
