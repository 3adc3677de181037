"""What changed between two results: exact, by currency and by account, and never a loss that is a failure."""

import pickle
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AccountBalances,
    AccountChange,
    AccountFailure,
    AssetType,
    Balance,
    ServiceUnavailableError,
    TotalChange,
    merge,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = "abc"


def snapshot(label, *held, stale=False, provider="fake"):
    """Return the snapshot of one account with rows of code, amount and perhaps type."""
    balances = [
        Balance(code, Decimal(amount), types[0] if types else AssetType.CRYPTO, label, provider, code)
        for code, amount, *types in held
    ]
    return AccountBalances(label, provider, balances, NOW, stale)


def failure(label):
    """Return the failure of one account."""
    return AccountFailure(label, "fake", ServiceUnavailableError("503", account=label, provider="fake"))


@st.composite
def results(draw):
    """Return a result of some of the accounts; some are stale, and some have failed."""
    amounts = st.integers(-(10**60), 10**60).map(lambda units: Decimal(f"{units}E-18"))
    held = st.lists(st.tuples(st.sampled_from(["BTC", "MNT"]), amounts, st.sampled_from(AssetType)), max_size=4)
    snapshots, failures = [], []
    for label in LABELS:
        state = draw(st.sampled_from(["fresh", "fresh", "fresh", "stale", "failed", "both", "absent"]))
        if state == "absent":
            continue
        if state != "failed":
            snapshots.append(snapshot(label, *draw(held), stale=state in {"stale", "both"}))
        if state in {"failed", "both"}:
            failures.append(failure(label))
    return merge(snapshots, failures)


def fresh(merged):
    """Return the labels of the accounts that a result has read fresh."""
    return {one.account for one in merged.accounts if not one.stale}


def alone(merged, labels):
    """Return the totals of some accounts merged by themselves, as fractions."""
    together = merge([one for one in merged.accounts if one.account in labels])
    return {(total.currency, total.asset_type): Fraction(total.amount) for total in together}


@given(results(), results())
def test_differences_are_those_of_the_accounts_that_both_have_fresh(earlier, later):
    """What changed is what differs between their totals merged by themselves, computed with fractions."""
    common = fresh(earlier) & fresh(later)
    before, after = alone(earlier, common), alone(later, common)
    expected = {
        key: after.get(key, 0) - before.get(key, 0)
        for key in before.keys() | after.keys()
        if after.get(key, 0) != before.get(key, 0)
    }

    with localcontext(prec=3):
        changes = later.changes_since(earlier)

    assert {(one.currency, one.asset_type): Fraction(one.difference) for one in changes.totals} == expected
    assert all(Fraction(one.after) - Fraction(one.before) == Fraction(one.difference) for one in changes.totals)
    assert [(one.currency, one.asset_type) for one in changes.totals] == sorted(expected)


@given(results(), results())
def test_the_way_back_is_the_negative(earlier, later):
    """What came is what would be gone the other way round, in the totals and in each account."""
    there, back = later.changes_since(earlier), earlier.changes_since(later)

    for way, other in ((there.totals, back.totals), (there.accounts, back.accounts)):
        turned = [
            attrs.evolve(one, before=one.after, after=one.before, difference=one.difference.copy_negate())
            for one in other
        ]
        assert list(way) == turned
    assert (there.unknown, there.compared) == (back.unknown, back.compared)


@given(results(), results())
def test_the_differences_of_the_accounts_add_up(earlier, later):
    """Those of all accounts make those of the totals, also where one has what another lost."""
    changes = later.changes_since(earlier)

    sums = {}
    for one in changes.accounts:
        key = one.currency, one.asset_type
        sums[key] = sums.get(key, 0) + Fraction(one.difference)
    totals = {(one.currency, one.asset_type): Fraction(one.difference) for one in changes.totals}
    assert {key: amount for key, amount in sums.items() if amount} == totals
    assert all(one.difference for one in changes.accounts)


@given(results(), results())
def test_every_account_is_compared_or_unknown(earlier, later):
    """No label of either result is left out, and those that are unknown are in no difference."""
    changes = later.changes_since(earlier)

    labels = {one.account for merged in (earlier, later) for one in (*merged.accounts, *merged.failures)}
    assert sorted((*changes.unknown, *changes.compared)) == sorted(labels)
    assert {one.account for one in changes.accounts} <= set(changes.compared) == fresh(earlier) & fresh(later)
    assert changes.complete == (not changes.unknown)


@given(results(), results(), results())
def test_parts_add_up(first, second, third):
    """If the same accounts are compared, the changes of two days are those of each day together."""
    common = fresh(first) & fresh(second) & fresh(third)
    first, second, third = (
        merge([one for one in merged.accounts if one.account in common]) for merged in (first, second, third)
    )

    def differences(later, earlier):
        return {(one.currency, one.asset_type): one.difference for one in later.changes_since(earlier).totals}

    days, whole = (differences(second, first), differences(third, second)), differences(third, first)
    for key in whole.keys() | days[0].keys() | days[1].keys():
        assert Fraction(whole.get(key, 0)) == sum(Fraction(day.get(key, 0)) for day in days)


