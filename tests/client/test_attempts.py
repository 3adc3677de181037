"""One attempt: its timeout, its errors, when another follows, and limits on the rate. Time is virtual."""

import asyncio
import inspect
from decimal import Decimal
from types import SimpleNamespace

import aiohttp
import pytest

from balancekit import (
    AggregateClient,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    RateLimit,
    RateLimitedError,
    RetryPolicy,
    ServiceUnavailableError,
    TransportError,
)
from tests.support.loopback_origin import LoopbackOrigin, raw_response
from tests.support.providers import Bank, Scripted, outage


def test_one_attempt_has_a_timeout_and_is_tried_again(fetch):
    """An attempt that hangs costs its timeout, and the next may succeed."""
    hanging = Scripted("shop", 9e9, 0.0)

    done = fetch([hanging], timeout=2.0)

    assert done.merged.complete
    assert 2.0 <= done.took <= 2.2
    assert hanging.calls == 2


def test_an_account_that_hangs_at_every_attempt_is_a_timeout(fetch):
    """After the last attempt the failure tells how long each one waited."""
    done = fetch([Scripted("shop", 9e9, 9e9, 9e9)], timeout=2.0)

    assert "no response within 2 s" in str(done.merged.failures[0].error)
    assert isinstance(done.merged.failures[0].error, ProviderTimeoutError)


@pytest.mark.parametrize(
    "error",
    [
        outage("shop"),
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
    shop = Scripted("shop", *[outage("shop")] * 9)

    done = fetch([shop], attempts=4)

    assert shop.calls == 4
    assert done.merged.failures[0].error.status == 503


def test_retry_after_is_obeyed(fetch):
    """The next attempt waits as long as the provider asks."""
    done = fetch([Scripted("shop", outage("shop", retry_after=7.0))])

    assert done.merged.complete
    assert 7.0 <= done.took <= 7.1


def test_a_wait_beyond_the_deadline_fails_at_once_and_says_when_to_come_back(fetch):
    """Nobody waits for a deadline that is known to be missed."""
    done = fetch([Scripted("shop", outage("shop", retry_after=60.0))], deadline=30.0)

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
    assert done.merged.amount("BTC", partial=True) == 1
    assert isinstance(failure.error, ProviderError)
    assert failure.error.__cause__ is (None if type(raised).__module__ == __name__ else raised)
    assert f"the adapter raised {type(raised).__name__}" in str(failure.error)


class Raising:
    """An adapter that lets aiohttp raise for a status, and keeps its token in an attribute."""

    account = provider = "mine"

    def __init__(self, url):
        self._url = url
        self._headers = {"Authorization": "Bearer canary-3f9a"}

    async def fetch_balances(self, session):
        """Read nothing but the status."""
        async with session.get(self._url, headers=self._headers) as response:
            response.raise_for_status()
            raise LookupError(f"no account for {self._headers['Authorization'].lower()}\x1b[2J")


@pytest.mark.parametrize(
    ("status", "kind", "requests"),
    [
        (401, AuthenticationError, 1),
        (403, AuthenticationError, 1),
        (404, BadRequestError, 1),
        (408, BadRequestError, 2),
        (429, RateLimitedError, 1),
        (503, ServiceUnavailableError, 1),
    ],
)
async def test_an_adapter_may_raise_for_the_status(status, kind, requests):
    """A wrong key is not sent again and again, and `Retry-After` is obeyed: here it lies beyond the deadline."""
    origin = LoopbackOrigin()
    wait = "Retry-After: 40" if status in {429, 503} else "X-None: 0"
    origin.response = raw_response(status, b"", wait)
    await origin.start()

    async with AggregateClient([Raising(origin.url)], retry=RetryPolicy(2, first=0)) as client:
        (failure,) = (await client.fetch()).failures
    await origin.stop()

    assert type(failure.error) is kind
    assert (failure.error.status, len(origin.requests)) == (status, requests)
    assert failure.error.retry_after == (40 if status in {429, 503} else None)


async def test_the_error_and_the_log_show_where_an_adapter_raised_and_what(caplog, everything_shown_by):
    """File, line and the adapter's own message are there, without its secrets and in one line."""
    origin = LoopbackOrigin()
    await origin.start()

    async with AggregateClient([Raising(origin.url)]) as client:
        (failure,) = (await client.fetch()).failures
    await origin.stop()

    line = inspect.getsourcelines(Raising.fetch_balances)[1] + 4
    where = f"Look at {__file__}:{line} in fetch_balances, which raised LookupError: no account for "
    assert where in str(failure.error)
    assert caplog.messages == [f"mine (mine) is down: ProviderError ({where}bearer …)"]
    assert "canary" not in f"{everything_shown_by(failure.error)} {caplog.text}".lower()


async def test_the_log_shows_no_code_that_forges_a_line(caplog):
    """An adapter's error may have any text as its code."""
    forged = ProviderError("x", account="shop", provider="scripted", code="down\nshop is back")

    async with AggregateClient([Scripted("shop", forged)]) as client:
        await client.fetch()

    assert caplog.messages == ["shop (scripted) is down: ProviderError down shop is back"]


def test_what_looks_like_a_key_is_not_repeated(fetch):
    """A generator fails only when it is read, and what it says may hold anything then, too."""

    def balances():
        yield from Scripted("odd").balances()
        raise ValueError("sk_live\x1b[2J")

    (failure,) = fetch([Scripted("odd", balances())]).merged.failures

    assert "the adapter raised ValueError" in str(failure.error)
    assert "sk_live" not in str(failure.error)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (Decimal(5), "expected balances, got Decimal"),
        ("BTC", r"balances\[0\] must be a Balance, not str"),
        (map(str, []), "expected a list of balances, got map"),
        ([None], r"balances\[0\] must be a Balance, not NoneType"),
        (Scripted("other").balances(), r"balances\[0\] belongs to another account than 'shop'"),
    ],
    ids=["number", "string", "lazy", "none", "other account"],
)
def test_a_result_that_is_no_balances_is_malformed(fetch, returned, reason):
    """What an adapter returns is checked as what a provider sends is."""
    (failure,) = fetch([Scripted("shop", returned)]).merged.failures

    with pytest.raises(MalformedResponseError, match=reason):
        raise failure.error


