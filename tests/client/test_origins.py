"""Origins that clients share, or have by themselves: limits, cooldowns and connections, and no origin that is kept."""

import asyncio
import contextlib
import gc
import tracemalloc
import weakref

import pytest

from balancekit import AggregateClient, ConfigError, Origins, RateLimit, RateLimitedError
from balancekit.stores import MemoryStore
from tests.support.clock import LoopClock
from tests.support.providers import Bank, QuickTill


def number_of_origins():
    """Return how many origins there are in this process."""
    return sum(type(one).__name__ == "Origin" for one in gc.get_objects())


class TestOrigins:
    """What belongs to an origin is not forgotten with its accounts, nor kept for ever."""

    def test_a_limit_is_kept_over_remove_and_add(self, with_client):
        """Its window counts the requests of accounts that are gone."""

        async def steps(client, till):
            await client.fetch()
            await client.remove("till")
            await client.add(QuickTill("other"))
            soon = await client.fetch(deadline=1)
            await asyncio.sleep(60)
            return type(soon.failures[0].error), (await client.fetch()).complete

        limits = {"till": RateLimit(1, per=60)}

        assert with_client(steps, QuickTill(), rate_limits=limits) == (RateLimitedError, True)

    def test_a_429_is_kept_over_remove_and_add(self, with_client):
        """No request goes to its origin before the time that it asked for."""

        class Limited(QuickTill):
            async def fetch_balances(self, session):
                self.requests += 1
                raise RateLimitedError("429", account=self.account, provider="till", status=429, retry_after=60)

        async def steps(client, limited):
            await client.fetch(deadline=1)
            await client.remove("till")
            other = QuickTill("other")
            await client.add(other)
            await client.fetch(deadline=1)
            await asyncio.sleep(30)
            await client.fetch(deadline=1)
            return other.requests

        assert with_client(steps, Limited()) == 0

    def test_a_limit_waits_for_its_first_account(self, with_client):
        """`Origins` takes limits of origins without accounts; `rate_limits` does not: the URL may be wrong."""
        with pytest.raises(ConfigError, match="rate_limits: no account is on elsewhere; there are till"):
            AggregateClient([QuickTill()], rate_limits={"elsewhere": RateLimit(1, per=60)})

        async def steps(client):
            await client.add(QuickTill("a"))
            await client.add(QuickTill("b"))
            return [type(failure.error) for failure in (await client.fetch(deadline=5)).failures]

        origins = Origins(rate_limits={"till": RateLimit(1, per=60)})

        async def main():
            async with AggregateClient([], origins=origins, clock=LoopClock()) as client:
                return await steps(client)

        with asyncio.Runner() as runner:
            assert runner.run(main()) == [RateLimitedError]

    def test_a_hundred_thousand_leave_nothing(self, with_client):
        """Neither accounts nor origins that come and go are kept."""

        class Mine(QuickTill):
            def __init__(self, number):
                super().__init__(f"till-{number}")
                self.provider = f"provider-{number}"

        async def steps(client, till):
            before, gone = number_of_origins(), []
            await client.fetch()
            for number in range(100_000):
                provider = Mine(number)
                await client.add(provider)
                if not number % 1000:
                    await client.fetch()
                    gone.append(weakref.ref(provider))
                await client.remove(provider.account)
            del provider
            await asyncio.sleep(1)
            gc.collect()
            return sum(one() is not None for one in gone), number_of_origins() - before

        providers, origins = with_client(steps, QuickTill())

        assert (providers, origins < 10) == (0, True)

    def test_nothing_is_left_without_the_store_either(self, with_client):
        """What is noted of an account while the store is out of reach goes with the account."""

        class Down(MemoryStore):
            async def get(self, keys):
                raise ConnectionError

        async def steps(client, till):
            tracemalloc.start()
            for number in range(3_000):
                if number == 500:
                    gc.collect()
                    before = tracemalloc.get_traced_memory()[0]
                await client.add(QuickTill(f"till-{number}", takes=0.0))
                await client.fetch([f"till-{number}"])
                await client.remove(f"till-{number}")
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            return grown

        assert with_client(steps, QuickTill(), store=Down(clock=LoopClock())) < 100_000


