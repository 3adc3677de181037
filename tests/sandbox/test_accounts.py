"""The accounts of a sandbox, and changes to their holdings."""

import decimal

import pytest

from balancekit.sandbox import Holding, Sandbox


def test_setting_an_amount_keeps_the_other_fields():
    """A new amount leaves type, chain and decimals as they are."""
    account = Sandbox().add_getmany("till", [Holding("USDC", "1", decimals=6, chain="solana")])

    account.set("USDC", "2.5")

    assert account.holdings == (Holding("USDC", "2.5", decimals=6, chain="solana"),)


def test_setting_a_new_currency_adds_a_holding():
    """The new holding comes last."""
    account = Sandbox().add_cryptoprocessing("shop", {"BTC": "1"})

    account.set("EUR", "2")

    assert account.holdings == (Holding("BTC", "1"), Holding("EUR", "2"))


def test_adding_returns_what_was_added():
    """The sum has the finer scale of the two, and the amount added has the holding's form."""
    account = Sandbox().add_getmany("till", [Holding("USDC", "1.50", chain="solana")])

    added = account.add("USDC", "-2.125")

    assert added == Holding("USDC", "-2.125", chain="solana")
    assert account.holdings == (Holding("USDC", "-0.625", chain="solana"),)


def test_adding_is_exact():
    """No digit is lost, however few the caller's context keeps."""
    account = Sandbox().add_cryptoprocessing("shop", {"EUR": "123456789012345678901234567890"})

    with decimal.localcontext(prec=5):
        account.add("EUR", "0.123456789012345678901234567891")

    assert account.holdings[0].plain == "123456789012345678901234567890.123456789012345678901234567891"


def test_adding_a_new_currency_or_chain_adds_a_holding():
    """The same code on another chain is another holding."""
    account = Sandbox().add_getmany("till", [Holding("USDC", "1", chain="solana")])

    account.add("USDC", "2", chain="base")
    account.add("ETH", "3")

    assert account.holdings[1:] == (Holding("USDC", "2", chain="base"), Holding("ETH", "3"))


def test_a_sum_finer_than_the_decimals_is_not_added():
    """It is not rounded, and the holding stays."""
    account = Sandbox().add_getmany("till", [Holding("USD", "1", decimals=2)])

    with pytest.raises(ValueError, match="finer than 2 decimals"):
        account.add("USD", "0.005")

    assert account.holdings == (Holding("USD", "1", decimals=2),)


def test_holdings_of_a_currency_differ_by_chain():
    """The same code on another chain is another holding."""
    account = Sandbox().add_getmany("till", [Holding("USDC", "1", chain="ethereum")])

    account.set("USDC", "2", chain="solana")
    account.set("USDC", "3", chain="ethereum")

    assert [(held.chain, held.plain) for held in account.holdings] == [("ethereum", "3"), ("solana", "2")]


def test_setting_one_of_several_needs_its_chain():
    """A code that is held on two chains is ambiguous."""
    account = Sandbox().add_getmany("till", [Holding("USDC", 1, chain="ethereum"), Holding("USDC", 1, chain="base")])

    with pytest.raises(ValueError, match="say on which chain"):
        account.set("USDC", "2")


def test_a_removed_currency_is_not_held():
    """The holding is gone, rather than zero."""
    account = Sandbox().add_cryptoprocessing("shop", {"BTC": "1", "EUR": "2"})

    account.remove("BTC")

    assert account.holdings == (Holding("EUR", "2"),)


def test_removing_a_currency_that_is_not_held_is_an_error():
    """A typo does not pass for a removal."""
    account = Sandbox().add_cryptoprocessing("shop", {"BTC": "1"})

    with pytest.raises(KeyError, match="EUR"):
        account.remove("EUR")


def test_the_repr_shows_no_secret():
    """Credentials are in the settings alone."""
    sandbox = Sandbox(port=1)

    shop, till = sandbox.add_cryptoprocessing("shop", {"BTC": 1}), sandbox.add_getmany("till")

    assert repr(shop) == "<SandboxAccount 'shop' at cryptoprocessing, holdings: 1>"
    assert repr(till) == "<SandboxAccount 'till' at getmany, holdings: 0>"


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/token", "https://shop.example/token", "ftp://127.0.0.1/token", "token", ""]
)
def test_webhooks_stay_on_this_machine(url):
    """Another URL is an error, which does not show it, since it may hold a token."""
    sandbox = Sandbox()
    account = sandbox.add_getmany("till", webhook_url="http://localhost:1/till")

    with pytest.raises(ValueError, match="webhook_url must be an http or https URL of a loopback") as setting:
        account.webhook_url = url
    with pytest.raises(ValueError, match="webhook_url must be") as adding:
        sandbox.add_cryptoprocessing("shop", webhook_url=url)

    assert account.webhook_url == "http://localhost:1/till"
    assert "token" not in f"{setting.value}{adding.value}"
    assert len(sandbox.accounts) == 1
