"""The one line that says what a result lacks."""

import pytest

from balancekit import AccountFailure, NotReadError, ServiceUnavailableError, merge
from balancekit.money.notice import describe_notice


def _failure(account, kind=ServiceUnavailableError):
    return AccountFailure(account, "fake", kind("503", account=account, provider="fake"))


def test_a_complete_result_has_no_notice(make_snapshot):
    """Nothing is missing, so nothing is said; of no accounts, too."""
    assert merge([make_snapshot("a", ("BTC", "1"))]).notice is None
    assert merge([]).notice is None


def test_the_notice_names_what_is_missing_and_what_is_old(make_snapshot):
    """It tells a failure, an account that nobody has read, a failure with an earlier snapshot, and a change apart."""
    snapshots = [make_snapshot("a"), *(make_snapshot(label, stale=True) for label in "bc")]
    merged = merge(snapshots, [_failure("e"), _failure("d"), _failure("b"), _failure("f", NotReadError)])

    assert merged.notice == (
        "INCOMPLETE: 2 of 6 accounts could not be read: d, e; 1 of 6 accounts not read yet: f; "
        "1 of 6 accounts could not be read anew: b; 1 of 6 accounts may have changed since: c"
    )


def test_a_notice_without_names_has_the_numbers_alone(make_snapshot):
    """It fits into any message, however many accounts are missing."""
    failures = [_failure(f"account-{number}") for number in range(300)]

    assert describe_notice([make_snapshot("a")], failures, names=False) == (
        "INCOMPLETE: 300 of 301 accounts could not be read"
    )


def test_nothing_read_is_not_only_incomplete():
    """Without any snapshot the line begins with other words, since there is no number at all."""
    assert merge([], [_failure("a")]).notice == "NOTHING READ: 1 of 1 account could not be read: a"


@pytest.mark.parametrize("view", [lambda merged: merged.nonzero()], ids=["nonzero"])
def test_a_view_keeps_the_notice(make_snapshot, view):
    """What is hidden changes nothing about what is missing."""
    merged = merge([make_snapshot("a", ("BTC", "0"))], [_failure("b")])

    assert view(merged).notice == merged.notice
    assert view(merged).failures == merged.failures


def test_a_notice_names_twenty_accounts_and_counts_the_others(make_snapshot):
    """A line with three hundred names is not read by anybody."""
    failures = [_failure(f"{number:03}") for number in range(300)]

    assert merge([make_snapshot("a")], failures).notice == (
        f"INCOMPLETE: 300 of 301 accounts could not be read: {', '.join(f'{number:03}' for number in range(20))} "
        "and 280 more"
    )
