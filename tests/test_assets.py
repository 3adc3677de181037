"""Types of assets."""

import iso4217
import pytest

from balancekit import AssetType
from balancekit.money.currencies import CODES


@pytest.mark.parametrize(
    ("reported", "asset_type"),
    [
        ("crypto", AssetType.CRYPTO),
        ("fiat", AssetType.FIAT),
        ("stock", AssetType.UNKNOWN),
        ("CRYPTO", AssetType.UNKNOWN),
    ],
)
def test_a_type_that_is_not_known_yet_is_unknown(reported, asset_type):
    """A type that the API adds later is no error, and is not guessed."""
    assert AssetType.reported(reported) is asset_type


def test_the_table_of_iso_4217_is_that_of_its_date():
    """The table has every code of the standard, no more and no less."""
    assert {currency.code for currency in iso4217.Currency} == CODES
