"""Results as flat rows."""

from datetime import UTC, datetime
from decimal import Decimal

import attrs
from hypothesis import given

from balancekit import AccountBalances, AccountFailure, AssetType, Balance, ServiceUnavailableError, merge
from tests.support.results import merged_results


def test_a_row_has_all_that_is_known_of_a_balance(make_snapshot):
    """Values are plain ones of Python: text, exact decimals, a moment in UTC and a boolean."""
    snapshot = make_snapshot("a", ("USDC", "1.50"))
    balance = attrs.evolve(snapshot.balances[0], chain="polygon", reference="w1", code="usdc", pending=Decimal("0.25"))

    (row,) = merge([attrs.evolve(snapshot, balances=[balance])]).rows()

    assert {name: str(value) for name, value in row.items()} == {
        "account": "a",
        "provider": "fake",
        "currency": "USDC",
        "asset_type": "crypto",
        "amount": "1.50",
        "available": "None",
        "pending": "0.25",
        "code": "usdc",
        "chain": "polygon",
        "reference": "w1",
        "as_of": "2026-01-01 00:00:00+00:00",
        "stale": "False",
    }
    assert type(row["asset_type"]) is str
    assert row["as_of"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_rows_of_an_incomplete_result_say_so(make_snapshot):
    """Each has the notice, since their sum lacks an account; a stale one is marked as well."""
    failure = AccountFailure("b", "fake", ServiceUnavailableError("503", account="b", provider="fake"))

    rows = merge([make_snapshot("a", ("BTC", "1"), stale=True)], [failure]).rows()

    assert [(row["stale"], row["notice"].partition(":")[0]) for row in rows] == [(True, "INCOMPLETE")]


@given(merged_results())
def test_rows_rebuild_the_whole(merged):
    """Balances made from them are those of the result, and their totals its totals."""
    held = {snapshot.account: [] for snapshot in merged.accounts}
    moments = {}
    for row in merged.rows():
        moments[row["account"]] = row["as_of"], row["stale"]
        row["asset_type"] = AssetType(row["asset_type"])
        held[row["account"]].append(Balance(**{name: row[name] for name in attrs.fields_dict(Balance)}))
    snapshots = [
        AccountBalances(label, "fake", balances, *moments[label])
        if balances
        else next(snapshot for snapshot in merged.accounts if snapshot.account == label)
        for label, balances in held.items()
    ]

    assert merge(snapshots, merged.failures) == merged
