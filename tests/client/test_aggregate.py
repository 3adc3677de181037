"""The client's policy: fan-out, deadlines, retries, isolation. Time is virtual and providers are scripted."""

import asyncio
import contextlib
import gc
import warnings
from contextlib import aclosing
from decimal import Decimal
from types import SimpleNamespace

import aiohttp
import pytest

from balancekit import (
    AccountBalances,
    AggregateClient,
    AssetType,
    AuthenticationError,
    Balance,
    ConfigError,
    IncompleteError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
    RetryPolicy,
    ServiceUnavailableError,
    TransportError,
)


class Scripted:
    """A provider that plays its script, one step an attempt: seconds to wait, an exception to raise, or an answer."""

    provider = "scripted"

    def __init__(self, account, *script, watch=None):
        self.account = account
        self.script = list(script)
        self.calls = 0
        self.watch = watch

    def balances(self, amount="1"):
        """Return one balance of the account."""
        return [Balance("BTC", Decimal(amount), AssetType.CRYPTO, self.account, self.provider, "BTC")]

    async def fetch_balances(self, session):
        """Play the next step."""
        self.calls += 1
        step = self.script.pop(0) if self.script else None
        if self.watch is not None:
            self.watch.enter()
        try:
            if isinstance(step, int | float):
                await asyncio.sleep(step)
            elif isinstance(step, BaseException):
                raise step
            elif step is not None:
                return step
            return self.balances()
        finally:
            if self.watch is not None:
                self.watch.leave()


class Watch:
    """Counts how many calls are under way at once."""

    def __init__(self):
        self.now = self.most = 0

    def enter(self):
        """Count one more under way."""
        self.now += 1
        self.most = max(self.most, self.now)

    def leave(self):
        """Count one less under way."""
        self.now -= 1


def _down(account, **facts):
    return ServiceUnavailableError("503", account=account, provider="scripted", status=503, **facts)


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


def test_many_accounts_take_the_time_of_the_slowest(fetch):
    """Fifty accounts of 200 ms each are read in 200 ms."""
    done = fetch([Scripted(f"a{number}", 0.2) for number in range(50)])

    assert done.took == pytest.approx(0.2)
    assert done.merged.complete
    assert done.merged.amount("BTC") == 50


def test_no_more_accounts_are_read_at_once_than_allowed(fetch):
    """The limit holds, and every account gets its turn."""
    watch = Watch()

    done = fetch([Scripted(f"a{number}", 1, watch=watch) for number in range(10)], concurrency=3)

    assert watch.most == 3
    assert done.took == pytest.approx(4)
    assert len(done.merged.accounts) == 10


def test_the_deadline_ends_a_fetch_with_what_has_arrived(fetch):
    """Ninety accounts answer, ten never do: ninety snapshots and ten timeouts, at the deadline."""
    never = [Scripted(f"never{number}", 9e9) for number in range(10)]

    done = fetch([*never, *(Scripted(f"a{number}", 0.1) for number in range(90))], deadline=1.0)

    assert done.took == pytest.approx(1.0, abs=0.06)
    assert len(done.merged.accounts) == 90
    assert {type(failure.error) for failure in done.merged.failures} == {ProviderTimeoutError}
    assert "before the deadline of 1 s" in str(done.merged.failures[0].error)


def test_an_account_that_never_got_its_turn_is_a_timeout(fetch):
    """With one worker and a slow account before it, an account is named as not read, not left out."""
    waiting = Scripted("waiting")

    done = fetch([Scripted("slow", 9e9), waiting], concurrency=1, deadline=1.0, timeout=5.0)

    assert [failure.account for failure in done.merged.failures] == ["slow", "waiting"]
    assert waiting.calls == 0
    assert "not asked before the deadline of 1 s" in str(done.merged.failures[1].error)


def test_one_attempt_has_a_timeout_and_is_tried_again(fetch):
    """An attempt that hangs costs its timeout, and the next may answer."""
    hanging = Scripted("shop", 9e9, 0.0)

    done = fetch([hanging], timeout=2.0)

    assert done.merged.complete
    assert 2.0 <= done.took <= 2.2
    assert hanging.calls == 2


