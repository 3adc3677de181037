"""Arguments that mean nothing are refused, and what a provider should not do is a failure of its account."""

import asyncio
import math
import time
from datetime import UTC, datetime

import pytest

from balancekit import AggregateClient, ConfigError, ProviderTimeoutError
from tests.support.clock import NEW_YEAR
from tests.support.providers import QuickTill, Scripted, Till, bitcoin

NO_NUMBER = [-1, -math.inf, math.nan, True, "5", b"5", [1], 10**400]
AGES = [
    ("fetch", "max_age"),
    ("fetch", "stale_if_error"),
    ("fetch", "stale_while_revalidate"),
    ("stream", "max_age"),
    ("watch", "max_age"),
    ("watch", "stale_if_error"),
    ("watch", "min_interval"),
    ("watch", "every"),
]


class TestArguments:
    """A call with an argument that cannot be is refused before anything is asked."""

    @pytest.mark.parametrize("value", NO_NUMBER, ids=repr)
    @pytest.mark.parametrize(("call", "name"), AGES, ids=lambda name: name)
    async def test_an_age_is_a_number_of_seconds(self, call, name, value):
        """Zero or more; the error names the argument, and what it got."""
        till = QuickTill()
        async with AggregateClient([till]) as client:
            with pytest.raises(ConfigError, match=f"^{name}: expected .*seconds"):
                await _called(getattr(client, call)(**{name: value}))

        assert till.requests == 0

    @pytest.mark.parametrize("value", [*NO_NUMBER, 0, math.inf], ids=repr)
    @pytest.mark.parametrize("call", ["fetch", "stream"])
    async def test_a_deadline_is_a_number_of_seconds_above_zero(self, call, value):
        """One that never comes would be none; leave it out for that of the client."""
        till = QuickTill()
        async with AggregateClient([till]) as client:
            with pytest.raises(ConfigError, match=r"^deadline: expected seconds above zero"):
                await _called(getattr(client, call)(deadline=value))

        assert till.requests == 0

    async def test_an_age_may_be_infinite(self):
        """Then any snapshot will do."""
        till = QuickTill(takes=0.0)
        async with AggregateClient([till]) as client:
            await client.fetch()
            await client.fetch(max_age=math.inf, stale_if_error=math.inf, stale_while_revalidate=math.inf)

        assert till.requests == 1

    def test_a_deadline_is_never_longer_than_the_clients(self, fetch_slowly):
        """A call cannot wait longer than the client was made for."""
        assert fetch_slowly(Till(takes=9e9), deadline=1000) == (ProviderTimeoutError, 30)


@pytest.fixture
def fetch_slowly(with_client):
    """Fetch with options; gives the type of the failure, and how long it took."""

    def run(provider, **options):
        async def steps(client, _):
            loop = asyncio.get_running_loop()
            started = loop.time()
            merged = await client.fetch(**options)
            return type(merged.failures[0].error), round(loop.time() - started, 1)

        return with_client(steps, provider)

    return run


async def _called(result):
    """Await the result of a call, if that can be awaited."""
    if asyncio.iscoroutine(result):
        await result


class TestProviders:
    """A provider that misbehaves costs its own account, and the others no more than it cannot be kept from taking."""

    async def test_one_that_blocks_the_loop_costs_others_no_failure(self, sandbox):
        """What has arrived while nothing could run is read first, although the time for it is over."""

        class Blocking(QuickTill):
            async def fetch_balances(self, session):
                await asyncio.sleep(0.05)
                time.sleep(0.5)  # noqa: ASYNC251 - that is the fault
                return bitcoin(self, "1")

        async with AggregateClient([Blocking(), QuickTill("quick", takes=0.1)], timeout=0.3, attempts=1) as client:
            merged = await client.fetch(deadline=0.4)

        assert merged.complete

    def test_one_that_never_returns_times_out(self, with_client):
        """At its timeout, and the others do not wait for it longer than its attempts take."""

        async def steps(client, *_):
            loop = asyncio.get_running_loop()
            started = loop.time()
            merged = await client.fetch()
            return [one.account for one in merged.failures], merged.amount("BTC", partial=True), loop.time() - started

        failed, amount, took = with_client(steps, Till("never", takes=9e9), QuickTill(), attempts=1)

        assert (failed, amount, took) == (["never"], 1, 10)

    def test_what_one_returns_after_its_timeout_is_dated_by_its_request(self, with_client):
        """One that ends soon after its timeout is read, and so is the next account, in its slot."""

        class Late(QuickTill):
            async def fetch_balances(self, session):
                self.requests += 1
                until = asyncio.get_running_loop().time() + 10.5
                while (left := until - asyncio.get_running_loop().time()) > 0:
                    try:
                        await asyncio.sleep(left)
                    except asyncio.CancelledError:
                        continue
                return bitcoin(self, "1")

        async def steps(client, late, other):
            merged = await client.fetch()
            return merged.complete, merged.as_of, late.requests, other.requests

        result = with_client(steps, Late("late"), QuickTill("other"), concurrency=1)

        assert result == (True, datetime.fromtimestamp(NEW_YEAR + 1000, UTC), 1, 1)

    def test_what_one_returns_after_the_deadline_is_dropped(self, with_client):
        """No caller waits for it any more, and none is given it later."""

        async def swallow():
            try:
                await asyncio.sleep(9e9)
            except asyncio.CancelledError:
                await asyncio.sleep(5)
            return bitcoin(scripted, "7")

        scripted = Scripted("late", swallow)

        async def steps(client, _):
            first = await client.fetch()
            await asyncio.sleep(10)
            latest = client.latest()
            return type(first.failures[0].error), latest.accounts, (await client.fetch()).amount("BTC")

        assert with_client(steps, scripted, timeout=60, deadline=3) == (ProviderTimeoutError, (), 1)

    @pytest.mark.parametrize(
        "made",
        [None, 5, "text", {"BTC": 1}, [None], [("BTC", 1)], object(), iter([1, 2])],
        ids=["None", "number", "text", "dict", "list of None", "tuples", "object", "iterator"],
    )
    def test_what_is_no_balances_is_malformed(self, with_client, made):
        """The account fails, whatever its adapter returns."""

        async def steps(client, odd, quick):
            merged = await client.fetch()
            return [failure.account for failure in merged.failures], merged.amount("BTC", partial=True)

        class Odd(QuickTill):
            async def fetch_balances(self, session):
                return made

        assert with_client(steps, Odd("odd"), QuickTill()) == (["odd"], 1)
