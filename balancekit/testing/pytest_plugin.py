"""Fixtures for the tests of programs that use balancekit: synchronous ones, and in asyncio with any plugin for it.

    pytest_plugins = ["balancekit.testing.pytest_plugin"]

in the topmost `conftest.py` loads them. There is no entry point: in every run where balancekit is installed, pytest
would load this module, and rewrite the assertions of the whole package.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from balancekit.testing.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from balancekit.sandbox import Sandbox, SignedWebhook

_NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def balancekit_sandbox(request: pytest.FixtureRequest) -> "Iterator[Sandbox]":
    """Run a `Sandbox` on loopback, in a thread of its own, so that any test and any event loop can use it."""
    _check_asyncio(request)
    # Only a test that uses it pays for a server.
    from balancekit.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def balancekit_clock(request: pytest.FixtureRequest) -> ManualClock:
    """Make a `ManualClock` for `AggregateClient(clock=...)`; it stands at noon of 2026-01-01, UTC."""
    _check_asyncio(request)
    return ManualClock(_NOON)


@pytest.fixture
def balancekit_delivery(balancekit_sandbox: "Sandbox") -> "Callable[..., SignedWebhook]":
    """Give a function that settles a payment in the sandbox and returns its signed webhook: `Sandbox.write_webhook`."""
    return balancekit_sandbox.write_webhook


def _check_asyncio(request: pytest.FixtureRequest) -> None:
    """Fail a test that anyio runs on another backend, as it does unless it is limited: aiohttp's error says little."""
    if "anyio_backend" in request.fixturenames:
        backend = request.getfixturevalue("anyio_backend")
        name = backend if isinstance(backend, str) else backend[0]
        if name != "asyncio":
            pytest.fail(
                f"balancekit runs in asyncio, and anyio runs this test with {name}: add to conftest.py a fixture "
                '`anyio_backend` that returns "asyncio"',
                pytrace=False,
            )
