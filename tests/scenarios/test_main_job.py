"""The main job over real sockets: real signatures, real bytes, both APIs, several accounts."""

import asyncio
import logging
import traceback
from decimal import Decimal

import aiohttp
import pytest

from balancekit import (
    AggregateClient,
    AssetType,
    AuthenticationError,
    CryptoprocessingProvider,
    GetManyProvider,
    RetryPolicy,
)
from balancekit.sandbox import Fault, Holding, Sandbox
from tests.support.clock import Clock

PROVIDERS = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}
LONG = "123456789012345678901234567890123456789012.345678901234567891"


def _client(*accounts, **settings):
    """Make a client for accounts of a sandbox that does not wait between attempts."""
    retry = RetryPolicy(3, first=0.0)
    providers = [PROVIDERS[one.provider](one.label, **one.settings) for one in accounts]
    return AggregateClient(providers, retry=retry, **settings)


@pytest.fixture
def shop(sandbox):
    """One account at Cryptoprocessing."""
    return sandbox.add_cryptoprocessing("shop", {"BTC": "0.04", "EUR": "10000"})


@pytest.fixture
def till(sandbox):
    """One account at getMany."""
    return sandbox.add_getmany("till", [Holding("BTC", "1", decimals=8), Holding("USD", "250", decimals=6)])


@pytest.fixture(params=["shop", "till"])
def account(request):
    """Be one account at either provider."""
    return request.getfixturevalue(request.param)


async def test_accounts_at_both_providers_are_merged_by_currency(shop, till):
    """Balances of both APIs are read over HTTP with real signatures and added exactly."""
    async with _client(shop, till) as client:
        merged = await client.fetch(strict=True)

    assert [(total.currency, str(total.amount), total.asset_type) for total in merged] == [
        ("BTC", "1.04000000", AssetType.CRYPTO),
        ("EUR", "10000", AssetType.FIAT),
        ("USD", "250.000000", AssetType.FIAT),
    ]


@pytest.mark.parametrize("as_numbers", [False, True], ids=["strings", "numbers"])
async def test_sixty_digits_arrive_whole(sandbox, as_numbers):
    """No digit is lost between the provider and the total, whether it is sent as text or as a number."""
    first = sandbox.add_cryptoprocessing("a", {"BTC": LONG}, balances_as_numbers=as_numbers)
    second = sandbox.add_getmany("b", {"BTC": LONG})

    async with _client(first, second) as client:
        merged = await client.fetch(strict=True)

    assert str(merged.amount("BTC")) == "246913578024691357802469135780246913578024.691357802469135782"


async def test_a_wrong_secret_costs_the_others_nothing(sandbox, shop, till):
    """The account with the wrong secret is named with the provider's code and a hint; the others are read."""
    wrong = sandbox.add_cryptoprocessing("wrong", {"BTC": "7"})
    wrong.secret = "changed-at-the-provider"
    provider = CryptoprocessingProvider("wrong", **(wrong.settings | {"secret": "the-old-one"}))
    good = [PROVIDERS[one.provider](one.label, **one.settings) for one in (shop, till)]

    async with AggregateClient([provider, *good]) as client:
        merged = await client.fetch()

    (failure,) = merged.failures
    assert merged.amount("BTC", partial=True) == Decimal("1.04")
    assert isinstance(failure.error, AuthenticationError)
    assert (failure.account, failure.error.status, failure.error.code) == ("wrong", 403, "bad_header_signature")
    assert failure.error.hint == "Check that the secret belongs to the key"


async def test_a_retry_is_signed_anew(sandbox, till):
    """Every attempt has its own nonce and signature, and the provider takes each."""
    sandbox.fail("till", Fault(status=503), times=2)

    async with _client(till) as client:
        await client.fetch(strict=True)

    assert [request.status for request in sandbox.requests] == [503, 503, 200]
    assert len({request.headers["Bs-Signature"] for request in sandbox.requests}) == 3