def test_a_change_says_where_it_is():
    """A total and an account each have what was before, what is after, and the difference."""
    changes = merge([snapshot("shop", ("BTC", "1.5")), snapshot("till")]).changes_since(
        merge([snapshot("shop", ("BTC", "1")), snapshot("till", ("BTC", "1e-8"))])
    )

    assert changes.totals == (
        TotalChange("BTC", AssetType.CRYPTO, Decimal("1.00000001"), Decimal("1.5"), Decimal("0.49999999")),
    )
    assert changes.accounts == (
        AccountChange("shop", "fake", "BTC", AssetType.CRYPTO, Decimal(1), Decimal("1.5"), Decimal("0.5")),
        AccountChange("till", "fake", "BTC", AssetType.CRYPTO, Decimal("1e-8"), Decimal(0), Decimal("-1e-8")),
    )
    assert [one.plain for one in (*changes.totals, *changes.accounts)] == ["+0.49999999", "+0.5", "-0.00000001"]
    assert pickle.loads(pickle.dumps(changes)) == changes


def test_moving_between_accounts_changes_no_total():
    """A transfer is in the accounts, and in no total."""
    before = merge([snapshot("shop", ("BTC", "3")), snapshot("till", ("BTC", "0"))])
    after = merge([snapshot("shop", ("BTC", "1")), snapshot("till", ("BTC", "2"))])

    changes = after.changes_since(before)

    assert changes.totals == ()
    assert [(one.account, one.plain) for one in changes.accounts] == [("shop", "-2"), ("till", "+2")]


def test_a_failure_is_no_loss():
    """An account that could not be read, is stale, is new or is gone is unknown, and in no difference."""
    before = merge([snapshot(label, ("USDC", "100")) for label in ("down", "gone", "old", "shop")])
    after = merge(
        [snapshot("new", ("USDC", "7")), snapshot("old", ("USDC", "90"), stale=True), snapshot("shop", ("USDC", "99"))],
        [failure("down")],
    )

    changes = after.changes_since(before)

    assert [(one.currency, one.plain) for one in changes.totals] == [("USDC", "-1")]
    assert changes.unknown == ("down", "gone", "new", "old")
    assert not changes.complete


def test_a_label_of_another_provider_is_another_account():
    """An account that kept its label and changed its provider is unknown."""
    before, after = merge([snapshot("shop", ("BTC", "1"))]), merge([snapshot("shop", ("BTC", "2"), provider="new")])

    changes = after.changes_since(before)

    assert (changes.totals, changes.unknown) == ((), ("shop",))


def test_another_scale_is_no_change():
    """1.0 and 1.00 are one amount."""
    changes = merge([snapshot("shop", ("EUR", "1.00"))]).changes_since(merge([snapshot("shop", ("EUR", "1.0"))]))

    assert (changes.totals, changes.accounts) == ((), ())


def test_different_aliases_are_refused():
    """A code that is one currency in one result and another in the other would look like a loss and a gain."""
    accounts = [snapshot("shop", ("USDCE", "5"))]

    with pytest.raises(ValueError, match="USDCE of shop is USDC in the earlier result and USDCE in the later one"):
        merge(accounts).changes_since(merge(accounts, aliases={"USDCE": "USDC"}))


def test_different_aliases_of_one_account_are_refused():
    """An account may have aliases of its own: that another counts a code alike on both sides says nothing of it."""
    first, second, renamed = (
        merge([snapshot(label, ("USDTB", "5"), ("USDT", "1"))], aliases=aliases)
        for label, aliases in (("a", {"USDTB": "USDT"}), ("b", None), ("b", {"USDTB": "USDT"}))
    )
    before, after = first | second, first | renamed

    with pytest.raises(ValueError, match="USDTB of b is USDTB in the earlier result and USDT in the later one"):
        after.changes_since(before)
    for earlier, later in ((before, after), (after, before)):
        with pytest.raises(ValueError, match="USDTB of b is counted as another currency in one of the views"):
            later.only("USDT").changes_since(earlier.only("USDT"))
    assert before.changes_since(before).totals == ()


@pytest.mark.parametrize("held", [None, [], [("USDTE", "1")]], ids=["not read", "not listed any more", "still held"])
def test_accounts_may_have_aliases_of_their_own(held):
    """Money that comes in one account is no contradiction to what another account counts its code as."""

    def of_brand(*rows):
        return merge([snapshot("a", *rows)], aliases={"USDTE": "USDT"})

    before = of_brand(("USDTE", "1")) | merge([snapshot("b")])
    after = (merge([], [failure("a")]) if held is None else of_brand(*held)) | merge([snapshot("b", ("USDTE", "5"))])

    changes = after.changes_since(before)

    assert [(one.currency, one.plain) for one in changes.accounts if one.account == "b"] == [("USDTE", "+5")]


