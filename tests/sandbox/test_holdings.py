"""The exact amounts that an account holds."""

import decimal
from decimal import Decimal

import pytest

from balancekit.sandbox import Holding


@pytest.mark.parametrize(
    "amount", ["12.50", Decimal("12.50"), "+12.50", "1250e-2"], ids=["text", "decimal", "sign", "exponent"]
)
def test_an_amount_is_exact(amount):
    """An amount keeps its value and its scale."""
    holding = Holding("USDC", amount)

    assert (holding.plain, holding.scale, holding.units) == ("12.50", 2, 1250)


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        (1.5, TypeError),
        (True, TypeError),
        (None, TypeError),
        ("", ValueError),
        ("1_0", ValueError),
        (" 1", ValueError),
        ("NaN", ValueError),
        ("\uff11", ValueError),
        (Decimal("Infinity"), ValueError),
        (Decimal("1e1001"), ValueError),
        (10**1000, ValueError),
    ],
    ids=["float", "bool", "none", "empty", "underscore", "blank", "nan", "full-width", "infinity", "far", "long"],
)
def test_anything_but_an_exact_amount_is_an_error(amount, error):
    """A float is a TypeError, and text or a number that is not a finite decimal is a ValueError."""
    with pytest.raises(error, match=r"amount|decimal"):
        Holding("USDC", amount)


def test_the_callers_context_changes_no_digit():
    """An amount of 60 digits keeps them all, however few the caller's context keeps."""
    digits = "123456789012345678901234567890.123456789012345678901234567891"

    with decimal.localcontext(prec=5):
        holding = Holding("EUR", digits)
        shown = (holding.plain, str(holding.units))

    assert shown == (digits, digits.replace(".", ""))


@pytest.mark.parametrize(
    ("amount", "decimals", "units"),
    [
        ("12.5", 6, 12500000),
        ("-12.5", 1, -125),
        ("7", 0, 7),
        ("1.500", 2, 150),
        ("2e3", 2, 200000),
        ("2e3", None, 2000),
    ],
    ids=["finer", "negative", "none", "zeros-dropped", "exponent", "own-scale"],
)
def test_units_are_counted_at_the_decimals(amount, decimals, units):
    """The smallest unit is that of `decimals`, and without them that of the amount."""
    assert Holding("USD", amount, decimals=decimals).units == units


def test_an_amount_finer_than_its_decimals_is_an_error():
    """It is not rounded."""
    with pytest.raises(ValueError, match="finer than 2 decimals"):
        Holding("USD", "1.005", decimals=2)


@pytest.mark.parametrize("decimals", [-1, 1001], ids=["negative", "too-many"])
def test_decimals_have_bounds(decimals):
    """They are a number of places, from 0 to 1000."""
    with pytest.raises(ValueError, match="decimals must be from 0"):
        Holding("USD", "1", decimals=decimals)


@pytest.mark.parametrize(
    ("currency", "given", "asset_type"),
    [
        ("BTC", {}, "crypto"),
        ("eur", {}, "fiat"),
        ("MNT", {}, "fiat"),
        ("MNT", {"chain": "mantle"}, "crypto"),
        ("MNT", {"asset_type": "crypto"}, "crypto"),
    ],
    ids=["not-iso", "iso", "both", "both-with-chain", "said"],
)
def test_the_asset_type_has_a_default(currency, given, asset_type):
    """A chain means crypto, a code of ISO 4217 fiat, and a given type stays."""
    assert Holding(currency, 1, **given).asset_type == asset_type


@pytest.mark.parametrize(
    "wrong",
    [{"asset_type": "metal"}, {"asset_type": "fiat", "chain": "ethereum"}, {"currency": ""}],
    ids=["type", "fiat-on-a-chain", "no-code"],
)
def test_an_impossible_holding_is_an_error(wrong):
    """Type, chain and code must make sense together."""
    with pytest.raises(ValueError, match=r"asset_type|chain|currency"):
        Holding(**{"currency": "EUR", "amount": 1} | wrong)
