"""Leases and permits that a process holds in a store which others share. Time is virtual."""

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from balancekit import AggregateClient, RateLimit, ReportedBalances
from balancekit.client.account_book import AccountBook
from balancekit.client.flights import Flight
from balancekit.client.instrumentation import FetchSpan
from balancekit.client.leases import Leases
from balancekit.client.origins import Origins
from balancekit.client.shared_failures import SharedFailures, write_failure
from balancekit.clock import Clock
from balancekit.stores import MemoryStore, StoredFailure
from balancekit.stores.fail_open import FailOpenStore
from tests.support.providers import Till, outage

LIMIT = RateLimit(1, per=60)


class Slow(MemoryStore):
    """A store that grants what it is asked for, and takes a second to say so."""

    async def lease(self, key, owner, *, seconds):
        """Grant a lease."""
        granted = await super().lease(key, owner, seconds=seconds)
        await asyncio.sleep(0.2)
        return granted

    async def acquire_permit(self, origin, limit, request_id, *, hold):
        """Grant a permit."""
        granted = await super().acquire_permit(origin, limit, request_id, hold=hold)
        await asyncio.sleep(0.2)
        return granted


@pytest.fixture
def with_leases(run_virtually):
    """Run a test's steps with the leases of two processes that share a store."""

    def run(steps, make_store=MemoryStore):
        async def main():
            store = make_store()
            stores = [FailOpenStore(store, lambda change: None, Clock()) for _ in range(2)]
            try:
                return await steps(*(Leases(one, Clock(), None, attempt_seconds=10.0) for one in stores))
            finally:
                for one in stores:
                    await one.aclose()

        return run_virtually(main())

    return run


def flight():
    """Begin a flight of the one account that both processes have."""
    (account,) = AccountBook([Till()], Origins(), Clock()).values()
    return Flight(account, "0", 0.0, may_share=True, span=FetchSpan(1), context=contextvars.copy_context())


def test_one_process_at_a_time_has_the_lease(with_leases):
    """The other learns for how long at most: one attempt, and a little."""

    async def steps(one, other):
        return await one.acquire(flight()), await other.acquire(flight())

    assert with_leases(steps) == ((None, 0.0), (None, 10.5))


def test_a_lease_goes_back_with_the_last_flight_that_holds_it(with_leases):
    """A flight that was overtaken must not give away the lease of the next."""

    async def steps(one, other):
        first, second = flight(), flight()
        await one.acquire(first)
        await one.acquire(second)
        one.release(first)
        await asyncio.sleep(1)
        (_, held) = await other.acquire(flight())
        one.release(second)
        await asyncio.sleep(1)
        (_, free) = await other.acquire(flight())
        return held > 0, free

    assert with_leases(steps) == (True, 0.0)


def test_a_lease_whose_grant_was_not_waited_for_is_given_back(with_leases):
    """The store has granted it all the same."""

    async def steps(one, other):
        abandoned = flight()
        asking = asyncio.create_task(one.acquire(abandoned))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.wait([asking])
        one.release(abandoned)
        await asyncio.sleep(1)
        return await other.acquire(flight())

    assert with_leases(steps, Slow) == (None, 0.0)


def test_a_permit_whose_grant_was_not_waited_for_is_given_back(with_leases):
    """It counts as used from then on, not as held for as long as an attempt may take."""

    async def steps(one, other):
        asking = asyncio.create_task(one.acquire_permit("bank", LIMIT))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.wait([asking])
        await asyncio.sleep(61)
        return (await other.acquire_permit("bank", LIMIT))[1]

    assert with_leases(steps, Slow) == 0.0


def test_a_permit_is_free_again_after_its_request(with_leases):
    """`per` seconds after it was released, in whichever process."""

    async def steps(one, other):
        permit, wait = await one.acquire_permit("bank", LIMIT)
        one.release_permit("bank", LIMIT, permit)
        await asyncio.sleep(1)
        (_, early) = await other.acquire_permit("bank", LIMIT)
        await asyncio.sleep(60)
        (_, late) = await other.acquire_permit("bank", LIMIT)
        return wait, early > 0, late

    assert with_leases(steps) == (0.0, True, 0.0)


def test_a_failure_without_a_cooldown_leaves_the_lease_with_its_holder(run_virtually):
    """The account is to be read again, by the process that has the lease: this one waits for it."""

    class Late(MemoryStore):
        """A store that gives a failure whose cooldown is just over."""

        async def get(self, keys):
            """Give the failure for every key."""
            failure = StoredFailure(write_failure(outage("till")), 1.0, 0.0)
            return [attrs.evolve(stored, failure=failure) for stored in await super().get(keys)]

    async def main():
        store = FailOpenStore(Late(), lambda change: None, Clock())
        failures = SharedFailures(store, Clock(), lambda account: None)
        one, other = (Leases(store, Clock(), failures, attempt_seconds=10.0) for _ in range(2))
        await one.acquire(flight())
        known = await other.acquire(flight())
        await store.aclose()
        return known

    assert run_virtually(main()) == (None, 10.5)


def test_what_another_process_has_read_is_as_old_as_its_provider_reports(run_virtually):
    """A snapshot in the store serves those who accept the age of its balances, however young its request is."""
    reported_at = datetime.now(UTC) - timedelta(hours=1)

    class Delayed(Till):
        async def fetch_balances(self, session):
            return ReportedBalances(await super().fetch_balances(session), reported_at=reported_at)

    async def main():
        store = MemoryStore()
        async with (
            AggregateClient([first := Delayed()], store=store) as one,
            AggregateClient([second := Delayed()], store=store) as other,
        ):
            await one.fetch(max_age=60)
            await other.fetch(max_age=7200)
            served = second.requests
            await other.fetch(max_age=60)
            return first.requests, served, second.requests

    assert run_virtually(main()) == (1, 0, 1)
