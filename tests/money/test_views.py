"""Parts of a result: they say what they are parts of, keep what is missing, and rebuild the whole."""

import attrs
import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AccountFailure,
    AssetType,
    ConfigError,
    IncompleteError,
    MergedBalances,
    ServiceUnavailableError,
    merge,
)
from tests.support.results import merged_results


def _failure(account):
    return AccountFailure(account, "fake", ServiceUnavailableError("503", account=account, provider="fake"))


@pytest.fixture
def merged(make_snapshot):
    """Two accounts that were read, one that is stale, and one that is missing."""
    read = [make_snapshot("a", ("BTC", "1"), ("EUR", "5", "fiat")), make_snapshot("b", ("BTC", "2"), ("ETH", "0"))]
    return merge([*read, make_snapshot("c", ("EUR", "7", "fiat"), stale=True)], [_failure("c"), _failure("d")])


def test_a_view_has_the_currencies_in_the_order_asked_for(merged):
    """Totals, balances and text are those of the currencies, in any case of letters."""
    view = merged.only("eur", "Btc")

    assert [total.currency for total in view] == ["EUR", "BTC"]
    assert list(view) == [merged["EUR"], merged["BTC"]]
    assert [balance.currency for snapshot in view.accounts for balance in snapshot.balances] == [
        "BTC",
        "EUR",
        "BTC",
        "EUR",
    ]
    assert view.chosen_currencies == ("EUR", "BTC")


def test_a_view_of_currencies_keeps_what_is_missing(merged):
    """Every account and failure is in it, so that it has the notice of the whole."""
    view = merged.only("ETH")

    assert view.failures == merged.failures
    assert [snapshot.account for snapshot in view.accounts] == ["a", "b", "c"]
    assert (view.complete, view.notice) == (False, merged.notice)


def test_a_currency_that_a_view_lacks_is_never_zero(merged):
    """It is a KeyError in every way to ask, since it may be held; one that was asked for and is not held is zero."""
    view = merged.only("BTC", "DOGE")

    for ask in (view.__getitem__, view.amount, lambda code: view.amount(code, partial=True), view.only):
        with pytest.raises(KeyError, match="EUR"):
            ask("EUR")
    assert "EUR" not in view
    assert view.amount("doge", partial=True) == 0


@pytest.fixture
def renamed(make_snapshot):
    """Have an account of which one code is counted as another currency."""
    return merge([make_snapshot("a", ("USDCE", "1000"), ("USDC", "1"))], aliases={"USDCE": "USDC"})


def test_a_code_that_is_counted_as_another_currency_is_never_zero(renamed):
    """It is held, though in the total of the other: it is a KeyError in every way to ask, which names that."""
    for ask in (
        renamed.__getitem__,
        renamed.amount,
        lambda code: renamed.amount(code, AssetType.CRYPTO),
        lambda code: renamed.amount(code, partial=True),
        lambda code: renamed["usdce", AssetType.CRYPTO],
        lambda code: renamed.only("BTC", code),
        renamed.of("a").amount,
        renamed.nonzero().only,
    ):
        with pytest.raises(KeyError, match=r"(?i)usdce is an alias of USDC here: ask for USDC"):
            ask("usdce")
    assert "usdce" not in renamed
    assert (renamed.amount("USDC"), renamed.amount("DOGE")) == (1001, 0)


def test_a_code_that_is_a_currency_in_another_account_has_the_total_of_that(renamed, make_snapshot):
    """Aliases may be those of one account alone."""
    merged = renamed | merge([make_snapshot("b", ("USDCE", "5"))])

    assert (merged.amount("USDCE"), merged.amount("USDC"), merged["USDCE"].amount) == (5, 1001, 5)
    assert [total.currency for total in merged.only("USDCE")] == ["USDCE"]


def test_an_amount_that_a_missing_account_may_have_is_not_known(renamed):
    """That comes first: whether its code is counted as another currency there is not known either."""
    with pytest.raises(IncompleteError):
        (renamed | merge([], [_failure("b")])).amount("USDCE")


@pytest.mark.parametrize("codes", [("BTC", "EUR", "BTC"), ("btc", "BTC")])
def test_a_currency_is_asked_for_once(merged, codes):
    """A currency that is repeated would be shown twice."""
    with pytest.raises(ConfigError, match="BTC is asked for twice"):
        merged.only(*codes)


@pytest.mark.parametrize(
    ("code", "error"), [("", ValueError), ("BTC\n", ValueError), (7, TypeError), (None, TypeError)]
)
def test_only_a_code_can_be_asked_for(merged, code, error):
    """What could not be the code of a currency is refused."""
    with pytest.raises(error):
        merged.only(code)


def test_a_view_of_one_account_has_its_balances_and_its_failure(merged):
    """It is complete if that account was read, whatever others did."""
    first, stale, missing = (merged.of(label) for label in "acd")

    assert (first.complete, first.amount("EUR"), [total.currency for total in first]) == (True, 5, ["BTC", "EUR"])
    assert (stale.complete, stale.amount("EUR", partial=True)) == (False, 7)
    assert (missing.notice, missing.accounts) == ("NOTHING READ: 1 of 1 account could not be read: d", ())
    assert [view.chosen_accounts for view in (first, stale, missing)] == [("a",), ("c",), ("d",)]


