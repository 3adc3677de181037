"""What all tests share: snapshots made in a line, clients in virtual time, a sandbox, and a Redis server."""

import asyncio
import hashlib
import itertools
import os
import secrets
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from balancekit import AccountBalances, AggregateClient, AssetType, Balance
from balancekit.sandbox import Sandbox
from balancekit.stores import fail_open
from balancekit.stores.redis import connection
from tests.support.clock import LoopClock
from tests.support.providers import Till
from tests.support.redis_server import NO_SERVER, RedisServer, find_server
from tests.support.virtual_time import VirtualLoop

if "PYTEST_XDIST_WORKER" in os.environ:
    # Coverage is measured in the workers, not in the programs that tests start: some of them count their own imports.
    os.environ.pop("COVERAGE_PROCESS_START", None)

settings.register_profile("balancekit", deadline=None)
settings.load_profile("balancekit")

TESTS = Path(__file__).parent
pytest_plugins = ["balancekit.testing.pytest_plugin", "pytester"]

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 30.0


@pytest.fixture
def run_virtually() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine in a loop whose time passes at once; for tests without sockets."""

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main)

    return run


@pytest.fixture
def with_client(run_virtually) -> Callable[..., Any]:
    """Run a test's steps with a client of some providers; ages are in virtual time, and nothing may go on after it."""

    def run(steps: Callable[..., Coroutine[Any, Any, Any]], *providers: Any, **settings: Any) -> Any:
        async def main() -> Any:
            sources = providers or (Till(),)
            async with AggregateClient(sources, **{"clock": LoopClock(), **settings}) as client:
                result = await steps(client, *sources)
            for _ in range(5):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        return run_virtually(main())

    return run


@pytest.fixture
def make_balance() -> Callable[..., Balance]:
    """Make a balance of account "shop" from a code and decimal text."""

    def make(code: str, amount: str, asset_type: str = "crypto", *, account: str = "shop", **more: Any) -> Balance:
        return Balance(code, Decimal(amount), AssetType(asset_type), account, "fake", code, **more)

    return make


@pytest.fixture
def make_snapshot(make_balance: Callable[..., Balance]) -> Callable[..., AccountBalances]:
    """Make a snapshot from an account's label and tuples of code, decimal text and, if not crypto, type of asset."""

    def make(
        account: str, *held: tuple[str, ...], fetched_at: datetime = MOMENT, stale: bool = False
    ) -> AccountBalances:
        balances = tuple(make_balance(*balance, account=account) for balance in held)
        return AccountBalances(account, "fake", balances, fetched_at, stale)

    return make


@pytest.fixture
def everything_shown_by() -> Callable[[BaseException], str]:
    """Return the text of all that an error tracker could collect from an exception, except from the frames of tests."""

    def collect(error: BaseException) -> str:
        shown, pending, seen = "", [error], []
        while pending:
            link = pending.pop()
            if link is None or link in seen:
                continue
            seen.append(link)
            pending += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
            frames = traceback.TracebackException.from_exception(link, capture_locals=True).stack
            shown += "".join(f"{frame.locals}" for frame in frames if TESTS not in Path(frame.filename).parents)
            shown += f"{link!r} {link} {link.args!r} {vars(link)!r}"
        return shown

    return collect


@pytest.fixture
def same_keys(monkeypatch):
    """Have a sandbox make the same keys each time: words that are in a random one, or in what it signs, are hidden."""
    numbers = itertools.count()

    def token_hex(size: int = 32) -> str:
        return hashlib.sha256(b"%d" % next(numbers)).hexdigest()[: 2 * size]

    monkeypatch.setattr(secrets, "token_hex", token_hex)
    # The numbers of transactions, which webhooks sign.
    monkeypatch.setattr(secrets, "randbits", lambda bits: next(numbers) % 2**bits)


@pytest.fixture
def sandbox(balancekit_sandbox: Sandbox, same_keys: None) -> Sandbox:
    """Give the sandbox that the plugin for others' tests has."""
    return balancekit_sandbox


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Report the tests that lack a server as skipped at one place, so that the summary has one line for them all."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].endswith(NO_SERVER):
        report.longrepr = (__file__, 0, report.longrepr[2])
    return report


@pytest.fixture(scope="session")
def running_server():
    """Run a server for all tests; without one they are skipped, except by CI on Linux, where they fail."""
    if find_server() is None:
        if os.environ.get("CI") and sys.platform == "linux":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    # A socket's path must be short, which pytest's own folders are not everywhere.
    with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:
        server = RedisServer(folder)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def patience(monkeypatch):
    """Wait for a real server as long as a busy machine may need; a test that waits for a silent one sets its own."""
    monkeypatch.setattr(connection, "SOCKET_TIMEOUT", PATIENCE)
    monkeypatch.setattr(fail_open, "_CALL_TIMEOUT", PATIENCE)


@pytest.fixture
def server(running_server, patience):
    """Give a running server without any keys."""
    running_server.start_empty()
    return running_server