def test_an_account_that_hangs_at_every_attempt_is_a_timeout(fetch):
    """After the last attempt the failure tells how long each one waited."""
    done = fetch([Scripted("shop", 9e9, 9e9, 9e9)], timeout=2.0)

    assert "no answer within 2 s" in str(done.merged.failures[0].error)
    assert isinstance(done.merged.failures[0].error, ProviderTimeoutError)


@pytest.mark.parametrize(
    "error",
    [
        _down("shop"),
        RateLimitedError("429", account="shop", provider="scripted"),
        TransportError("reset", account="shop", provider="scripted"),
        aiohttp.ServerDisconnectedError(),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again(fetch, error):
    """Transport errors, timeouts, 429 and 5xx are retried, aiohttp's own errors included."""
    shop = Scripted("shop", error, error)

    assert fetch([shop]).merged.complete
    assert shop.calls == 3


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("403", account="shop", provider="scripted"),
        MalformedResponseError("data", account="shop", provider="scripted"),
        ConfigError("no key"),
        ValueError("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_pass_is_not_tried_again(fetch, error):
    """A wrong key stays wrong."""
    shop = Scripted("shop", error)

    done = fetch([shop])

    assert shop.calls == 1
    assert not done.merged.complete


def test_attempts_are_counted(fetch):
    """The number of attempts includes the first."""
    shop = Scripted("shop", *[_down("shop")] * 9)

    done = fetch([shop], attempts=4)

    assert shop.calls == 4
    assert done.merged.failures[0].error.status == 503


def test_retry_after_is_obeyed(fetch):
    """The next attempt waits as long as the provider asks."""
    done = fetch([Scripted("shop", _down("shop", retry_after=7.0))])

    assert done.merged.complete
    assert 7.0 <= done.took <= 7.1


def test_a_wait_beyond_the_deadline_fails_at_once_and_says_when_to_come_back(fetch):
    """Nobody waits for a deadline that is known to be missed."""
    done = fetch([Scripted("shop", _down("shop", retry_after=60.0))], deadline=30.0)

    assert done.took == 0
    assert done.merged.failures[0].error.retry_after == 60.0


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("no"),
        KeyError("x"),
        RecursionError(),
        BaseExceptionGroup("odd", [ValueError()]),
        asyncio.CancelledError(),
        type("OddError", (BaseException,), {})(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_provider_raises_is_its_own_failure(fetch, raised):
    """One account's adapter cannot end the fetch of the others, whatever it raises."""
    done = fetch([Scripted("odd", raised), Scripted("shop", 0.1)])

    (failure,) = done.merged.failures
    assert done.merged.amount("BTC") == 1
    assert isinstance(failure.error, ProviderError)
    assert failure.error.__cause__ is raised
    assert f"the adapter raised {type(raised).__name__}" in str(failure.error)


def test_what_an_adapter_raises_while_it_is_listed_is_not_repeated(fetch):
    """A generator fails only when it is read, and what it says may hold anything then, too."""

    def balances():
        yield from Scripted("odd").balances()
        raise ValueError("sk_live\x1b[2J")

    (failure,) = fetch([Scripted("odd", balances())]).merged.failures

    assert "the adapter raised ValueError" in str(failure.error)
    assert "sk_live" not in str(failure.error)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Decimal(5), "expected balances, got Decimal"),
        ("BTC", r"balances\[0\] must be a Balance, not str"),
        ([None], r"balances\[0\] must be a Balance, not NoneType"),
        (Scripted("other").balances(), r"balances\[0\] belongs to another account than 'shop'"),
    ],
    ids=["number", "string", "none", "other account"],
)
def test_an_answer_that_is_no_balances_is_malformed(fetch, answer, reason):
    """What an adapter returns is checked as what a provider sends is."""
    (failure,) = fetch([Scripted("shop", answer)]).merged.failures

    with pytest.raises(MalformedResponseError, match=reason):
        raise failure.error


def test_an_adapter_that_is_not_asynchronous_fails_by_itself(fetch):
    """An adapter that forgot its `async` is named, and the others are read."""
    wrong = SimpleNamespace(account="wrong", provider="scripted", fetch_balances=lambda session: [])

    done = fetch([wrong, Scripted("shop")])

    assert [failure.account for failure in done.merged.failures] == ["wrong"]
    assert "raised TypeError" in str(done.merged.failures[0].error)


class BareError(ProviderError):
    """An error of somebody's own that leaves out the constructor."""

    def __init__(self):
        Exception.__init__(self, "bare")


class UnshowableError(OSError):
    """An error that cannot even be shown."""

    def __str__(self):
        raise RuntimeError


class CancelsItself(Scripted):
    """A provider that cancels the task that it runs in."""

    async def fetch_balances(self, session):
        """Cancel and let it happen."""
        asyncio.current_task().cancel()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "make_bad",
    [
        lambda: CancelsItself("bad"),
        lambda: Scripted("bad", GeneratorExit()),
        lambda: Scripted("bad", BareError()),
        lambda: Scripted("bad", UnshowableError()),
        lambda: Scripted("bad", ServiceUnavailableError("503", account="bad", provider="scripted", retry_after="5")),
    ],
    ids=["cancels itself", "GeneratorExit", "bare error", "unshowable error", "odd retry_after"],
)
def test_a_provider_that_breaks_its_worker_costs_the_others_nothing(fetch, make_bad):
    """Even where one account's adapter ends the task that it runs in, the next account is read."""
    done = fetch([make_bad(), Scripted("healthy")], concurrency=1, deadline=5.0)

    assert [snapshot.account for snapshot in done.merged.accounts] == ["healthy"]
    assert [failure.account for failure in done.merged.failures] == ["bad"]
    assert done.took < 1