def test_aliases_of_what_is_not_compared_do_not_matter():
    """An account that is stale is in no difference, whatever it counts its codes as."""
    held = [("USDTB", "5")]
    other = merge([snapshot("a", *held)], aliases={"USDTB": "USDT"})
    before = other | merge([snapshot("b", *held)])
    after = other | merge([snapshot("b", *held, stale=True)], aliases={"USDTB": "USDT"})

    assert after.changes_since(before).unknown == ("b",)


def test_a_view_is_compared_with_a_view_of_the_same_currencies():
    """A whole result and a view of some currencies would differ by all that the view leaves out."""
    before = merge([snapshot("shop", ("BTC", "1"), ("ETH", "1")), snapshot("till", ("BTC", "1"))])
    after = merge([snapshot("shop", ("BTC", "3")), snapshot("till", ("BTC", "1"))])

    for earlier, later in (
        (before, after.only("BTC")),
        (before.only("BTC"), after),
        (before.only("ETH"), after.only()),
    ):
        with pytest.raises(ValueError, match="only results of the same currencies can be compared"):
            later.changes_since(earlier)
    changes = after.only("BTC").changes_since(before.only("BTC"))
    assert [(one.currency, one.plain) for one in changes.totals] == [("BTC", "+2")]
    assert str(changes) == "Only BTC\nBTC +2 (from 2 to 4)"


def test_the_accounts_that_a_view_leaves_out_are_unknown():
    """A view of one account is compared by that account, and says so."""
    before = merge([snapshot("shop", ("BTC", "1")), snapshot("till", ("BTC", "1"))])
    after = merge([snapshot("shop", ("BTC", "3")), snapshot("till", ("BTC", "1"))]).of("shop")

    assert str(after.changes_since(before)).splitlines() == [
        "Only account shop",
        "BTC +2 (from 1 to 3)",
        "INCOMPLETE: 1 of 2 accounts not compared: till",
    ]
    assert str(after.changes_since(before.of("shop"))) == "Only account shop\nBTC +2 (from 1 to 3)"


def test_aliases_are_not_hidden_by_a_view():
    """A view does not show what a code is counted as without the alias: what could be no loss is refused."""
    accounts = [snapshot("shop", ("USDCE", "5"), ("USDC", "1"))]
    with_alias, without = merge(accounts, aliases={"USDCE": "USDC"}), merge(accounts)

    for earlier, later in ((with_alias, without), (without, with_alias)):
        with pytest.raises(ValueError, match="compare the results that the views are of"):
            later.only("USDC").changes_since(earlier.only("USDC"))
    assert with_alias.only("USDC").changes_since(with_alias.only("USDC")).totals == ()


def test_the_text_says_what_is_not_compared():
    """Printed, a difference cannot be taken for one of all accounts."""
    before = merge([snapshot(label, ("BTC", "1")) for label in ("shop", "till")])
    after = merge([snapshot("shop", ("BTC", "1.5"))], [failure("till")])

    assert str(after.changes_since(before)) == (
        "BTC +0.5 (from 1 to 1.5)\nINCOMPLETE: 1 of 2 accounts not compared: till"
    )
    assert str(before.changes_since(before)) == "No change"
    assert str(merge([]).changes_since(before)) == (
        "Nothing to compare\nINCOMPLETE: 2 of 2 accounts not compared: shop, till"
    )


def test_no_name_in_the_text_reorders_what_is_around_it():
    """Codes and labels that are written from right to left are isolated."""
    text = str(merge([snapshot("shop", ("אב", "1"))], [failure("גד")]).changes_since(merge([snapshot("shop")])))

    assert text.splitlines() == [
        "\u2068אב\u2069 +1 (from 0 to 1)",
        "INCOMPLETE: 1 of 2 accounts not compared: \u2068גד\u2069",
    ]


def test_the_text_names_few_of_many_accounts():
    """Of hundreds of accounts that are unknown, the text names ten and counts the others."""
    text = str(merge([], [failure(f"a{number:03}") for number in range(300)]).changes_since(merge([])))

    assert text.endswith(
        "300 of 300 accounts not compared: " + ", ".join(f"a00{n}" for n in range(10)) + " and 290 more"
    )


def test_the_text_tells_types_apart():
    """A code of both types is named with them."""
    after = merge([snapshot("shop", ("MNT", "1"), ("MNT", "2", AssetType.FIAT))])

    assert str(after.changes_since(merge([snapshot("shop")]))).splitlines() == [
        "MNT (crypto) +1 (from 0 to 1)",
        "MNT (fiat) +2 (from 0 to 2)",
    ]
