"""What the tests of the client share: one fetch in virtual time."""

import asyncio
from types import SimpleNamespace

import pytest

from balancekit import AggregateClient


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