def test_first_attempts_come_before_second_ones(fetch):
    """Accounts of a host that hangs do not keep the others from their turn by being tried again and again."""
    hanging = [Scripted(f"hanging{number}", 9e9, 9e9, 9e9) for number in range(2)]

    done = fetch([*hanging, Scripted("healthy")], concurrency=2, timeout=0.2, deadline=0.6)

    assert [snapshot.account for snapshot in done.merged.accounts] == ["healthy"]


def test_an_account_that_waits_to_be_tried_again_keeps_nobody_waiting(fetch):
    """A wait that a provider asks for takes no worker away from the others."""
    done = fetch([Scripted("busy", _down("busy", retry_after=5.0)), Scripted("shop", 0.1)], concurrency=1)

    assert done.merged.complete
    assert done.took == pytest.approx(5.0, abs=0.2)


def test_concurrency_holds_over_all_fetches_of_a_client(run_virtually):
    """Five callers at once do not make five times the connections, and waiting for a turn is no provider's fault."""

    async def main():
        watch = Watch()
        shop = Scripted("shop", *[0.3] * 5, watch=watch)
        async with AggregateClient([shop], concurrency=1, timeout=0.5, attempts=1) as client:
            results = await asyncio.gather(*(client.fetch() for _ in range(5)))
        return watch.most, [merged.complete for merged in results]

    assert run_virtually(main()) == (1, [True] * 5)


def test_waiting_for_other_fetches_ends_at_the_deadline(run_virtually):
    """A caller that gets no turn before its deadline is told so."""

    async def main():
        shop = Scripted("shop", 20.0, 20.0)
        async with AggregateClient([shop], concurrency=1, timeout=30.0, deadline=5.0) as client:
            first = asyncio.create_task(client.fetch())
            await asyncio.sleep(0.1)
            later = await asyncio.gather(client.fetch(), client.fetch())
            await first
        return shop.calls, [str(merged.failures[0].error) for merged in later]

    calls, errors = run_virtually(main())

    assert calls == 2
    assert "no answer before the deadline of 5 s" in errors[0]
    assert "not asked before the deadline of 5 s" in errors[1]


def test_cancelling_stops_a_provider_that_turns_it_into_an_error(run_virtually):
    """After a fetch was cancelled no other account is asked, whatever the one under way makes of it."""

    class Stubborn(Scripted):
        async def fetch_balances(self, session):
            asked.append(self.account)
            try:
                await asyncio.sleep(9e9)
            except asyncio.CancelledError:
                raise ValueError from None

    async def main():
        async with AggregateClient([Stubborn(f"a{number}") for number in range(9)], concurrency=2) as client:
            fetching = asyncio.create_task(client.fetch())
            await asyncio.sleep(1)
            fetching.cancel()
            await asyncio.sleep(1)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asked = []
    run_virtually(main())

    assert asked == ["a0", "a1"]