def test_there_is_no_view_of_an_account_that_the_result_lacks(merged):
    """It is no account that holds nothing."""
    with pytest.raises(LookupError, match="the result has no account 'e'"):
        merged.of("e")


@pytest.mark.parametrize(
    ("view", "scope"),
    [
        (lambda merged: merged, None),
        (lambda merged: merged.nonzero(), None),
        (lambda merged: merged.only("EUR", "BTC"), "Only EUR, BTC"),
        (lambda merged: merged.only(), "Only none"),
        (lambda merged: merged.of("a"), "Only account a"),
        (lambda merged: merged.only("BTC").of("a").nonzero(), "Only BTC in account a"),
        (lambda merged: merged.of("a") | merged.of("b"), "Only accounts a, b"),
    ],
)
def test_a_view_says_what_it_is_a_view_of(merged, view, scope):
    """Its scope is the first line of its text, is in its repr, and comes back from JSON."""
    part = view(merged)

    assert part.scope == scope
    assert scope is None or part.to_text().splitlines()[0] == scope
    assert scope is None or scope in repr(part)
    assert MergedBalances.from_json(part.to_json()) == part


def test_a_long_scope_is_one_short_line(make_snapshot):
    """Ten names are shown, and the number of the others; the view has all of them."""
    labels = [f"account-{number:03}" for number in range(300)]
    view = attrs.evolve(merge(make_snapshot(label) for label in labels), chosen_accounts=labels)

    assert view.scope == f"Only accounts {', '.join(f'account-{number:03}' for number in range(10))} and 290 more"
    assert len(view.chosen_accounts) == 300


def test_a_view_is_merged_with_the_whole_of_others(merged, make_snapshot):
    """The result is a view of the accounts of both, since the other accounts of the first are not in it."""
    assert (merged.of("a") | merge([make_snapshot("x")])).chosen_accounts == ("a", "x")


def test_views_of_other_currencies_are_not_merged(merged, make_snapshot):
    """A total of the result would lack what one of them leaves out."""
    other = merge([make_snapshot("x", ("BTC", "1"), ("EUR", "1", "fiat"))])

    for one, two in ((merged.only("BTC"), other.only("EUR")), (merged, other.only("BTC")), (other.only("BTC"), merged)):
        with pytest.raises(ValueError, match="results of different currencies cannot be merged"):
            one | two
    assert [total.currency for total in merged.only("EUR", "BTC") | other.only("EUR", "BTC")] == ["EUR", "BTC"]
    assert (merged.only("EUR", "BTC") | other.only("BTC", "EUR")).chosen_currencies == ("BTC", "EUR")


@pytest.mark.parametrize("field", [{"chosen_currencies": ["EUR"]}, {"chosen_accounts": ["a"]}])
def test_a_result_has_nothing_that_was_not_chosen(merged, field):
    """A view that holds more than it says is refused, from JSON too."""
    with pytest.raises(ValueError, match="not chosen"):
        MergedBalances.from_dict(merged.to_dict() | field)


def test_a_view_lacks_no_account_that_it_is_of(make_snapshot):
    """One that was chosen, and neither read nor failed, would be missing in totals that are called complete."""
    view = merge([make_snapshot("a", ("BTC", "1"))]).of("a")

    with pytest.raises(ValueError, match="'b' was chosen, and neither read nor failed"):
        attrs.evolve(view, chosen_accounts=["a", "b"])
    with pytest.raises(ValueError, match="not a merged result: account 'b' was chosen"):
        MergedBalances.from_dict(view.to_dict() | {"chosen_accounts": ["a", "b"]})


def test_chosen_names_are_a_list(merged):
    """A string would be taken for a list of letters."""
    with pytest.raises(TypeError, match="not the string 'abc'"):
        attrs.evolve(merged, chosen_accounts="abc")


@given(merged_results())
def test_the_views_of_all_accounts_rebuild_the_whole(merged):
    """Merged again they are the result, with what is missing."""
    whole = merge([])
    for label in {one.account for one in (*merged.accounts, *merged.failures)}:
        whole |= merged.of(label)

    assert attrs.evolve(whole, chosen_accounts=None) == merged


@given(merged_results(), st.randoms())
def test_the_views_of_all_currencies_rebuild_the_whole(merged, random):
    """Each total and each balance is in exactly one of them, however they are cut; all codes at once are the whole."""
    codes = list(dict.fromkeys(total.currency for total in merged))
    views = [merged.only(code) for code in codes]
    random.shuffle(codes)

    assert tuple(total for view in views for total in view) == merged.totals
    for index, snapshot in enumerate(merged.accounts):
        parts = [balance for view in views for balance in view.accounts[index].balances]
        assert sorted(map(repr, parts)) == sorted(map(repr, snapshot.balances))
    assert merged.only(*codes).accounts == merged.accounts
    assert [total.currency for total in merged.only(*codes).only(*sorted(codes))] == [
        total.currency for total in merged
    ]


@given(merged_results(), st.data())
def test_a_view_comes_back_from_json(merged, data):
    """Its order, its scope and what it lacks are kept."""
    codes = data.draw(st.lists(st.sampled_from(["BTC", "MNT", "USD", "DOGE"]), unique=True))
    view = merged.only(*codes)
    if merged.accounts:
        view = view.of(data.draw(st.sampled_from(merged.accounts)).account)

    assert MergedBalances.from_json(view.to_json()) == view
