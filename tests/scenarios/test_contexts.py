"""The context variables that a request sees: those of its caller. Time is virtual."""

import asyncio
import contextvars
import gc
import weakref
from decimal import Decimal, getcontext, localcontext

import pytest

from balancekit import AggregateClient, WebhookEvent
from tests.support.clock import LoopClock
from tests.support.providers import Bank, Scripted, outage
from tests.support.stores import HANGS, FlakyStore
from tests.support.watching import Seen

tenant = contextvars.ContextVar("tenant", default="-")


class Seeing(Scripted):
    """A provider that notes for which tenant each of its requests is made."""

    def __init__(self, account, *script):
        super().__init__(account, *script)
        self.seen = []

    async def fetch_balances(self, session):
        """Note the tenant, and respond after a second."""
        self.seen.append(tenant.get())
        await asyncio.sleep(1)
        return await super().fetch_balances(session)


@pytest.fixture
def ask():
    """Fetch as a tenant."""

    async def run(client, name, *labels, **options):
        tenant.set(name)
        return await client.fetch(labels or None, **options)

    return lambda *given, **options: asyncio.create_task(run(*given, **options))


@pytest.fixture
def seen(run_virtually):
    """Run steps with a client of providers, and return for whom each request was made."""

    def run(steps, *providers, **settings):
        async def main():
            async with AggregateClient(providers, clock=LoopClock(), **settings) as client:
                await steps(client)

        run_virtually(main())
        return [provider.seen for provider in providers]

    return run


def test_each_request_runs_in_its_callers_context(seen, ask):
    """Also where one slot serves both callers, one after the other."""

    async def steps(client):
        await asyncio.gather(ask(client, "al", "a"), ask(client, "bob", "b"))

    assert seen(steps, Seeing("a"), Seeing("b"), concurrency=1) == [["al"], ["bob"]]


def test_a_shared_request_runs_in_the_context_of_its_first_caller(seen, ask):
    """The others wait for it."""

    async def steps(client):
        await asyncio.gather(*(ask(client, name, max_age=60) for name in ("al", "bob", "carol")))

    assert seen(steps, Seeing("a")) == [["al"]]


def test_a_second_attempt_runs_in_the_context_of_the_first(seen, ask):
    """Whoever has called in between."""

    async def steps(client):
        call = ask(client, "al", "a")
        await asyncio.sleep(0.5)
        await asyncio.gather(call, ask(client, "bob", "b"))

    assert seen(steps, Seeing("a", outage("a")), Seeing("b")) == [["al", "al"], ["bob"]]


def test_a_refresh_in_the_background_runs_in_the_context_of_the_caller_that_caused_it(seen, ask):
    """Not in that of the caller who read the account before."""

    async def steps(client):
        await ask(client, "al", max_age=60)
        await asyncio.sleep(100)
        await ask(client, "bob", max_age=60, stale_while_revalidate=3600)
        await asyncio.sleep(5)

    assert seen(steps, Seeing("a")) == [["al", "bob"]]


def test_what_an_adapter_sets_is_not_seen_by_its_callers(seen, ask):
    """Each request has a copy of the context."""
    after = []

    class Setting(Seeing):
        async def fetch_balances(self, session):
            try:
                return await super().fetch_balances(session)
            finally:
                tenant.set("set by the adapter")

    async def steps(client):
        await client.fetch()
        after.append(tenant.get())

    seen(steps, Setting("a"))

    assert after == ["-"]


class Cents(Scripted):
    """A provider of amounts in cents."""

    async def fetch_balances(self, session):
        """Respond with what its adapter makes of them."""
        return self.balances(Decimal(123456789) / 100)


async def test_no_balance_is_rounded_as_its_first_caller_rounds():
    """Others are shown it too, and have not asked for that."""
    async with AggregateClient([Cents("till")]) as client:
        with localcontext() as context:
            context.prec = 6
            first = await client.fetch(max_age=60)

    assert first["BTC"].plain == client.latest()["BTC"].plain == "1234567.89"


async def test_an_adapter_that_cannot_calculate_exactly_fails():
    """A third has more digits than an amount may have."""

    class Thirds(Cents):
        async def fetch_balances(self, session):
            return self.balances(Decimal(1) / 3)

    async with AggregateClient([Thirds("till")], attempts=1) as client:
        merged = await client.fetch()

    assert "more than 200 places" in str(merged.failures[0].error)


