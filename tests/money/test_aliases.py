"""Tables of aliases."""

import pytest
from hypothesis import given, strategies as st

from balancekit.money.aliases import check_aliases, join_aliases

CODES = st.sampled_from("ABCD")
TABLES = st.dictionaries(CODES, CODES).filter(
    lambda table: all(table.get(currency, currency) == currency for currency in table.values())
)


def test_aliases_are_compared_in_upper_case():
    """A table may be written in any case, as codes are."""
    assert check_aliases({"usdce": "usdc"}) == {"USDCE": "USDC"}


def test_a_code_may_be_its_own_alias():
    """Naming a currency as itself changes nothing."""
    assert check_aliases({"USDC": "USDC", "USDCE": "USDC"})["USDC"] == "USDC"


@pytest.mark.parametrize("table", [{"A": "B", "B": "C"}, {"A": "B", "B": "A"}], ids=["chain", "circle"])
def test_an_alias_of_an_alias_is_refused(table):
    """Whether to follow it would be a guess about money."""
    with pytest.raises(ValueError, match="which is an alias itself"):
        check_aliases(table)


def test_an_alias_must_be_a_code():
    """What cannot be a currency's code can be no alias either."""
    with pytest.raises(ValueError, match="empty"):
        check_aliases({"USDCE": ""})


def test_what_a_caller_says_of_a_code_comes_before_the_table_of_the_account():
    """It may keep the code apart, and rename what the table leads to."""
    own = {"USDTE": "USDT", "USDTT": "USDT", "USDTB": "USDT"}

    joined = join_aliases(own, {"USDTB": "USDTB", "USDT": "TETHER", "BTC": "XBT"})

    assert joined == {"USDTE": "TETHER", "USDTT": "TETHER", "USDTB": "USDTB", "USDT": "TETHER", "BTC": "XBT"}


def test_a_currency_that_a_caller_names_is_no_alias_in_an_account():
    """It is a currency in every account, whatever the table of one says."""
    joined = join_aliases({"USDTE": "USDT", "USDTT": "USDT"}, {"TETHER": "USDTE"})

    assert joined == {"TETHER": "USDTE", "USDTT": "USDT"}


@given(TABLES, TABLES)
def test_no_alias_leads_to_another_in_an_account(own, aliases):
    """One code would be counted as another, and that as a third."""
    joined = join_aliases(own, aliases)

    assert check_aliases(joined) == joined
