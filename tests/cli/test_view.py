"""Which part of a result is shown."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain

import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from balancekit import AccountBalances, AssetType, Balance, merge
from balancekit.cli.view import View

VIEWED_AT = datetime(2026, 1, 1, 3, tzinfo=UTC)


@pytest.fixture
def merged(make_snapshot):
    """Merge two accounts with a sum, a zero in one account, and totals of zero."""
    return merge(
        [
            make_snapshot("a", ("BTC", "1"), ("LTC", "0.00"), ("ETH", "0")),
            make_snapshot("b", ("BTC", "0"), ("MNT", "0", "crypto"), ("MNT", "5", "fiat"), ("MNT", "3", "unknown")),
        ]
    )


def test_zeros_are_hidden(merged):
    """Totals and balances of zero are hidden by default, and counted."""
    shown = View().apply(merged)

    assert [total.currency for total in shown] == ["BTC", "MNT", "MNT"]
    assert [len(snapshot.balances) for snapshot in View().apply_to_balances(merged).accounts] == [1, 2]
    assert View().hidden_totals(merged) == 3
    assert View().hidden_balances(merged) == 4


def test_hiding_a_zero_changes_no_total(merged):
    """A balance of unknown type stays apart although the zero that kept it apart is hidden."""
    shown = View().apply(merged)

    assert [str(total.amount) for total in shown if total.currency == "MNT"] == ["5", "3"]
    assert [total.balances for total in shown] == [total.balances for total in merged if total.amount]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 0, 3, -3]), st.sampled_from(AssetType))))
def test_what_is_shown_at_each_provider_adds_up_to_the_totals(held):
    """No balance is in two rows, whatever zeros are hidden: those of one currency and type make its total."""
    balances = [Balance("MNT", Decimal(amount), kind, label, label, "MNT") for label, amount, kind in held]
    merged = merge(
        AccountBalances(label, label, [each for each in balances if each.account == label], VIEWED_AT)
        for label in "abc"
    )

    groups = View().apply(merged).totals_by(lambda balance: balance.provider)

    sums = Counter()
    for part in chain.from_iterable(groups.values()):
        sums[part.currency, part.asset_type] += part.amount
    totals = {(total.currency, total.asset_type): total.amount for total in merged}
    assert {key: amount for key, amount in sums.items() if amount} == {
        key: totals[key] for key in totals if totals[key]
    }


def test_what_is_pending_is_no_zero(make_balance):
    """It is shown, and not counted as hidden, though no amount is there yet."""
    balance = evolve(make_balance("LTC", "0", account="a"), available=Decimal(0), pending=Decimal(7))
    merged = merge([AccountBalances("a", "fake", (balance,), VIEWED_AT)])

    assert View().apply(merged) == View().apply_to_balances(merged) == merged
    assert (View().hidden_totals(merged), View().hidden_balances(merged)) == (0, 0)


def test_what_is_pending_is_shown_though_another_account_does_not_say_what_is(make_balance, make_snapshot):
    """Only the balance of the other is a hidden zero."""
    balance = evolve(make_balance("LTC", "0", account="a"), pending=Decimal(7))
    merged = merge([AccountBalances("a", "fake", (balance,), VIEWED_AT), make_snapshot("b", ("LTC", "0"))])

    assert View().apply(merged).totals == merged.totals
    assert (View().hidden_totals(merged), View().hidden_balances(merged)) == (0, 1)


def test_everything_can_be_shown(merged):
    """With zeros and without a choice of currencies the result is unchanged."""
    assert View(zeros=True).apply(merged) == merged
    assert View(zeros=True).hidden_totals(merged) == 0
    assert View(zeros=True).hidden_balances(merged) == 0


def test_a_choice_of_currencies_is_taken_in_any_case(merged):
    """Codes are accepted in any case; other currencies are neither shown nor counted as hidden."""
    view = View(("btc", "Ltc"))

    shown = view.apply(merged)

    assert [total.currency for total in shown] == ["BTC"]
    assert {balance.currency for snapshot in shown.accounts for balance in snapshot.balances} == {"BTC"}
    assert view.hidden_totals(merged) == 1
    assert view.hidden_balances(merged) == 2


def test_a_currency_that_no_account_holds_is_named(merged):
    """A currency that is held as zero is held."""
    assert View(("xyz", "btc", "ltc", "abc")).not_held(merged) == ["ABC", "XYZ"]


def test_hiding_a_zero_hides_no_age(make_snapshot):
    """A total keeps the age of a stale zero that is hidden."""
    fresh, old = make_snapshot("a", ("BTC", "1"), fetched_at=VIEWED_AT), make_snapshot("b", ("BTC", "0"), stale=True)

    shown = View().apply(merge([fresh, old]))

    assert [snapshot.stale for snapshot in shown.accounts] == [False, True]
    assert shown.to_text(now=VIEWED_AT).splitlines()[0] == "BTC 1 (as of 00:00 UTC, 3 h old)"
