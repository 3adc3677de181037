"""Results as CSV: every digit, no formulas, and what is missing in every row."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, strategies as st

from balancekit import AccountFailure, ConfigError, ServiceUnavailableError, merge
from balancekit.money.csv_text import write_csv
from tests.support.results import merged_results

BALANCE_HEADER = "account,provider,currency,asset_type,amount,available,pending,code,chain,reference,as_of,stale"
TOTAL_HEADER = "currency,asset_type,amount,available,pending,as_of,stale"
AS_OF = "2026-01-01T00:00:00+00:00"


def _failure(account):
    return AccountFailure(account, "fake", ServiceUnavailableError("503", account=account, provider="fake"))


def read(text, **form):
    """Return the rows of CSV text as a spreadsheet does."""
    return list(csv.DictReader(io.StringIO(text), **form))


def test_a_complete_result_has_a_row_for_each_balance(make_snapshot):
    """Empty cells are what the provider does not say."""
    snapshot = make_snapshot("a", ("BTC", "1.50"))
    balance = attrs.evolve(
        snapshot.balances[0], available=Decimal("1.00"), chain="bitcoin", reference="wallet-1", code="btc"
    )
    merged = merge([attrs.evolve(snapshot, balances=[balance]), make_snapshot("b", ("EUR", "5", "fiat"))])

    assert merged.to_csv() == merged.to_csv(by="balance")
    assert merged.to_csv().splitlines() == [
        BALANCE_HEADER,
        f"a,fake,BTC,crypto,1.50,1.00,,btc,bitcoin,wallet-1,{AS_OF},false",
        f"b,fake,EUR,fiat,5,,,EUR,,,{AS_OF},false",
    ]


def test_totals_have_the_moment_of_the_oldest_balance(make_snapshot):
    """What is stale says so in its row, and what is missing stands in every row."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    snapshots = [
        make_snapshot("a", ("BTC", "1"), ("EUR", "5", "fiat"), fetched_at=noon),
        make_snapshot("b", ("BTC", "1.5"), ("ETH", "2"), fetched_at=noon - timedelta(hours=2), stale=True),
        make_snapshot("c", ("BTC", "0"), fetched_at=noon - timedelta(hours=3), stale=True),
    ]
    partly_stale = merge(snapshots, [_failure("c")])
    header, *lines = partly_stale.to_csv("total").splitlines()

    assert header == f"{TOTAL_HEADER},notice"
    assert [line.split(",INCOMPLETE")[0] for line in lines] == [
        "BTC,crypto,2.5,,,2026-01-01T09:00:00+00:00,true",
        "ETH,crypto,2,,,2026-01-01T10:00:00+00:00,true",
        "EUR,fiat,5,,,2026-01-01T12:00:00+00:00,false",
    ]
    assert {row["notice"] for row in read(partly_stale.to_csv("total"))} == {partly_stale.notice}


@pytest.mark.parametrize("by", ["balance", "total"])
def test_a_result_without_rows_is_not_an_empty_one(by):
    """The notice has a row of its own; a complete result that holds nothing has none."""
    (row,) = read(merge([], [_failure("a")]).to_csv(by))

    assert {name: value for name, value in row.items() if value} == {
        "notice": "NOTHING READ: 1 of 1 account could not be read: a"
    }
    assert read(merge([]).to_csv(by)) == []


def test_the_totals_of_a_view_say_which_accounts_they_are_of(make_snapshot):
    """A total does not name its accounts, so a column does."""
    merged = merge([make_snapshot("a", ("BTC", "1")), make_snapshot("b", ("BTC", "2"))])

    assert merged.of("a").to_csv("total").splitlines() == [
        f"{TOTAL_HEADER},scope",
        f"BTC,crypto,1,,,{AS_OF},false,Only account a",
    ]
    assert merged.of("a").to_csv().splitlines()[0] == BALANCE_HEADER


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_is_a_formula(make_snapshot, sign):
    """A code or label that begins like a formula is escaped; a negative amount stays a number."""
    merged = merge([make_snapshot(f"{sign}shop", (f"{sign}CMD()", "-1.5"))], [_failure(f"{sign}x")])

    assert merged.to_csv("total").splitlines()[1].startswith(f"'{sign}CMD(),crypto,-1.5,")
    assert merged.to_csv().splitlines()[1].startswith(f"'{sign}shop,fake,'{sign}CMD(),crypto,-1.5,,,'{sign}CMD(),")


