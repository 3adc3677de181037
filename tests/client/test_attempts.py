"""What accounts on one host share, and what the log says of them. Time is virtual; nothing is sent."""

import asyncio
import logging

import pytest

from balancekit import (
    AggregateClient,
    Balance,
    ConfigError,
    HttpProvider,
    RateLimit,
    RateLimitedError,
    Request,
    RetryPolicy,
    ServiceUnavailableError,
)

HOST = "https://bank.example"


class Bank(HttpProvider):
    """An account at a bank that answers as it is told, without any I/O."""

    provider = "bank"

    def __init__(self, account, *, takes=0.0, down=lambda: False):
        super().__init__(account, base_url=f"{HOST}/api")
        self.takes, self.down, self.calls = takes, down, []

    def build_request(self, *, now, nonce):
        """Build nothing of use."""
        return Request("GET", self.base_url)

    def read_response(self, response):
        """Read nothing."""
        return ()

    async def fetch_balances(self, session) -> list[Balance]:
        """Answer, or fail while the bank is down."""
        self.calls.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if self.down():
            raise ServiceUnavailableError("503", account=self.account, provider=self.provider, status=503)
        return []


def _calls(banks):
    return sorted(call for bank in banks for call in bank.calls)


def test_an_outage_is_not_amplified(run_virtually):
    """Two hundred accounts on a failing host are sent at most 1.2 requests each; retries come back when it does."""

    async def main():
        async with AggregateClient(banks) as client:
            merged = await client.fetch()
            sent = len(_calls(banks))
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

    calls = _calls(banks)
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


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"https://bonk.example": RateLimit(1, per=1)}, "no account is on https://bonk.example; there are"),
        ({HOST: 30}, "https://bank.example: expected a RateLimit, got int"),
    ],
    ids=["unused", "no limit"],
)
def test_a_limit_that_limits_nothing_is_refused(limits, reason):
    """A misspelt host is found where it is written, not when the provider complains."""
    with pytest.raises(ConfigError, match=f"rate_limits: {reason}"):
        AggregateClient([Bank("a")], rate_limits=limits)


def test_the_log_tells_once_when_an_account_goes_down_and_once_when_it_is_back(run_virtually, caplog):
    """An outage is two lines, however often it is asked about."""
    caplog.set_level(logging.INFO, logger="balancekit")

    async def main():
        async with AggregateClient([Bank("shop", down=states.pop)], attempts=1) as client:
            for _ in range(6):
                await client.fetch()

    states = [False, False, True, True, True, False]
    run_virtually(main())

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "shop (bank) is down: ServiceUnavailableError 503"),
        ("INFO", "shop (bank) is back"),
    ]


def test_the_log_tells_of_an_account_that_missed_the_deadline(run_virtually, caplog):
    """An account that never answers is down, and said to be so once."""
    caplog.set_level(logging.INFO, logger="balancekit")

    async def main():
        async with AggregateClient([Bank("shop", takes=9e9)], deadline=1.0) as client:
            for _ in range(2):
                await client.fetch()

    run_virtually(main())

    assert [record.message for record in caplog.records] == ["shop (bank) is down: ProviderTimeoutError"]


def test_the_log_tells_of_every_attempt_at_debug(run_virtually, caplog):
    """Account, attempt, what came of it and how long it took; nothing of the request or the answer."""
    caplog.set_level(logging.DEBUG, logger="balancekit")

    async def main():
        bank = Bank("shop", takes=0.25, down=[False, True].pop)
        async with AggregateClient([bank], retry=RetryPolicy(2, first=0)) as client:
            await client.fetch()

    run_virtually(main())

    assert [record.message for record in caplog.records] == [
        "shop (bank): attempt 1: ServiceUnavailableError 503 in 250 ms",
        "shop (bank): attempt 2: 200 in 250 ms",
    ]