class TestSeveralClients:
    """Clients that share `Origins` keep limits and cooldowns together."""

    def test_they_keep_a_limit_together(self, run_virtually):
        """A service with a client for each of twelve tenants sends no more requests than one client."""
        banks = [Bank(f"bank-{number}") for number in range(12)]

        async def main():
            origins = Origins(rate_limits={"https://bank.example": RateLimit(3, per=2)})
            clients = [AggregateClient([bank], origins=origins, deadline=30) for bank in banks]
            merged = await asyncio.gather(*(client.fetch() for client in clients))
            for client in clients:
                await client.aclose()
            return [one.complete for one in merged]

        assert run_virtually(main()) == [True] * 12
        times = sorted(call for bank in banks for call in bank.calls)
        assert all(later - earlier >= 2 for earlier, later in zip(times, times[3:], strict=False))

    def test_a_429_to_one_is_obeyed_by_all(self, run_virtually):
        """The origin asked for a minute, whichever client it said so to."""

        class Limited(Bank):
            async def fetch_balances(self, session):
                await super().fetch_balances(session)
                raise RateLimitedError("429", account=self.account, provider="bank", status=429, retry_after=60)

        async def main():
            origins, other = Origins(), Bank("other")
            async with (
                AggregateClient([Limited("limited")], origins=origins, deadline=5) as first,
                AggregateClient([other], origins=origins, deadline=5) as second,
            ):
                await first.fetch()
                merged = await second.fetch()
                await asyncio.sleep(61)
                await second.fetch()
            return type(merged.failures[0].error), len(other.calls)

        assert run_virtually(main()) == (RateLimitedError, 1)

    def test_a_429_to_one_fails_at_once_what_is_queued_in_another(self, run_virtually):
        """As it does within one client: what cannot be read before the deadline is not waited for until then."""

        class Limited(Bank):
            async def fetch_balances(self, session):
                await super().fetch_balances(session)
                raise RateLimitedError("429", account=self.account, provider="bank", status=429, retry_after=60)

        async def main():
            origins, others, loop = Origins(), [Bank("sent", takes=5), Bank("queued")], asyncio.get_running_loop()
            began = loop.time()
            async with (
                AggregateClient([Limited("limited", takes=1)], origins=origins) as first,
                AggregateClient(others, origins=origins, concurrency=1) as second,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(first.fetch())
                async with contextlib.aclosing(second.stream()) as outcomes:
                    outcome = await anext(outcomes)
                    return outcome.account, type(outcome.error), loop.time() - began

        assert run_virtually(main()) == ("queued", RateLimitedError, 1)

    def test_a_client_that_was_dropped_takes_its_origins_along(self, run_virtually):
        """Not everybody closes a client, or removes its accounts first."""

        class Mine(QuickTill):
            def __init__(self, number):
                super().__init__()
                self.provider = f"provider-{number}"

        async def main():
            origins = Origins()
            for number in range(1000):
                async with AggregateClient([Mine(number)], origins=origins) as client:
                    await client.fetch()
            del client
            gc.collect()
            return number_of_origins()

        assert run_virtually(main()) < 200

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"origins": {}}, "origins: expected balancekit.Origins, got dict"),
            ({"origins": Origins(), "rate_limits": {}}, "rate_limits: give them to Origins"),
        ],
        ids=["wrong type", "limits at two places"],
    )
    def test_what_cannot_work_is_refused(self, settings, reason):
        """When the client is made."""
        with pytest.raises(ConfigError, match=reason):
            AggregateClient([], **settings)

    @pytest.mark.parametrize(
        ("limits", "reason"),
        [
            ([], "rate_limits: expected limits by URL, got list"),
            (
                {"https://user:hunter2@bank.example": 5},
                "https://bank.example: expected a RateLimit, got int",
            ),
        ],
    )
    def test_limits_that_cannot_be_are_refused(self, limits, reason, everything_shown_by):
        """The password of a URL is in no frame of the error."""
        with pytest.raises(ConfigError, match=reason) as caught:
            Origins(rate_limits=limits)

        assert "hunter2" not in everything_shown_by(caught.value)
