"""What the tests of webhooks share: accounts with the keys of the vectors, and servers to deliver to."""

import asyncio
import socket
import threading
from contextlib import suppress

import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from balancekit import CryptoprocessingProvider, GetManyProvider, WebhookVerificationError
from balancekit.webhooks import WebhookApp, webhook_routes

NOW = 1_767_225_600
PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
BROKEN = "canary-of-a-client-that-failed"


@pytest.fixture(scope="session")
def shop():
    """Make an account whose callbacks are signed with the published secret."""
    return CryptoprocessingProvider("shop", key="key-0123", secret="AbCdEfG123456")


@pytest.fixture(scope="session")
def till():
    """Make an account whose webhooks are signed with the key of the vector; its clock stands still."""
    provider = GetManyProvider("till", webhook_key=PUBLIC_KEY)
    provider.clock = lambda: float(NOW)
    return provider


@pytest.fixture
def check_rejected(everything_shown_by):
    """Check why an adapter rejects a delivery, and that nothing that an error tracker collects shows it."""

    def check(provider, delivery, reason, secrets=()):
        headers, body = delivery
        with pytest.raises(WebhookVerificationError) as caught:
            provider.verify_webhook(headers, body)

        shown = everything_shown_by(caught.value)
        assert str(caught.value).startswith(reason)
        # The signature may be a valid one.
        assert not any(value in shown for value in [*secrets, *(value for _, value in headers if len(value) > 10)])
        assert len(body) < 8 or body.decode() not in shown
        assert caught.value.__cause__ is caught.value.__context__ is None

    return check


class Inbox:
    """Takes the place of a client: verifies with the real providers, and keeps the events."""

    def __init__(self, *providers):
        self.providers = {provider.account: provider for provider in providers}
        self.labels = []
        self.events = []

    async def handle_webhook(self, account, headers, body):
        """Verify a delivery; one for the account "broken" fails."""
        self.labels.append(account)
        if account == "broken":
            raise RuntimeError(BROKEN)
        if account not in self.providers:
            raise WebhookVerificationError(f"no account has the label {account}")
        self.events.append(self.providers[account].verify_webhook(headers, body))
        return self.events[-1]


class Servers:
    """The three frameworks, each on a port of its own, in a loop of its own; all hand deliveries to one inbox."""

    def __init__(self, inbox, loop):
        self.inbox = inbox
        self.loop = loop
        self._ports = {}
        self._stops = []

    async def start(self):
        """Serve, with the default limits at /webhooks and small ones at /narrow."""
        narrow = {"max_body": 100, "body_timeout": 0.25}
        site = web.Application()
        site.add_routes(webhook_routes(self.inbox))
        site.add_routes(webhook_routes(self.inbox, "/narrow/{account}", **narrow))
        site.add_routes(webhook_routes(self.inbox, "/fixed", account="shop"))
        # How long it waits for the rest of a body before it ends a connection: ten seconds are too long for a test.
        runner = web.AppRunner(site, lingering_time=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._ports["aiohttp"] = runner.addresses[0][1]
        self._stops.append(runner.cleanup)
        mounts = {
            "/webhooks": WebhookApp(self.inbox),
            "/narrow": WebhookApp(self.inbox, **narrow),
            "/fixed": WebhookApp(self.inbox, account="shop"),
        }
        self._serve("starlette", Starlette(routes=[Mount(path, app) for path, app in mounts.items()]))
        fastapi = FastAPI()
        for path, app in mounts.items():
            fastapi.mount(path, app)
        self._serve("fastapi", fastapi)

    async def stop(self):
        """End what was started."""
        for stop in self._stops:
            await stop()

    def exchange(self, framework, path, headers=(), body=b"", *, method="POST", framed=True, cut=False):
        """Send one request, byte by byte as given, and return the whole response but for its date and server."""
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: localhost", b"Connection: close"]
        if framed:
            lines.append(b"Content-Length: %d" % len(body))
        lines += [b"%b: %b" % header for header in headers]
        with socket.create_connection(("127.0.0.1", self._ports[framework]), timeout=30) as connection:
            # A server that refuses early may reset the rest of the sending.
            with suppress(ConnectionError):
                connection.sendall(b"\r\n".join([*lines, b"", body]))
            if cut:
                connection.shutdown(socket.SHUT_WR)
            response = b""
            with suppress(ConnectionError):
                while chunk := connection.recv(65_536):
                    response += chunk
        # What is logged is logged after the response, in the next turn of the loop.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result()
        head, _, rest = response.partition(b"\r\n\r\n")
        kept = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"date:", b"server:"))]
        return b"\r\n".join(kept) + b"\r\n\r\n" + rest

    def _serve(self, framework, app):
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, http="h11", ws="none", lifespan="on", log_config=None, server_header=False, date_header=False
        )
        server = uvicorn.Server(config)
        serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        self._ports[framework] = listener.getsockname()[1]

        async def stop():
            server.should_exit = True
            await serving

        self._stops.append(stop)


class Skipping(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    skipped = 0.0

    def time(self):
        """Give the time with what was skipped."""
        return super().time() + self.skipped


@pytest.fixture(scope="session")
def running_servers(shop, till):
    """Serve with each framework for as long as the tests take."""
    loop = Skipping()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers = Servers(Inbox(shop, till), loop)
    try:
        asyncio.run_coroutine_threadsafe(servers.start(), loop).result()
        yield servers
    finally:
        asyncio.run_coroutine_threadsafe(servers.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def servers(running_servers):
    """Give the servers with an empty inbox, a minute after the last test, so that rejections are logged again."""
    running_servers.loop.skipped += 60.0
    running_servers.inbox.labels.clear()
    running_servers.inbox.events.clear()
    return running_servers


@pytest.fixture
def inbox(shop, till):
    """Make an inbox of its own."""
    return Inbox(shop, till)