def test_closing_ends_what_is_being_read(run_virtually):
    """A caller in the middle of a fetch learns at once that the client was closed, and keeps what has arrived."""

    async def main():
        client = AggregateClient([Scripted("shop"), Scripted("slow", 9e9)])
        fetching = asyncio.create_task(client.fetch())
        await asyncio.sleep(1)
        await client.aclose()
        return await fetching

    merged = run_virtually(main())

    assert merged.amount("BTC") == 1
    assert "the client was closed" in str(merged.failures[0].error)


def test_a_provider_that_refuses_to_be_cancelled_does_not_hold_the_caller(run_virtually):
    """The deadline is kept even if an adapter swallows its cancellation."""

    class Stubborn(Scripted):
        async def fetch_balances(self, session):
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return self.balances()

    async def main():
        nonlocal release
        release = asyncio.Event()
        started = asyncio.get_running_loop().time()
        async with AggregateClient([Stubborn("stubborn"), Scripted("shop")], deadline=1.0) as client:
            merged = await client.fetch()
        took = asyncio.get_running_loop().time() - started
        release.set()
        await asyncio.sleep(1)
        return merged, took

    release = None
    merged, took = run_virtually(main())

    assert took == pytest.approx(1.05)
    assert [failure.account for failure in merged.failures] == ["stubborn"]


def test_strict_raises_with_what_was_read(fetch):
    """All or nothing, and yet nothing is lost."""
    with pytest.raises(IncompleteError, match="1 of 2 accounts could not be read: bad") as caught:
        fetch([Scripted("bad", ValueError()), Scripted("shop")], strict=True)

    assert caught.value.partial.amount("BTC") == 1


def test_strict_passes_a_complete_result(fetch):
    """Nothing is raised where nothing is missing."""
    assert fetch([Scripted("shop")], strict=True).merged.complete


def test_chosen_accounts_are_read_alone(fetch):
    """Only the accounts that are asked for get a request, and each only one."""
    a, b = Scripted("a"), Scripted("b")

    done = fetch([a, b], ["b", "b"])

    assert [snapshot.account for snapshot in done.merged.accounts] == ["b"]
    assert (a.calls, b.calls) == (0, 1)


@pytest.mark.parametrize(("accounts", "reason"), [(["c"], "no account is labelled 'c'"), ("ab", "expected a list")])
def test_an_account_that_is_not_there_is_an_error(fetch, accounts, reason):
    """A misspelt label is not an account that holds nothing."""
    with pytest.raises(ConfigError, match=reason):
        fetch([Scripted("a")], accounts)


def test_no_accounts_hold_nothing(fetch):
    """An empty client gives an empty result."""
    assert fetch([]).merged.totals == ()


def test_results_are_equal_whatever_the_order_of_answers(fetch):
    """The result tells nothing of the race."""
    first = fetch([Scripted("a", 0.1), Scripted("b", 0.2), Scripted("c", ValueError())]).merged
    second = fetch([Scripted("c", ValueError()), Scripted("b", 0.1), Scripted("a", 0.2)]).merged

    assert first.totals == second.totals
    assert [snapshot.account for snapshot in first.accounts] == [snapshot.account for snapshot in second.accounts]
    assert first.failures == second.failures


def test_aliases_are_applied(fetch):
    """The client hands its aliases to the merge."""
    assert fetch([Scripted("a")], aliases={"btc": "XBT"}).merged.amount("XBT") == 1


def test_a_stream_gives_each_outcome_as_it_arrives(run_virtually):
    """Nobody waits for the slowest to see the first."""

    async def main():
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with AggregateClient([Scripted("slow", 2), Scripted("fast", 1), Scripted("bad", ValueError())]) as client:
            return [(outcome.account, round(loop.time() - started, 3)) async for outcome in client.stream()]

    assert run_virtually(main()) == [("bad", 0), ("fast", 1), ("slow", 2)]


def test_leaving_a_stream_early_ends_every_request(run_virtually):
    """After the loop is left, nothing that it started goes on, and the client can be used again."""

    async def main():
        watch = Watch()
        accounts = [Scripted("fast", 0.1, watch=watch), *(Scripted(f"a{n}", 9e9, watch=watch) for n in range(9))]
        async with AggregateClient(accounts) as client:
            async with aclosing(client.stream()) as outcomes:
                async for outcome in outcomes:
                    assert outcome.account == "fast"
                    break
            assert watch.now == 0
            return await client.fetch(["fast"])

    assert run_virtually(main()).complete


