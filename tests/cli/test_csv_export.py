"""Results as CSV."""

import attrs
import pytest

from balancekit import merge
from balancekit.cli.csv_export import accounts_csv, totals_csv


def test_what_is_not_fresh_has_a_column_of_the_csv(partly_old):
    """The moment of the oldest balance; without any there is no column."""
    assert totals_csv(partly_old).splitlines() == [
        "currency,asset_type,amount,stale_as_of",
        "BTC,crypto,2.5,2026-01-01T09:00:00+00:00",
        "ETH,crypto,2,2026-01-01T10:00:00+00:00",
        "EUR,fiat,5,",
    ]
    assert [line.split(",")[-1] for line in accounts_csv(partly_old).splitlines()] == [
        "stale_as_of",
        "",
        "",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T09:00:00+00:00",
    ]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_of_the_csv_is_a_formula(make_snapshot, sign):
    """A spreadsheet shows a hostile code or label as text; a negative amount stays a number."""
    merged = merge([make_snapshot(f"{sign}shop", (f"{sign}CMD()", "-1.5"))])

    assert totals_csv(merged).splitlines()[1] == f"'{sign}CMD(),crypto,-1.5"
    assert accounts_csv(merged).splitlines()[1].startswith(f"'{sign}shop,fake,'{sign}CMD(),crypto,-1.5,,'{sign}CMD(),")


def test_commas_and_quotes_are_quoted_in_the_csv(make_snapshot):
    """A code with a comma is one cell."""
    merged = merge([make_snapshot("a", ('X,"Y"', "1"))])

    assert totals_csv(merged).splitlines()[1] == '"X,""Y""",crypto,1'


def test_amounts_are_plain_in_the_csv(make_snapshot):
    """No exponent, however small the amount."""
    merged = merge([make_snapshot("a", ("BTC", "1E-18"))])

    assert totals_csv(merged).splitlines()[1] == "BTC,crypto,0.000000000000000001"


def test_a_chain_is_a_column_of_its_own(make_snapshot):
    """The same code on another chain is told apart in the balances."""
    snapshot = make_snapshot("a", ("USDC", "1"))
    snapshot = attrs.evolve(snapshot, balances=[attrs.evolve(snapshot.balances[0], chain="polygon")])

    assert accounts_csv(merge([snapshot])).splitlines()[1] == (
        "a,fake,USDC,crypto,1,polygon,USDC,2026-01-01T00:00:00+00:00"
    )
