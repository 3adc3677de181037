"""What is known of each account without asking anybody: `status`."""

import asyncio
import pickle
from datetime import UTC, datetime

import attrs
import pytest

from balancekit import (
    AggregateClient,
    AuthenticationError,
    CryptoprocessingProvider,
    RateLimitedError,
    ServiceUnavailableError,
)
from balancekit.testing import ManualClock
from tests.support.clock import NEW_YEAR
from tests.support.providers import QuickTill, Scripted

START = NEW_YEAR + 1000


def moments(status):
    """Return the moments of a status in seconds since the start."""
    names = ("last_success", "last_failure", "down_since", "next_attempt")
    values = [getattr(status, name) for name in names]
    assert all(value is None or value.tzinfo is UTC for value in values)
    return [None if value is None else round(value.timestamp() - START, 3) for value in values]


class TestStatus:
    """Whether each account can be read, since when, and when it is tried again."""

    def test_an_account_that_was_not_read_is_neither_up_nor_down(self):
        """Before any use, without an event loop."""
        (status,) = AggregateClient([QuickTill()]).status().values()

        assert attrs.astuple(status) == ("till", "till", None, None, None, None, None, None)

    def test_an_account_that_is_up(self, with_client):
        """With the moment of the request that it responded to."""

        async def steps(client, till):
            await asyncio.sleep(5)
            await client.fetch()
            return client.status()["till"]

        status = with_client(steps, QuickTill())

        assert (status.up, status.error, moments(status)) == (True, None, [5, None, None, None])

    def test_an_account_that_is_down(self, with_client):
        """It is down since the first failure after a success, and tried again when its cooldown ends."""

        async def steps(client, till):
            await client.fetch()
            till.broken = True
            for _ in range(3):
                await asyncio.sleep(10)
                await client.fetch()
            return client.status()["till"]

        status = with_client(steps, QuickTill())
        success, failure, since, following = moments(status)

        assert (status.up, type(status.error)) == (False, ServiceUnavailableError)
        assert (success, since) == (0, pytest.approx(10.2))
        assert failure == pytest.approx(30.4, abs=0.1)
        assert failure + 4 <= following <= failure + 5

    def test_an_account_that_is_up_again(self, with_client):
        """It keeps the moment of its last failure, and nothing else of it."""

        async def steps(client, till):
            till.broken = True
            await client.fetch()
            till.broken = False
            await asyncio.sleep(10)
            await client.fetch()
            return client.status()["till"]

        status = with_client(steps, QuickTill())

        assert (status.up, status.error) == (True, None)
        assert moments(status) == [pytest.approx(10.1), pytest.approx(0.1), None, None]

    def test_a_429_says_when_its_origin_is_asked_again(self, with_client):
        """For all accounts at it, also for those that are up."""

        class Limited(QuickTill):
            async def fetch_balances(self, session):
                raise RateLimitedError("429", account=self.account, provider="till", status=429, retry_after=60)

        async def steps(client, till, limited):
            await client.fetch(["till"])
            await client.fetch(["limited"])
            return client.status()

        status = with_client(steps, QuickTill(), Limited("limited"))

        assert [one.up for one in status.values()] == [True, False]
        assert [moments(one)[3] for one in status.values()] == [pytest.approx(60.1)] * 2

    def test_the_error_of_a_429_says_how_long_its_origin_is_left_alone(self, with_client):
        """As what the read itself ended with did, less the time since."""
        refused = RateLimitedError("429", account="shop", provider="scripted", status=429, retry_after=60.0)

        async def steps(client, _):
            await client.fetch()
            await asyncio.sleep(20)
            return client.status()["shop"].error.retry_after, client.latest().failures[0].error.retry_after

        assert with_client(steps, Scripted("shop", refused)) == (pytest.approx(40), pytest.approx(40))

    def test_the_failure_of_another_cooldown_is_over(self, with_client):
        """There is no next attempt to wait for once the cooldown is over."""

        async def steps(client, till):
            till.broken = True
            await client.fetch()
            await asyncio.sleep(3)
            return client.status()["till"]

        status = with_client(steps, QuickTill())

        assert (status.up, status.next_attempt) == (False, None)

    async def test_it_is_a_value(self, sandbox):
        """Equal by content, and the same after pickling; with a key that was rejected in no repr of it."""
        shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
        settings = shop.settings | {"secret": "hunter2-hunter2"}
        clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        async with AggregateClient([CryptoprocessingProvider("shop", **settings)], clock=clock) as client:
            await client.fetch()
            one, two = client.status()["shop"], client.status()["shop"]

        assert type(one.error) is AuthenticationError
        assert one.error is not two.error
        assert one == two == pickle.loads(pickle.dumps(one))
        assert one != attrs.evolve(one, error=None)
        assert "hunter2" not in repr(one)
        assert settings["key"] not in repr(one)

    def test_what_a_caller_does_with_an_error_reaches_no_other(self, with_client):
        """Each has an error of its own."""

        async def steps(client, till):
            till.broken = True
            await client.fetch()
            client.status()["till"].error.add_note("mine")
            client.latest().failures[0].error.add_note("mine")
            errors = client.status()["till"].error, client.latest().failures[0].error
            return [getattr(error, "__notes__", []) for error in errors]

        assert with_client(steps, QuickTill()) == [[], []]
