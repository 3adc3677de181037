"""What the tests of `examples/` share: accounts of which one is down and one hangs, and a check of what is left."""

import asyncio
import contextlib
import gc
import socket
import threading

import aiohttp
import uvicorn

from balancekit import AggregateClient, Config, CryptoprocessingProvider, GetManyProvider
from balancekit.sandbox import Fault

QUICK = {"timeout": 1.0, "deadline": 2.0, "attempts": 1}
"""Settings of a client that knows of a hung account before a test grows long."""


class Accounts:
    """Three accounts of a sandbox that runs in a thread: `shop` responds, `down` sends errors, `hung` nothing."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.shop = sandbox.add_cryptoprocessing("shop", {"BTC": "0.5", "ETH": "0", "USDC": "450"})
        self.down = sandbox.add_getmany("down", {"USDC": "100"})
        self.hung = sandbox.add_getmany("hung", {"USDC": "25"})
        self.fail()

    def fail(self):
        """Let one account be down, and one hang."""
        self.sandbox.fail("down", Fault(status=503), times=1000)
        self.sandbox.fail("hung", Fault(hang=True), times=1000)

    @property
    def providers(self):
        """New adapters of these accounts."""
        kinds = {"shop": CryptoprocessingProvider, "down": GetManyProvider, "hung": GetManyProvider}
        return [kinds[each.label](each.label, **each.settings) for each in self.sandbox.accounts]

    @property
    def config(self):
        """What a file has of these accounts, and of the settings above."""
        return Config(tuple(self.providers), {"USDC": "USD"}, QUICK)

    def client(self, **settings):
        """Make a client that the program under test closes."""
        return AggregateClient(self.providers, **(QUICK | settings))

    async def settle(self, amount):
        """Settle a payment in BTC, deliver its webhook, and return the status of the response."""
        delivery = await self.sandbox.settle("shop", "BTC", amount)
        return delivery.attempts[0].status

    async def asked(self, label, times):
        """Wait until an account has been asked so many times."""
        for _ in range(3000):
            if len([each for each in self.sandbox.requests if each.account == label]) >= times:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{label} was asked less than {times} times")

    def secrets(self):
        """Return what must not be shown: all credentials."""
        names = ("key", "secret", "signing_key")
        return [each.settings[name] for each in self.sandbox.accounts for name in names if name in each.settings]


@contextlib.asynccontextmanager
async def nothing_left():
    """Check that what is started inside leaves no task, thread, client or session."""
    threads, tasks = {*threading.enumerate()}, asyncio.all_tasks()
    yield
    for _ in range(1000):
        if asyncio.all_tasks() <= tasks:
            break
        await asyncio.sleep(0.01)
    gc.collect()  # what was dropped without being closed warns, and a warning is an error
    left = [repr(task) for task in asyncio.all_tasks() if task not in tasks]
    assert left == []
    assert {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")} <= threads


@contextlib.asynccontextmanager
async def served(make_server):
    """Run a server of uvicorn until the block ends; give its address and a function that stops it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = make_server()
        serving = asyncio.create_task(server.serve(sockets=[listener]))

        async def stop():
            server.should_exit = True
            async with asyncio.timeout(30):
                await serving

        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", stop
        finally:
            await stop()


def uvicorn_server(app):
    """Make a server of an application, without logs."""
    return uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", log_config=None))


async def get_json(url):
    """Return the status and the content of a response."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()
