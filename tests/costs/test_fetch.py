"""What a fetch costs the providers and this process, in counts that are the same on any machine."""

import asyncio
import hmac
import sys
from pathlib import Path

import aiohttp
import pytest

import balancekit
from balancekit import AggregateClient, CryptoprocessingProvider, GetManyProvider
from balancekit.http.echoes import check_names
from balancekit.http.quotations import Secrets
from tests.support.calls import calls_of

ACCOUNTS = 60
CONCURRENCY = 10
PACKAGE = str(Path(balancekit.__file__).parent)


class Counting:
    """A signing key that counts its signatures."""

    def __init__(self, key):
        self._key = key
        self.signatures = 0

    def sign(self, text):
        """Count and sign."""
        self.signatures += 1
        return self._key.sign(text)


@pytest.fixture
def shops(sandbox):
    """Half of the accounts at each provider, each with two currencies."""
    held = {"BTC": "1.5", "EUR": "10"}
    return [
        CryptoprocessingProvider(f"shop{number}", **sandbox.add_cryptoprocessing(f"shop{number}", held).settings)
        if number % 2
        else GetManyProvider(f"shop{number}", **sandbox.add_getmany(f"shop{number}", held).settings)
        for number in range(ACCOUNTS)
    ]


class Connections(aiohttp.TraceConfig):
    """Counts the connections that a session opens."""

    def __init__(self):
        super().__init__()
        self.opened = 0
        self.on_connection_create_end.append(self._count)

    async def _count(self, session, context, parameters):
        self.opened += 1


async def test_a_fetch_makes_one_request_an_account_over_few_connections(sandbox, shops):
    """No more connections are opened than accounts are read at a time, and the next fetch opens none."""
    connections = Connections()
    async with (
        aiohttp.ClientSession(trace_configs=[connections]) as session,
        AggregateClient(shops, session=session, concurrency=CONCURRENCY) as client,
    ):
        for _ in range(3):
            await client.fetch(strict=True)

    assert len(sandbox.requests) == 3 * ACCOUNTS
    assert 1 <= connections.opened <= CONCURRENCY


async def test_a_client_of_its_own_session_keeps_its_connections(monkeypatch, shops):
    """The second fetch opens no connection."""
    loop, opened = asyncio.get_running_loop(), 0
    connect = loop.create_connection

    def count(*args, **kwargs):
        nonlocal opened
        opened += 1
        return connect(*args, **kwargs)

    monkeypatch.setattr(loop, "create_connection", count)
    async with AggregateClient(shops, concurrency=CONCURRENCY) as client:
        await client.fetch(strict=True)
        first = opened
        await client.fetch(strict=True)

    assert 1 <= first <= CONCURRENCY
    assert opened == first


async def test_a_snapshot_that_serves_costs_nothing_outside(sandbox, shops):
    """Neither a request nor a signature is made for what is young enough."""
    async with AggregateClient(shops) as client:
        await client.fetch(strict=True)
        for _ in range(10):
            await client.fetch(max_age=60, strict=True)

    assert len(sandbox.requests) == ACCOUNTS


async def test_a_constant_body_is_signed_once_and_no_hash_is_made_for_a_request(monkeypatch, sandbox, shops):
    """Cryptoprocessing's signature is made with its adapter; a getMany account signs once a request."""
    keys = []
    for shop in shops:
        # Made of a signed request, once for each provider.
        assert shop.fingerprint
        if isinstance(shop, GetManyProvider):
            shop._signing_key = Counting(shop._signing_key)
            keys.append(shop._signing_key)
    hashes = 0
    make = hmac.new

    def count(*args, **kwargs):
        nonlocal hashes
        # The sandbox verifies with it, too.
        hashes += PACKAGE + "/sandbox" not in sys._getframe(1).f_code.co_filename
        return make(*args, **kwargs)

    monkeypatch.setattr(hmac, "new", count)
    async with AggregateClient(shops) as client:
        await client.fetch(strict=True)
        await client.fetch(strict=True)

    assert {key.signatures for key in keys} == {2}
    assert hashes == 0


async def test_no_task_and_no_timer_is_made_for_an_account(shops):
    """A few workers, and one timer for all attempts: what an account costs is its request."""
    loop_tasks, timers = set(), 0

    async with AggregateClient(shops, concurrency=CONCURRENCY) as client:
        await client.fetch(strict=True)
        loop = asyncio.get_running_loop()
        create, call_at = loop.create_task, loop.call_at

        def count_task(coroutine, **kwargs):
            task = create(coroutine, **kwargs)
            if PACKAGE in coroutine.cr_code.co_filename and "sandbox" not in coroutine.cr_code.co_filename:
                loop_tasks.add(task)
            return task

        def count_timer(when, callback, *args, **kwargs):
            nonlocal timers
            caller = sys._getframe(1).f_code.co_filename
            timers += PACKAGE in caller and "sandbox" not in caller
            return call_at(when, callback, *args, **kwargs)

        loop.create_task, loop.call_at = count_task, count_timer
        await client.fetch(strict=True)
        del loop.create_task, loop.call_at

    assert len(loop_tasks) <= CONCURRENCY
    # The deadline of the call, and the first attempt's end; again if all attempts have ended in between.
    assert timers <= 1 + CONCURRENCY


async def test_few_functions_of_the_package_are_called_for_an_account(shops):
    """Beyond reading its lines, an account costs a fixed number of calls and resumptions."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        name = frame.f_code.co_filename
        calls += event == "call" and PACKAGE in name and "sandbox" not in name

    async with AggregateClient(shops, concurrency=CONCURRENCY) as client:
        await client.fetch(strict=True)
        sys.setprofile(count)
        await client.fetch(strict=True)
        sys.setprofile(None)

    # Seventy-four, and some for bodies that come in pieces.
    assert calls / ACCOUNTS < 85


def test_names_that_are_new_cost_a_few_calls_each_and_none_for_a_letter():
    """All names of a response may be new each time, and the event loop stands still while they are compared."""
    credentials = Secrets(["kid-0123456789", "c2lnbmF0dXJl" * 8])
    names = [f"{number:x}".rjust(200, "x") for number in range(600)]
    # What is made of the credentials is made once.
    check_names(["a"], (), credentials)

    calls = calls_of(check_names, [*names], (), credentials)

    assert calls < 10 * len(names)