def test_an_adapter_that_is_not_asynchronous_fails_by_itself(fetch):
    """An adapter that forgot its `async` is named, and the others are read."""
    wrong = SimpleNamespace(account="wrong", provider="scripted", fetch_balances=lambda session: [])

    done = fetch([wrong, Scripted("shop")])

    assert [failure.account for failure in done.merged.failures] == ["wrong"]
    assert "raised TypeError" in str(done.merged.failures[0].error)


def test_delays_are_jittered(fetch):
    """Two runs of the same failures do not wait the same time."""
    times = {fetch([Scripted("shop", outage("shop"), outage("shop"))]).took for _ in range(8)}

    assert len(times) > 1
    assert max(times) <= RetryPolicy().first * 3


HOST = "https://bank.example"


def calls_of(banks):
    """Return the moments of all requests, in order."""
    return sorted(call for bank in banks for call in bank.calls)


def test_an_outage_is_not_amplified(run_virtually):
    """Two hundred accounts on a failing host are sent at most 1.2 requests each; retries come back when it does."""

    async def main():
        async with AggregateClient(banks) as client:
            merged = await client.fetch()
            sent = len(calls_of(banks))
            state["down"] = False
            await client.fetch()
            # The next outage is one account's first failure alone, which is tried again.
            banks[0].down = iter([True, False]).__next__
            again = await client.fetch(["a0"])
        return merged, sent, again

    state = {"down": True}
    banks = [Bank(f"a{number}", down=lambda: state["down"]) for number in range(200)]
    merged, sent, again = run_virtually(main())

    assert len(merged.failures) == 200
    assert 200 < sent <= 240
    assert again.complete


def test_a_limit_is_shared_by_all_accounts_on_the_host(run_virtually):
    """Ten accounts under a limit of three in a second take more than three seconds, and no window has four."""

    async def main():
        async with AggregateClient(banks, rate_limits={f"{HOST}/api": RateLimit(3, per=1.0)}) as client:
            return await client.fetch(strict=True)

    banks = [Bank(f"a{number}", takes=0.1) for number in range(10)]
    run_virtually(main())

    calls = calls_of(banks)
    assert len(calls) == 10
    assert all(late - early >= 1.0 for early, late in zip(calls, calls[3:], strict=False))


def test_an_account_whose_turn_comes_too_late_fails_at_once(run_virtually):
    """Nobody waits for a turn that cannot come before the deadline."""

    async def main():
        started = asyncio.get_running_loop().time()
        client = AggregateClient(banks, rate_limits={HOST: RateLimit(2, per=60)}, deadline=30.0)
        async with client:
            merged = await client.fetch()
        return merged, asyncio.get_running_loop().time() - started

    banks = [Bank(f"a{number}") for number in range(5)]
    merged, took = run_virtually(main())

    assert took < 1
    assert len(merged.accounts) == 2
    for failure in merged.failures:
        assert isinstance(failure.error, RateLimitedError)
        assert 59 < failure.error.retry_after <= 120
        assert "under the limit of 2 in 60 s" in str(failure.error)


def test_waiting_for_a_turn_takes_no_worker_from_other_hosts(run_virtually):
    """Accounts on another host are read while those under a limit wait."""

    async def main():
        async with AggregateClient(
            [*limited, other], concurrency=1, rate_limits={HOST: RateLimit(1, per=5)}, deadline=60
        ) as client:
            return [(outcome.account, asyncio.get_running_loop().time()) async for outcome in client.stream()]

    limited = [Bank(f"a{number}") for number in range(3)]
    other = Bank("other")
    other.base_url = "https://elsewhere.example"
    order = [account for account, _ in run_virtually(main())]

    assert order.index("other") < order.index("a1")


def test_a_fetch_that_is_given_up_leaves_the_queue(run_virtually):
    """A cancelled fetch does not keep its turns."""

    async def main():
        async with AggregateClient(banks, rate_limits={HOST: RateLimit(1, per=5)}) as client:
            first = asyncio.create_task(client.fetch())
            await asyncio.sleep(1)
            first.cancel()
            started = asyncio.get_running_loop().time()
            await client.fetch(["a2"])
            return asyncio.get_running_loop().time() - started

    banks = [Bank(f"a{number}") for number in range(3)]

    assert run_virtually(main()) < 5


def test_a_429_is_heeded_that_comes_after_the_timeout(run_virtually):
    """A provider that is slow to end tells of it all the same: no request follows before its time."""

    async def end_late():
        try:
            await asyncio.sleep(9e9)
        except asyncio.CancelledError:
            raise RateLimitedError("429", account="shop", provider="scripted", retry_after=60.0) from None

    async def main():
        shop = Scripted("shop", end_late)
        async with AggregateClient([shop], timeout=1.0) as client:
            results = [await client.fetch(), await client.fetch()]
        return shop.calls, [type(merged.failures[0].error) for merged in results]

    assert run_virtually(main()) == (1, [RateLimitedError] * 2)
