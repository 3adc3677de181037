"""What a soak's model says and what the accounts hold stay the same, or the soak would report what is its own doing."""

import asyncio
import contextlib
import random

import pytest

from balancekit import AggregateClient, CryptoprocessingProvider
from tests.long.model import Model, ModelLaws
from tests.long.remote import Remote

ONE = "account-00"
TURNS = 4
"""Of the event loop, after which a change has been sent and not been answered."""


@pytest.fixture
def model():
    """Make a model of one account."""
    return Model(random.Random(1), 1)


@pytest.fixture
async def remote(model):
    """Start a server with that account."""
    with contextlib.closing(Remote(model.now, signed=True)) as remote:
        yield remote


@pytest.mark.parametrize("turns", range(TURNS))
async def test_an_account_holds_what_the_model_says_after_a_change_that_is_cancelled(model, remote, turns):
    """A change is made whole or not at all, at whatever turn of the event loop it is cancelled."""
    [(label, _, settings)] = await remote("settings")
    # Behind another command, as where several jobs command the server.
    other = asyncio.create_task(remote("figures"))
    change = asyncio.create_task(model.change(remote, ONE))
    for _ in range(turns):
        await asyncio.sleep(0)
    change.cancel()
    await asyncio.gather(change, return_exceptions=True)

    async with AggregateClient([CryptoprocessingProvider(label, **settings)]) as client:
        await other
        # Commands are carried out one after the other.
        await remote("figures")
        merged = await client.fetch(strict=True)

    assert ModelLaws(model, slack=0.0).are_totals(merged)


async def test_a_command_that_is_cancelled_does_not_take_the_answer_of_another(remote):
    """The next command has its own answer."""
    for _ in range(20):
        cancelled = asyncio.create_task(remote("figures"))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)

        assert [label for label, *_ in await remote("settings")] == [ONE]
