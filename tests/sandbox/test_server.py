"""A sandbox: its accounts, its clock, and the transactions that change its holdings."""

from decimal import Decimal

import pytest

from balancekit import AggregateClient, CryptoprocessingProvider, GetManyProvider
from balancekit.sandbox import Holding, Sandbox

ADAPTERS = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}


async def test_settings_need_the_port():
    """An account can be added before the start, but its base URL is known only after it."""
    sandbox = Sandbox()
    accounts = [sandbox.add_cryptoprocessing("a"), sandbox.add_getmany("b"), sandbox.add_getmany("c", signed=False)]

    for account in accounts:
        with pytest.raises(RuntimeError, match="must be started first"):
            _ = account.settings
    async with sandbox:
        assert all(account.settings["base_url"].startswith(sandbox.address) for account in accounts)
    assert sandbox.accounts == tuple(accounts)


async def test_credentials_are_random():
    """No two sandboxes share a secret."""
    settings = []
    for _ in range(2):
        sandbox = Sandbox(port=1)
        settings.append(sandbox.add_cryptoprocessing("shop").settings | sandbox.add_getmany("till").settings)

    assert [name for name in settings[0] if settings[0][name] == settings[1][name]] == ["base_url"]


def test_given_credentials_are_kept():
    """Published vectors can be sent to an account with their credentials."""
    sandbox = Sandbox(port=8080)

    shop = sandbox.add_cryptoprocessing("shop", key="public", secret="private")

    assert shop.settings == {"key": "public", "secret": "private", "base_url": "http://127.0.0.1:8080/api/v2"}


@pytest.mark.parametrize("again", ["add_cryptoprocessing", "add_getmany"])
def test_a_label_belongs_to_one_account(again):
    """Labels are unique over both providers."""
    sandbox = Sandbox()
    sandbox.add_getmany("shop", signed=False)

    with pytest.raises(ValueError, match="two accounts are labelled 'shop'"):
        getattr(sandbox, again)("shop")


async def test_the_date_is_that_of_the_clock(sandbox, clock, send):
    """A client can be tested with a clock that is off."""
    clock.now = 0

    response = await send("GET", f"{sandbox.address}/api/v2/ping")

    assert response.headers.getall("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


@pytest.mark.parametrize("provider", ADAPTERS)
async def test_a_client_reads_what_was_settled(sandbox, clock, add, provider):
    """The account's adapter, made from its settings, reports the sum."""
    account = add(provider, {"BTC": "1.0"})

    await sandbox.settle(account, "BTC", "0.25")

    adapter = ADAPTERS[provider]("shop", **account.settings)
    # A clock that is years off would not be believed.
    adapter.clock = clock
    async with AggregateClient([adapter]) as client:
        assert (await client.fetch()).amount("BTC") == Decimal("1.25")


@pytest.mark.parametrize("status", [None, "FAILED"], ids=["pending", "given"])
@pytest.mark.parametrize("provider", ADAPTERS)
async def test_an_announcement_changes_no_holding(sandbox, add, receiver, provider, status):
    """The account holds the same after a transaction that is pending or has failed."""
    account = add(provider, {"BTC": "1"})

    await sandbox.announce("shop", "BTC", "2", status=status)

    assert len(receiver.received) == 1
    assert account.holdings == (Holding("BTC", "1"),)


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("shop", "USDC", 0.5), {}, TypeError),
        (("shop", "USDC", True), {}, TypeError),
        (("shop", "USDC", "0,5"), {}, ValueError),
        (("shop", "EUR", "0.005"), {}, ValueError),
        (("shop", "", "1"), {}, ValueError),
        (("shop", "BTC", "1"), {}, ValueError),
        (("shop", "USDC", "1"), {"copies": 0}, ValueError),
        (("nobody", "USDC", "1"), {}, ValueError),
        (("silent", "USDC", "1"), {}, RuntimeError),
    ],
    ids=["float", "bool", "comma", "too-fine", "no-code", "two-chains", "no-copy", "no-account", "no-url"],
)
@pytest.mark.parametrize("method", ["settle", "announce"])
async def test_wrong_arguments_change_nothing(sandbox, add, receiver, method, arguments, options, error):
    """They are an error before anything is added, logged or sent."""
    held = [Holding("EUR", "1", decimals=2), Holding("BTC", "1", chain="a"), Holding("BTC", "1", chain="b")]
    account = add("getmany", held)
    silent = sandbox.add_cryptoprocessing("silent")

    with pytest.raises(error, match=r"amount|decimal|currency|chain|once|labelled|webhook_url"):
        await getattr(sandbox, method)(*arguments, **options)

    assert (account.holdings, silent.holdings) == (tuple(held), ())
    assert (sandbox.deliveries, receiver.received) == ((), [])


async def test_a_sum_beyond_the_limit_changes_nothing(sandbox, add):
    """Two amounts may each be within the limit while their sum is not."""
    account = add("cryptoprocessing", {"BTC": 10**1000 - 1})

    with pytest.raises(ValueError, match="more than 1000 digits"):
        await sandbox.settle(account, "BTC", 1)

    assert (account.holdings[0].amount, sandbox.deliveries) == (10**1000 - 1, ())


async def test_an_account_of_another_sandbox_is_unknown(sandbox, add):
    """The same label in another sandbox is another account."""
    add("getmany")

    with pytest.raises(ValueError, match="no account is labelled 'shop'"):
        await sandbox.settle(Sandbox().add_getmany("shop"), "BTC", "1")