def test_cancelling_a_fetch_ends_every_request_and_leaves_the_client_usable(run_virtually):
    """A cancelled caller leaves no request behind."""

    async def main():
        watch = Watch()
        async with AggregateClient([Scripted("a", 9e9, 0, watch=watch), Scripted("b", 9e9, 0, watch=watch)]) as client:
            fetching = asyncio.create_task(client.fetch())
            await asyncio.sleep(1)
            assert watch.now == 2
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert watch.now == 0
            return await client.fetch()

    assert run_virtually(main()).complete


def test_a_caller_may_take_its_time_between_outcomes(run_virtually):
    """Outcomes that arrived before the deadline are given after it, too."""

    async def main():
        async with AggregateClient([Scripted("a", 0.1), Scripted("b", 0.2)], deadline=1.0) as client:
            outcomes = []
            async for outcome in client.stream():
                outcomes.append(outcome)
                await asyncio.sleep(60)
            return outcomes

    assert all(isinstance(outcome, AccountBalances) for outcome in run_virtually(main()))


def test_concurrent_fetches_do_not_disturb_each_other(run_virtually):
    """Nothing about a call is kept on the client."""

    async def main():
        async with AggregateClient([Scripted("a", 1, 0.5), Scripted("b")]) as client:
            return await asyncio.gather(client.fetch(), client.fetch(["a"]))

    both, one = run_virtually(main())

    assert (both.amount("BTC"), one.amount("BTC")) == (2, 1)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"concurrency": 0}, "concurrency: expected a whole number above zero, got 0"),
        ({"concurrency": True}, "concurrency"),
        ({"attempts": 1.5}, "attempts"),
        ({"timeout": 0}, "timeout: expected seconds above zero, got 0"),
        ({"deadline": float("inf")}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"timeout": "5"}, "timeout"),
        ({"deadline": None}, "deadline"),
        ({"aliases": {"A": "B", "B": "C"}}, "aliases: .*an alias itself"),
        ({"aliases": {"a": "B", "A": "C"}}, "aliases: the alias 'A' leads to both"),
        ({"aliases": [("A", "B")]}, "aliases: expected a mapping"),
        ({"session": "x"}, "session: expected an aiohttp.ClientSession, got str"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused_at_construction(settings, reason):
    """Wrong settings are found where they are made."""
    with pytest.raises(ConfigError, match=reason):
        AggregateClient([], **settings)


@pytest.mark.parametrize(
    ("providers", "reason"),
    [
        ([Scripted("a"), Scripted("a")], r"providers\[1\]: a second account is labelled 'a'"),
        ([object()], r"providers\[0\]: object is no BalanceProvider: it lacks account, provider, fetch_balances"),
        (Scripted("a"), "providers: expected a list of providers, got Scripted"),
        (None, "providers: expected a list of providers, got NoneType"),
        ([Scripted("")], r"providers\[0\]: an empty label"),
        ([Scripted(5)], r"providers\[0\]: a label must be a string"),
    ],
    ids=["twice", "no provider", "one alone", "none", "empty label", "number"],
)
def test_accounts_that_cannot_be_told_apart_are_refused(providers, reason):
    """Every account has a label of its own that can be shown."""
    with pytest.raises(ConfigError, match=reason):
        AggregateClient(providers)


async def test_a_lent_session_is_used_and_left_open():
    """Who opened a session closes it."""
    async with aiohttp.ClientSession() as session:
        seen = []

        class Asking(Scripted):
            async def fetch_balances(self, session):
                seen.append(session)
                return []

        async with AggregateClient([Asking("a")], session=session) as client:
            await client.fetch()

        assert seen == [session]
        assert not session.closed


async def test_a_lent_session_that_is_closed_is_a_clear_error():
    """A dead session is found before a request is made with it."""
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(RuntimeError, match="the session lent to this client is closed"):
        await AggregateClient([Scripted("a")], session=session).fetch()


async def test_a_closed_client_is_not_used():
    """After close every use is a clear error and opens nothing; closing twice is fine."""
    shop = Scripted("shop")
    client = AggregateClient([shop])
    await client.aclose()
    await client.aclose()

    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.fetch()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.stream()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.__aenter__()
    assert shop.calls == 0
    assert repr(client) == "AggregateClient(1 accounts, closed)"


async def test_the_clients_own_session_is_closed_with_it():
    """A client that opened a session leaves none behind."""
    client = AggregateClient([Scripted("a")])
    await client.fetch()
    session = client._owned

    await client.aclose()

    assert session.closed


async def test_a_client_that_is_dropped_open_warns():
    """Whoever forgets to close is told."""
    client = AggregateClient([Scripted("a")])
    await client.fetch()
    session = client._owned

    with pytest.warns(ResourceWarning, match="was dropped without aclose"):
        del client
    await session.close()


def test_a_client_survives_its_loop():
    """One client made at the top of a module works in one `asyncio.run` after the other."""
    client = AggregateClient([Scripted("a")])

    asyncio.run(client.fetch())
    with warnings.catch_warnings():
        # aiohttp says that the first session died open, which is true.
        warnings.simplefilter("ignore", ResourceWarning)
        merged = asyncio.run(_fetch_and_close(client))
        gc.collect()

    assert merged.complete


async def _fetch_and_close(client):
    async with client:
        return await client.fetch()


def test_a_client_is_not_used_in_two_loops_at_once():
    """Sockets belong to one loop; using them from another is a clear error."""
    client = AggregateClient([Scripted("a")])

    with asyncio.Runner() as first:
        first.run(client.fetch())
        with asyncio.Runner() as second, pytest.raises(RuntimeError, match="in use in another event loop"):
            second.run(client.fetch())
        first.run(client.aclose())


def test_the_last_retry_is_not_followed_by_a_wait(fetch):
    """A failure is told as soon as it is final."""
    done = fetch([Scripted("shop", *[_down("shop", retry_after=1.0)] * 3)])

    assert 2.0 <= done.took <= 2.3


def test_delays_are_jittered(fetch):
    """Two runs of the same failures do not wait the same time."""
    times = {fetch([Scripted("shop", _down("shop"), _down("shop"))]).took for _ in range(8)}

    assert len(times) > 1
    assert max(times) <= RetryPolicy().first * 3


async def test_accounts_are_listed():
    """The labels can be asked for, in the order given."""
    async with AggregateClient([Scripted("b"), Scripted("a")]) as client:
        assert client.accounts == ("b", "a")
        assert repr(client) == "AggregateClient(2 accounts)"


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_the_interpreters_own_exceptions_pass(run_virtually, interrupt):
    """Ctrl-C ends the program, not one account."""

    async def main():
        async with AggregateClient([Scripted("a", interrupt())]) as client:
            await client.fetch()

    with pytest.raises(interrupt):
        run_virtually(main())


class _Stubborn:
    account, provider = "stubborn", "fake"

    async def fetch_balances(self, session):
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1e4)
        await asyncio.sleep(1e4)


class _CancelsItself:
    account, provider = "cancels-itself", "fake"

    async def fetch_balances(self, session):
        asyncio.current_task().cancel()
        return []


class _Well:
    account, provider = "well", "fake"

    async def fetch_balances(self, session):
        await asyncio.sleep(1)
        return []


def test_a_request_that_refuses_to_be_cancelled_gives_up_its_place(run_virtually):
    """Whoever waits behind it is read, even if nobody else ever asks."""

    async def main():
        async with AggregateClient([_Stubborn(), _Well()], concurrency=1) as client:
            first = asyncio.create_task(client.fetch(["stubborn"]))
            await asyncio.sleep(0.1)
            second = asyncio.create_task(client.fetch(["well"]))
            await asyncio.sleep(0.1)
            first.cancel()
            return (await second).complete

    assert run_virtually(main())


def test_a_cancellation_that_a_provider_leaves_behind_hits_no_other_account(run_virtually):
    """A provider that cancels its task and returns all the same fails nobody else."""

    async def main():
        async with AggregateClient([_CancelsItself(), _Well()], concurrency=1) as client:
            return (await client.fetch(["cancels-itself", "well"])).complete

    assert run_virtually(main())