async def test_a_wrong_clock_is_corrected_once_and_remembered(caplog):
    """A rejected timestamp is signed anew with the provider's time, then known for all accounts of the origin."""
    caplog.set_level(logging.WARNING)
    clock = Clock()
    async with Sandbox(clock=clock) as sandbox:
        accounts = [sandbox.add_getmany(label, {"USD": "1"}) for label in ("till", "other")]
        providers = [GetManyProvider(one.label, **one.settings) for one in accounts]
        for provider in providers:
            provider.clock = lambda: clock() - 3600

        async with AggregateClient(providers, attempts=1) as client:
            first, again = await client.fetch(["till"]), await client.fetch()

    assert first.complete
    assert again.complete
    assert [request.error for request in sandbox.requests] == ["stale_timestamp", None, None, None]
    (record,) = caplog.records
    assert record.message.startswith(f"the clock of {sandbox.address} is +3600 s from ")


@pytest.mark.parametrize(("behind", "requests"), [(0, 1), (3600, 2)], ids=["right clock", "wrong clock"])
async def test_a_wrong_key_is_final_once_the_clock_is_right(one_signature, behind, requests):
    """The request is sent again only where the clock has to be corrected first."""
    async with Sandbox(clock=one_signature) as sandbox:
        till, other = sandbox.add_getmany("till"), sandbox.add_getmany("other")
        provider = GetManyProvider("till", **(till.settings | {"signing_key": other.settings["signing_key"]}))
        provider.clock = lambda: one_signature() - behind

        async with AggregateClient([provider]) as client:
            (failure,) = (await client.fetch()).failures

        assert (failure.error.status, failure.error.code) == (401, "invalid_signature")
        assert "clock" in failure.error.hint
        assert len(sandbox.requests) == requests


async def test_a_cancelled_request_shows_no_signature(sandbox, account, everything_shown_by):
    """A caller's own timeout around one provider has no frame that holds a header."""
    sandbox.fail(account.label, Fault(hang=True))
    provider = PROVIDERS[account.provider](account.label, **account.settings)

    async def end_once_asked(block):
        while not sandbox.requests:  # noqa: ASYNC110 - the sandbox runs in another thread
            await asyncio.sleep(0.01)
        block.reschedule(0)

    async def read(session):
        async with asyncio.timeout(None) as block, asyncio.TaskGroup() as group:
            group.create_task(end_once_asked(block))
            await provider.fetch_balances(session)

    async with aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError) as caught:
            await read(session)

    shown = everything_shown_by(caught.value)
    (sent,) = sandbox.requests
    canaries = {sent.headers.get("X-Processing-Signature"), sent.headers.get("Bs-Signature")} - {None}
    assert canaries
    assert not any(canary in shown for canary in canaries)


async def test_an_adapters_own_mistake_shows_where_it_is_and_no_key(shop):
    """A bug in building a request is named by file and line, without the variables around it."""

    class Buggy(CryptoprocessingProvider):
        def build_request(self, *, now, nonce):
            key = self._key.reveal()
            raise NameError(f"a bug after {len(key)} characters")

    async with AggregateClient([Buggy("shop", **shop.settings)]) as client:
        (failure,) = (await client.fetch()).failures

    assert failure.error.message == "NameError while building the request"
    assert "test_main_job.py" in failure.error.__notes__[0]
    shown = traceback.TracebackException.from_exception(failure.error, capture_locals=True).format()
    assert shop.settings["key"] not in "".join(shown)


@pytest.mark.parametrize("trust_env", [False, True], ids=["by default", "asked for"])
async def test_no_proxy_of_the_environment_sees_a_key_in_the_clear(sandbox, shop, monkeypatch, trust_env):
    """Proxies are used only if they are asked for, and never for what is not encrypted."""
    async with Sandbox() as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with _client(shop, trust_env=trust_env) as client:
            merged = await client.fetch()

        assert proxy.requests == ()
    assert merged.complete


async def test_accounts_wait_for_the_connections_of_a_lent_session_before_their_time_begins(sandbox):
    """Forty healthy accounts over four connections take longer together than one may, and none of them fails."""
    accounts = [sandbox.add_getmany(f"till-{number}", {"USDC": "1"}) for number in range(40)]
    for account in accounts:
        sandbox.fail(account.label, Fault(delay=0.25))
    providers = [GetManyProvider(account.label, **account.settings) for account in accounts]

    connector = aiohttp.TCPConnector(limit_per_host=4)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        AggregateClient(providers, session=session, timeout=2.0, attempts=1) as client,
    ):
        merged = await client.fetch()

    assert merged.complete