@pytest.mark.parametrize("opened_with", [",", ";", "\t", "|"])
@pytest.mark.parametrize("written_with", [",", ";", "\t", "|"])
@pytest.mark.parametrize("code", ["X;=1+1", ";;@A", "X,=1", "X|+1", 'X;"=1"', ",-A"])
def test_no_cell_is_a_formula_in_a_spreadsheet_of_another_language(make_snapshot, code, written_with, opened_with):
    """Each language has its separator, and a spreadsheet begins a new cell after it whatever the file was made with."""
    text = merge([make_snapshot(f"shop{code}", (code, "1"))]).to_csv(separator=written_with)

    cells = [cell for row in csv.reader(io.StringIO(text), delimiter=opened_with) for cell in row]
    assert not [cell for cell in cells if cell.strip("\"' ")[:1] in {*"=+-@"} and not cell.startswith(("'", '"', " '"))]


def test_commas_and_quotes_are_quoted(make_snapshot):
    """A code with a comma and quotes is one cell."""
    merged = merge([make_snapshot("a", ('X,"Y"', "1"))])

    assert merged.to_csv("total").splitlines()[1].startswith('"X,""Y""",crypto,1,')


def test_amounts_are_in_plain_notation(make_snapshot):
    """An amount has no exponent, however small or large it is."""
    merged = merge([make_snapshot("a", ("BTC", "1E-18"), ("ETH", "1E+20"))])

    assert [row["amount"] for row in read(merged.to_csv())] == ["0.000000000000000001", "100000000000000000000"]


def test_excel_of_a_language_with_a_decimal_comma(make_snapshot):
    """The byte order mark says that the text is UTF-8, and numbers are numbers there."""
    text = merge([make_snapshot("Größe", ("EUR", "1234.50", "fiat"))]).to_csv(separator=";", decimal=",", bom=True)

    assert text.encode().startswith(b"\xef\xbb\xbfaccount;provider;")
    assert text.splitlines()[1].startswith("Größe;fake;EUR;fiat;1234,50;;;")


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"by": "currency"}, "by: expected 'balance' or 'total', got 'currency'"),
        ({"separator": ""}, "separator: expected one of"),
        ({"separator": ", "}, "separator: expected one of"),
        ({"separator": "1"}, "separator: expected one of"),
        ({"separator": "\n"}, "separator: expected one of"),
        ({"separator": None}, "separator: expected one of"),
        ({"decimal": ","}, "decimal: expected a point, or a comma with another separator"),
        ({"decimal": "'"}, "decimal: expected a point"),
    ],
)
def test_what_could_not_be_read_back_is_refused(make_snapshot, form, problem):
    """A separator that numbers contain, for example, is a ConfigError."""
    with pytest.raises(ConfigError, match=problem):
        merge([make_snapshot("a", ("BTC", "1"))]).to_csv(**form)


@pytest.mark.parametrize("value", [1.5, float("nan"), 1])
def test_no_cell_is_a_float(value):
    """A float has lost digits before it is written."""
    with pytest.raises(TypeError, match="a cell of CSV must be"):
        write_csv([{"amount": value}], ["amount"], separator=",", bom=False, decimal=".")


@given(merged_results(), st.sampled_from([",", ";", "\t", "|"]))
def test_csv_is_the_rows(merged, separator):
    """Each row is a row, in the same order, with the same amounts and columns."""
    written = read(merged.to_csv(separator=separator).replace("\r", ""), delimiter=separator)
    rows = merged.rows()

    if rows or merged.complete:
        assert [(row["account"], row["currency"], row["amount"]) for row in written] == [
            (row["account"], row["currency"], f"{row['amount']:f}") for row in rows
        ]
    assert [list(row) for row in written][: len(rows)] == [list(row) for row in rows]
    assert all(("notice" in row) is not merged.complete for row in written)
