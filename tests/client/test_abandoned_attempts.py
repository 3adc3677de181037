"""Adapters that go on although their attempt has timed out and was cancelled. Time is virtual."""

import asyncio
from contextlib import suppress

import pytest

from balancekit import ProviderTimeoutError
from tests.support.providers import QuickTill
from tests.support.watching import Seen


class Endless(QuickTill):
    """A till that ignores every cancellation while it is `stuck`, until the test releases it."""

    def __init__(self, account="till", *, stuck=True):
        super().__init__(account)
        self.stuck = stuck
        self.release = asyncio.Event()

    async def fetch_balances(self, session):
        """Respond, unless it is stuck."""
        if not self.stuck:
            return await super().fetch_balances(session)
        self.requests += 1
        while not self.release.is_set():
            with suppress(asyncio.CancelledError):
                await self.release.wait()
        return await super().fetch_balances(session)


@pytest.fixture
def with_endless(with_client):
    """Run a test's steps with a client of an endless till and a quick one, and release the first at the end."""

    def run(steps, **settings):
        async def released(client, endless, kiosk):
            try:
                return await steps(client, endless, kiosk)
            finally:
                endless.release.set()
                await asyncio.sleep(1)

        return with_client(released, Endless(), QuickTill("kiosk"), timeout=2, **settings)

    return run


def test_its_account_fails_a_second_after_its_timeout(with_endless):
    """Long before the deadline, and with an error that says what is wrong with the adapter."""

    async def steps(client, endless, kiosk):
        loop = asyncio.get_running_loop()
        began = loop.time()
        merged = await client.fetch()
        (failure,) = merged.failures
        return loop.time() - began, type(failure.error), str(failure.error)

    took, kind, message = with_endless(steps)

    assert (took, kind) == (pytest.approx(3), ProviderTimeoutError)
    assert "ignores cancellation" in message


def test_its_slot_is_free(with_endless):
    """The accounts that are behind it are read, although it never ends."""

    async def steps(client, endless, kiosk):
        return [snapshot.account for snapshot in (await client.fetch()).accounts]

    assert with_endless(steps, concurrency=1) == ["kiosk"]


def test_a_watch_shows_that_it_failed_and_reads_it_again(with_endless):
    """As any other failure."""

    async def steps(client, endless, kiosk):
        seen = Seen(client)
        await asyncio.sleep(4)
        failed, endless.stuck = [type(failure.error) for failure in seen.states[-1].failures], False
        await asyncio.sleep(6)
        seen.task.cancel()
        return failed, seen.states[-1].complete

    assert with_endless(steps) == ([ProviderTimeoutError], True)


def test_a_refresh_in_the_background_ends(with_endless):
    """With `stale_while_revalidate` the failure is known after the timeout, and a later call has the account read."""

    async def steps(client, endless, kiosk):
        endless.stuck = False
        await client.fetch()
        endless.stuck = True
        await asyncio.sleep(60)
        await client.fetch(max_age=30, stale_while_revalidate=3600)
        await asyncio.sleep(4)
        is_up, endless.stuck = client.status()["till"].up, False
        await asyncio.sleep(60)
        await client.fetch(max_age=30, stale_while_revalidate=3600)
        await asyncio.sleep(1)
        return is_up, client.latest().complete

    assert with_endless(steps) == (False, True)


def test_what_it_responds_later_is_dropped(with_endless):
    """It was given up: an account that was read again since shows what is held now."""

    async def steps(client, endless, kiosk):
        await client.fetch()
        endless.release.set()
        endless.held = "999"
        await asyncio.sleep(1)
        return client.status()["till"].up, client.latest(["till"]).accounts

    assert with_endless(steps) == (False, ())
