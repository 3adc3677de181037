"""Results as CSV."""

import attrs
import pytest

from balancekit import merge
from balancekit.cli.csv_export import accounts_csv, totals_csv


def test_stale_amounts_have_a_column(partly_stale):
    """The last column is the time of the oldest stale snapshot; without a stale snapshot there is no such column."""
    assert totals_csv(partly_stale).splitlines() == [
        "currency,asset_type,amount,stale_as_of",
        "BTC,crypto,2.5,2026-01-01T09:00:00+00:00",
        "ETH,crypto,2,2026-01-01T10:00:00+00:00",
        "EUR,fiat,5,",
    ]
    assert [line.split(",")[-1] for line in accounts_csv(partly_stale).splitlines()] == [
        "stale_as_of",
        "",
        "",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T09:00:00+00:00",
    ]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_is_a_formula(make_snapshot, sign):
    """A code or label that begins like a formula is escaped; a negative amount stays a number."""
    merged = merge([make_snapshot(f"{sign}shop", (f"{sign}CMD()", "-1.5"))])

    assert totals_csv(merged).splitlines()[1] == f"'{sign}CMD(),crypto,-1.5"
    assert accounts_csv(merged).splitlines()[1].startswith(f"'{sign}shop,fake,'{sign}CMD(),crypto,-1.5,,'{sign}CMD(),")


@pytest.mark.parametrize(
    ("code", "cell"),
    [
        ("X;=1+1", "X;'=1+1"),
        (";;@A", ";;'@A"),
        ("X;\uff1d1", "X;'\uff1d1"),
        ('X;"=1"', '"X;\'""=1"""'),
        ("X;1-1", "X;1-1"),
    ],
)
def test_no_cell_is_a_formula_where_semicolons_separate(make_snapshot, code, cell):
    """Many languages separate lists by semicolons, and their spreadsheets begin a new cell after each."""
    assert totals_csv(merge([make_snapshot("a", (code, "1"))])).splitlines()[1] == f"{cell},crypto,1"


def test_a_label_is_no_formula_where_semicolons_separate(make_snapshot):
    """A label may have blanks before the sign."""
    line = accounts_csv(merge([make_snapshot("shop; =1+1", ("BTC", "1"))])).splitlines()[1]

    assert line.startswith("shop;' =1+1,fake,BTC,")


def test_commas_and_quotes_are_quoted(make_snapshot):
    """A code with a comma and quotes is one cell."""
    merged = merge([make_snapshot("a", ('X,"Y"', "1"))])

    assert totals_csv(merged).splitlines()[1] == '"X,""Y""",crypto,1'


def test_amounts_are_in_plain_notation(make_snapshot):
    """An amount has no exponent, however small it is."""
    merged = merge([make_snapshot("a", ("BTC", "1E-18"))])

    assert totals_csv(merged).splitlines()[1] == "BTC,crypto,0.000000000000000001"


def test_a_chain_is_a_column_of_its_own(make_snapshot):
    """A balance has its chain in a column of its own."""
    snapshot = make_snapshot("a", ("USDC", "1"))
    snapshot = attrs.evolve(snapshot, balances=[attrs.evolve(snapshot.balances[0], chain="polygon")])

    assert accounts_csv(merge([snapshot])).splitlines()[1] == (
        "a,fake,USDC,crypto,1,polygon,USDC,2026-01-01T00:00:00+00:00"
    )
