"""The brands: their base URLs, and the tables of their codes."""

from datetime import date
from typing import get_args, get_type_hints

import pytest

from balancekit import COINSPAID_2023, CRYPTOPROCESSING_2026, CryptoprocessingProvider
from balancekit.http.messages import check_base_url
from balancekit.money.aliases import check_aliases
from balancekit.providers.brands import BRANDS


def test_the_adapter_names_every_brand():
    """Type checkers and editors know the names."""
    literal, _ = get_args(get_type_hints(CryptoprocessingProvider.__init__)["brand"])

    assert get_args(literal) == tuple(BRANDS)


def test_the_brand_of_the_api_is_where_accounts_without_a_brand_are():
    """Naming it changes the table alone."""
    assert BRANDS["cryptoprocessing"].base_url == CryptoprocessingProvider.PRODUCTION


@pytest.mark.parametrize("brand", BRANDS.values(), ids=[*BRANDS])
def test_each_fact_has_its_source(brand):
    """The day on which it was read, and where; a brand whose codes are not known has no source for them."""
    check_base_url(brand.base_url)
    assert brand.base_url_source
    assert brand.read_on >= date(2026, 11, 27)
    assert bool(brand.codes) == bool(brand.codes_source)


@pytest.mark.parametrize("brand", BRANDS.values(), ids=[*BRANDS])
def test_each_code_is_there_once_and_leads_to_a_currency(brand):
    """No code leads to one that leads elsewhere, and all are in upper case, as they are compared."""
    codes = [each.code for each in brand.codes]

    assert codes == sorted(set(codes))
    assert check_aliases(brand.aliases) == dict(brand.aliases)
    assert len({(each.currency, each.chain) for each in brand.codes}) == len(codes)


def test_the_tables_are_those_of_their_documents():
    """As they were read: the codes that differ from the currency."""
    assert COINSPAID_2023 == {"BNB-BSC": "BNB", "USDTB": "USDT", "USDTE": "USDT", "USDTT": "USDT"}
    assert CRYPTOPROCESSING_2026 == {
        "ETHA": "ETH", "ETHBASE": "ETH", "EURCBASE": "EURC", "EURCE": "EURC", "EURCS": "EURC", "USDCA": "USDC",
        "USDCBASE": "USDC", "USDCE": "USDC", "USDCS": "USDC", "USDGE": "USDG", "USDGS": "USDG",
    }  # fmt: skip
    assert [each.code for brand in BRANDS.values() for each in brand.codes if each.is_assumed] == ["BNB-BSC"]


@pytest.mark.parametrize("table", [COINSPAID_2023, CRYPTOPROCESSING_2026])
def test_a_table_cannot_be_changed(table):
    """One program's change would be another's total."""
    with pytest.raises(TypeError):
        table["BTC"] = "ETH"