class Rounding(Cents):
    """A provider whose adapter calculates with six digits, as it says to the context that it finds."""

    async def fetch_balances(self, session):
        """Respond after that."""
        getcontext().prec = 6
        return await super().fetch_balances(session)


async def test_no_balance_is_rounded_as_the_adapter_of_another_account_rounds():
    """Also where one slot serves both, one after the other."""
    async with AggregateClient([Rounding("rough"), Cents("till"), Cents("shop")], concurrency=1) as client:
        merged = await client.fetch()

    shown = {held.account: held.plain for held in merged["BTC"].balances}
    assert shown == {"rough": "1234570", "till": "1234567.89", "shop": "1234567.89"}


class OverSdk(Scripted):
    """A provider over a library that keeps one client in each context, as many do."""

    def __init__(self, account, of_context):
        super().__init__(account)
        self.of_context = of_context

    async def fetch_balances(self, session):
        """Read with the client of this context, made with this account's key unless there is one."""
        if self.of_context.get() is None:
            self.of_context.set(self.account)
        await asyncio.sleep(0)
        return self.balances(self.of_context.get())


@pytest.mark.parametrize("concurrency", [1, 2, 100])
@pytest.mark.parametrize("name", ["client_of_context", "balancekit_mybank_client"])
async def test_no_account_sees_what_the_adapter_of_another_has_set(concurrency, name):
    """Also where one slot serves both, one after the other, and whatever the variable's name is."""
    of_context = contextvars.ContextVar(name, default=None)
    accounts = [OverSdk(str(number), of_context) for number in range(1, 10)]
    async with AggregateClient(accounts, concurrency=concurrency) as client:
        merged = await client.fetch()

    assert {held.account: held.plain for held in merged["BTC"].balances} == {str(one): str(one) for one in range(1, 10)}


class Leaving(Bank):
    """A bank whose adapter leaves something in its context, wherever it is called."""

    def leave(self):
        """Set a variable, and the precision."""
        tenant.set(self.account)
        getcontext().prec = 6

    def build_request(self, *, now, nonce):
        """Build a request after that."""
        self.leave()
        return super().build_request(now=now, nonce=nonce)

    def verify_webhook(self, headers, body, *, now=None):
        """Accept every delivery after that."""
        self.leave()
        return WebhookEvent(self.account, self.provider, "event-1", "payment", None, settled=True)


async def test_what_an_adapter_sets_as_it_is_added_or_verifies_a_webhook_is_not_the_programs():
    """The program goes on with other accounts."""
    precision = getcontext().prec
    async with AggregateClient([Leaving("till")], settle_delay=0) as client:
        await client.add(Leaving("shop"))
        await client.handle_webhook("till", {}, b"{}")

        assert (tenant.get(), getcontext().prec) == ("-", precision)


def test_a_watch_reads_in_the_context_in_which_the_client_was_made(seen):
    """Not in that of a read that has failed and is tried again, in which the adapter has left something."""

    class Leaving(Seeing):
        async def fetch_balances(self, session):
            try:
                return await super().fetch_balances(session)
            finally:
                tenant.set("left by the adapter")

    async def steps(client):
        states = Seen(client)
        await asyncio.sleep(30)
        states.task.cancel()

    assert seen(steps, Leaving("a", outage("a")), attempts=1) == [["-", "-"]]


class Request:
    """What a web framework keeps in the context while it serves a request, with its headers."""


request_of = contextvars.ContextVar("request", default=None)


@pytest.mark.parametrize("call", ["watch", "invalidate", "handle_webhook"])
def test_nothing_that_goes_on_keeps_the_request_of_the_caller_who_began_it(run_virtually, call):
    """A store listens, or waits for an outage to end, and a second look comes, long after the response."""

    async def serve(client):
        request = Request()
        request_of.set(request)
        if call == "watch":
            async with client.watch() as states:
                await anext(states)
        elif call == "invalidate":
            await client.invalidate("a")
        else:
            await client.handle_webhook("a", {}, b"{}")
        return weakref.ref(request)

    async def main():
        store = FlakyStore()
        async with AggregateClient([Leaving("a")], store=store, clock=LoopClock(), settle_delay=60) as client:
            store.fault = HANGS if call == "invalidate" else None
            request = await asyncio.create_task(serve(client))
            await asyncio.sleep(10)
            gc.collect()
            return request()

    assert run_virtually(main()) is None
