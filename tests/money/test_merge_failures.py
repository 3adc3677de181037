"""Merging what could not be read: failures, stale snapshots, accounts and balances that come twice."""

import pickle
import traceback
from datetime import UTC, datetime

import attrs
import pytest

from balancekit import (
    AccountBalances,
    AccountFailure,
    AuthenticationError,
    BalancekitError,
    IncompleteError,
    ServiceUnavailableError,
    TransportError,
    merge,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _failure(account):
    return AccountFailure(account, "fake", ServiceUnavailableError("503", account=account, provider="fake"))


def test_a_failure_makes_the_result_incomplete(make_snapshot):
    """A result that lacks an account is not complete, and names it."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [_failure("b")])

    assert merge([]).complete
    assert not merged.complete
    assert [failure.account for failure in merged.failures] == ["b"]


def test_a_stale_snapshot_makes_the_result_incomplete(make_snapshot):
    """Totals with an old part are not complete, even without a failure."""
    assert not merge([make_snapshot("a", ("BTC", "1"), stale=True)]).complete


def test_failures_raise_with_what_was_read(make_snapshot):
    """The error names the accounts that failed, and carries what was read."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [_failure("c"), _failure("b")])

    with pytest.raises(IncompleteError, match="2 of 3 accounts could not be read: b, c") as caught:
        merged.raise_for_failures()

    assert caught.value.partial is merged
    assert caught.value.exceptions == tuple(failure.error for failure in merged.failures)


def test_an_account_that_an_earlier_snapshot_stands_in_for_is_one_account(make_snapshot):
    """The message counts accounts, not what is known of them."""
    merged = merge([make_snapshot("till"), make_snapshot("shop", stale=True)], [_failure("shop")])

    with pytest.raises(IncompleteError, match="1 of 2 accounts could not be read anew: shop"):
        merged.raise_for_failures()


def test_a_stale_snapshot_raises_as_a_failure_does(make_snapshot):
    """No total that may be old is taken for what is held; the error says of which account that is."""
    merged = merge([make_snapshot("a", stale=True), make_snapshot("b")])

    with pytest.raises(IncompleteError, match="may have changed since: a") as caught:
        merged.raise_for_failures()

    assert [error.account for error in caught.value.exceptions] == ["a"]


def test_nothing_is_raised_without_failures(make_snapshot):
    """A complete result raises nothing."""
    merge([make_snapshot("a", ("BTC", "1"))]).raise_for_failures()


def test_an_account_is_never_counted_twice(make_snapshot):
    """The same account in both parts is an error, not a larger total."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))])

    with pytest.raises(ValueError, match="account 'shop' would be counted twice"):
        merged | merged
    with pytest.raises(ValueError, match="account 'shop' would be counted twice"):
        merge(merged.accounts * 2)


UNIQUE = "7d1f3c52-5a7e-4f1b-9c55-0d8a2f1be9aa"


def _referring(make_snapshot, account, *facts):
    held = make_snapshot(account, *[("BTC", "1")] * len(facts))
    balances = [attrs.evolve(one, **fact) for one, fact in zip(held.balances, facts, strict=True)]
    return attrs.evolve(held, balances=balances)


@pytest.mark.parametrize("parts", [True, False], ids=["parts", "snapshots"])
def test_a_balance_of_two_accounts_is_not_counted_twice(make_snapshot, parts):
    """One account may have been read under two labels: ids as long as these are given out once."""
    shop, again = (_referring(make_snapshot, label, {"reference": UNIQUE}) for label in ("shop", "again"))

    with pytest.raises(ValueError, match=rf"'again': the BTC balance with the id '{UNIQUE}' is in account 'shop' too"):
        merge([shop]) | merge([again]) if parts else merge([shop, again])


def test_a_balance_that_an_account_lists_twice_is_not_counted_twice(make_snapshot):
    """However short its id is."""
    shop = _referring(make_snapshot, "shop", {"reference": "1"}, {"reference": "1"})

    with pytest.raises(ValueError, match="'shop': the BTC balance with the id '1' is listed twice"):
        merge([shop])


def test_balances_that_differ_in_provider_code_or_chain_are_two(make_snapshot):
    """As are those of short ids, which may be numbers, and those without any."""
    facts = {"reference": UNIQUE}, {"reference": UNIQUE, "code": "WBTC"}, {"reference": UNIQUE, "chain": "tron"}
    facts += {"reference": "1"}, {}, {}
    shop = _referring(make_snapshot, "shop", *facts)
    till = _referring(make_snapshot, "till", {"reference": "1"}, {"reference": UNIQUE, "chain": "eth"}, {})
    foreign = [attrs.evolve(one, provider="other", account="foreign") for one in shop.balances]

    merged = merge([shop, till, AccountBalances("foreign", "other", foreign, NOW)])

    assert merged.amount("BTC") == 2 * 6 + 3


def test_an_account_does_not_fail_twice():
    """An account that failed in both parts is one account that was read twice."""
    with pytest.raises(ValueError, match="account 'shop' failed twice"):
        merge([], [_failure("shop"), _failure("shop")])


def test_an_account_cannot_be_read_and_fail(make_snapshot):
    """A merge cannot know which of the two is true."""
    with pytest.raises(ValueError, match="account 'shop' was both read and failed"):
        merge([make_snapshot("shop")]) | merge([], [_failure("shop")])


def test_a_stale_snapshot_may_stand_in_for_a_failure(make_snapshot):
    """A snapshot that is marked as stale can be shown beside the reason why there is no newer one."""
    merged = merge([make_snapshot("shop", ("BTC", "1"), stale=True)], [_failure("shop")])

    assert merged.amount("BTC", partial=True) == 1
    assert not merged.complete


def _group():
    wrong_key = AuthenticationError("403", account="a", provider="fake")
    lost = TransportError("reset", account="b", provider="fake")
    return IncompleteError("2 of 2", [wrong_key, lost], merge([]))


def test_a_group_split_by_type_keeps_what_was_read():
    """`except*` hands on the partial result with each part of the group."""
    group = _group()

    rejected, rest = group.split(AuthenticationError)

    assert rejected.partial is rest.partial is group.partial
    assert [type(error) for error in rest.exceptions] == [TransportError]


def test_a_group_pickles_with_what_was_read():
    """A strict fetch in a worker process loses nothing on the way to its caller."""
    group = _group()

    copy = pickle.loads(pickle.dumps(group))

    assert copy.partial == group.partial
    assert [str(error) for error in copy.exceptions] == [str(error) for error in group.exceptions]


def test_a_group_is_caught_by_the_root():
    """One except clause is enough for a caller who treats all failures alike."""
    with pytest.raises(BalancekitError, match="2 of 2"):
        raise _group()


def test_a_group_shows_all_its_errors():
    """The traceback of a group lists every account that failed."""
    text = "".join(traceback.format_exception(_group()))

    assert "a (fake): 403" in text
    assert "b (fake): reset" in text
