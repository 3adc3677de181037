"""Totals by a key: exact, adding up to the whole, and never of an incomplete result by accident."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AccountBalances,
    AccountFailure,
    AssetType,
    Balance,
    IncompleteError,
    ServiceUnavailableError,
    merge,
)

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
DOWN = AccountFailure("till", "fake", ServiceUnavailableError("503", account="till", provider="fake"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BTC", "USDC"]),
            st.integers(-(10**60), 10**60).map(lambda units: f"{units}E-18"),
            st.sampled_from([*AssetType]),
            st.sampled_from([None, "base", "solana"]),
            st.sampled_from("abc"),
        ),
        max_size=12,
    )
)
def test_groups_add_up_to_the_totals(held):
    """Each balance is in exactly one group, and the sums are those of fractions, whatever the decimal context is."""
    merged = merge(_snapshots(held))

    with localcontext(prec=3):
        groups = merged.totals_by(lambda balance: (balance.chain, balance.account))

    sums = Counter()
    for key, totals in groups.items():
        for total in totals:
            assert Fraction(total.amount) == sum(Fraction(balance.amount) for balance in total.balances)
            assert {(balance.chain, balance.account) for balance in total.balances} == {key}
            sums[total.currency, total.asset_type] += Fraction(total.amount)
    assert sums == Counter({(total.currency, total.asset_type): Fraction(total.amount) for total in merged})
    assert sum(len(total.balances) for totals in groups.values() for total in totals) == len(held)


def _snapshots(held):
    for label in "abc":
        balances = [
            Balance(code, Decimal(text), kind, label, "fake", code, chain)
            for code, text, kind, chain, owner in held
            if owner == label
        ]
        yield AccountBalances(label, "fake", balances, MOMENT)


def test_a_group_has_its_totals_by_currency(make_snapshot):
    """The totals of each account, in the order of the result."""
    merged = merge([make_snapshot("shop", ("BTC", "1"), ("EUR", "2", "fiat")), make_snapshot("till", ("BTC", "3"))])

    groups = merged.totals_by(lambda balance: balance.account)

    assert {label: [(one.currency, one.plain) for one in totals] for label, totals in groups.items()} == {
        "shop": [("BTC", "1"), ("EUR", "2")],
        "till": [("BTC", "3")],
    }


def test_a_group_says_whether_it_is_old(make_snapshot):
    """A total of a group is stale if a balance in it is, and only then."""
    merged = merge([make_snapshot("shop", ("BTC", "1")), make_snapshot("till", ("BTC", "3"), stale=True)])

    groups = merged.totals_by(lambda balance: balance.account, partial=True)

    assert [groups[label][0].stale for label in ("shop", "till")] == [False, True]


def test_an_incomplete_result_is_not_grouped_unless_asked(make_snapshot):
    """With an account down it raises, as `amount` does, and `partial=True` gives what was read."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))], [DOWN])

    with pytest.raises(IncompleteError) as caught:
        merged.totals_by(lambda balance: balance.chain)

    assert caught.value.partial is merged
    assert merged.totals_by(lambda balance: balance.chain, partial=True)[None][0].plain == "1"


def test_a_total_that_is_hidden_since_its_parts_cancel_has_those_parts(make_snapshot):
    """Five that one account has and another owes are zero together, and neither is by itself."""
    merged = merge([make_snapshot("a", ("BTC", "5"), ("ETH", "0"), ("XRP", "1")), make_snapshot("b", ("BTC", "-5"))])

    groups = merged.nonzero().totals_by(lambda balance: balance.account)

    held = {account: [f"{part.plain} {part.currency}" for part in parts] for account, parts in groups.items()}
    assert held == {"a": ["5 BTC", "1 XRP"], "b": ["-5 BTC"]}
