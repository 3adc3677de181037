"""The accounts of a sandbox, and changes to their holdings."""

import pytest

from balancekit.sandbox import Holding, Sandbox


def test_setting_keeps_what_else_is_known():
    """A new amount leaves type, chain and decimals as they are."""
    account = Sandbox().add_getmany("till", [Holding("USDC", "1", decimals=6, chain="solana")])

    account.set("USDC", "2.5")

    assert account.holdings == (Holding("USDC", "2.5", decimals=6, chain="solana"),)


def test_setting_adds_what_was_not_held():
    """A currency that is not held yet comes last."""
    account = Sandbox().add_cryptoprocessing("shop", {"BTC": "1"})

    account.set("EUR", "2")

    assert account.holdings == (Holding("BTC", "1"), Holding("EUR", "2"))


def test_adding_is_exact_and_tells_what_was_added():
    """The sum has the finer scale of the two, and what was added has the holding's form."""
    account = Sandbox().add_getmany("till", [Holding("USDC", "1.50", chain="solana")])

    added = account.add("USDC", "-0.125")

    assert added == Holding("USDC", "-0.125", chain="solana")
    assert account.holdings == (Holding("USDC", "1.375", chain="solana"),)


def test_what_a_holding_cannot_take_is_not_added():
    """A sum finer than the decimals is not rounded, and nothing is changed."""
    account = Sandbox().add_getmany("till", [Holding("USD", "1", decimals=2)])

    with pytest.raises(ValueError, match="finer than 2 decimals"):
        account.add("USD", "0.005")

    assert account.holdings == (Holding("USD", "1", decimals=2),)


def test_the_chain_tells_holdings_apart():
    """The same code on another chain is another holding."""
    account = Sandbox().add_getmany("till", [Holding("USDC", "1", chain="ethereum")])

    account.set("USDC", "2", chain="solana")
    account.set("USDC", "3", chain="ethereum")

    assert [(held.chain, held.plain) for held in account.holdings] == [("ethereum", "3"), ("solana", "2")]


def test_setting_one_of_several_is_refused():
    """A code held on two chains does not say which is meant."""
    account = Sandbox().add_getmany("till", [Holding("USDC", 1, chain="ethereum"), Holding("USDC", 1, chain="base")])

    with pytest.raises(ValueError, match="say on which chain"):
        account.set("USDC", "2")


def test_removing_takes_the_holding_away():
    """A removed currency is not held any more, not even as zero."""
    account = Sandbox().add_cryptoprocessing("shop", {"BTC": "1", "EUR": "2"})

    account.remove("BTC")

    assert account.holdings == (Holding("EUR", "2"),)


def test_removing_what_is_not_held_is_an_error():
    """A typo is not taken for a removal."""
    account = Sandbox().add_cryptoprocessing("shop", {"BTC": "1"})

    with pytest.raises(KeyError, match="EUR"):
        account.remove("EUR")


def test_the_repr_shows_no_secret():
    """Credentials are in the settings alone."""
    sandbox = Sandbox(port=1)

    shop, till = sandbox.add_cryptoprocessing("shop", {"BTC": 1}), sandbox.add_getmany("till")

    assert repr(shop) == "<SandboxAccount 'shop' at cryptoprocessing, holdings: 1>"
    assert repr(till) == "<SandboxAccount 'till' at getmany, holdings: 0>"
