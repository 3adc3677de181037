"""What the tests of the client without an event loop share: a client, and a provider that waits for the test."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from balancekit import GetManyProvider
from balancekit.blocking import Client


def getmany(account):
    """Return the provider of an account of the sandbox."""
    return GetManyProvider(account.label, **account.settings)


@pytest.fixture
def till(sandbox):
    """Return an account of the sandbox."""
    return sandbox.add_getmany("till", {"USDC": "12.5"})


class InterruptError(Exception):
    """What a signal handler raises."""


@pytest.fixture(params=["is begun", "goes on", "has ended"])
def interrupt(request, monkeypatch):
    """Interrupt the next wait for a client's thread, as a signal does whose handler raises.

    That is when the wait has begun, while it goes on, or when it has ended and its result has not reached the caller.
    """
    begin, wait = asyncio.run_coroutine_threadsafe, Future.result

    def begun(*args):
        begin(*args)
        monkeypatch.undo()
        raise InterruptError

    def waited(future):
        monkeypatch.undo()
        if request.param == "has ended":
            wait(future)
        raise InterruptError

    def arm():
        if request.param == "is begun":
            monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", begun)
        else:
            monkeypatch.setattr(Future, "result", waited)

    return arm


@pytest.fixture
def client(till):
    """Return a client of that account."""
    with Client([getmany(till)]) as client:
        yield client


class Gate:
    """A provider that responds when it is opened; `started` is set by each request, `ended` by the end of one."""

    provider = "gate"

    def __init__(self, account="gate"):
        self.account = account
        self.opened = asyncio.Event()
        self.started, self.ended = threading.Event(), threading.Event()

    async def fetch_balances(self, session):
        """Wait until it is opened."""
        self.loop = asyncio.get_running_loop()
        self.started.set()
        try:
            await self.opened.wait()
        finally:
            self.ended.set()
        return []

    def open(self):
        """Let it respond."""
        self.loop.call_soon_threadsafe(self.opened.set)
