"""What the tests of the client share: fetches and a client of a quick till, in virtual time."""

import asyncio
from types import SimpleNamespace

import pytest

from balancekit import AggregateClient
from tests.support.providers import QuickTill


@pytest.fixture
def fetch(run_virtually):
    """Fetch once from the providers; gives the result, how long it took, and leaves nothing running."""

    def run(providers, accounts=None, *, strict=False, **settings):
        async def main():
            loop = asyncio.get_running_loop()
            started = loop.time()
            async with AggregateClient(providers, **settings) as client:
                merged = await client.fetch(accounts, strict=strict)
                took = loop.time() - started
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return SimpleNamespace(merged=merged, took=took)

        return run_virtually(main())

    return run


@pytest.fixture
def with_quick_till(with_client):
    """Run a test's steps with a client of a quick till, unless others are given."""
    return lambda steps, *tills: with_client(steps, *(tills or [QuickTill()]))
