"""Sentences about a result."""

from datetime import UTC, datetime, timedelta

import pytest

from balancekit import AccountFailure, BadRequestError, ConfigError, ServiceUnavailableError, merge
from balancekit.cli.messages import describe_coverage, describe_failure, describe_hidden_zeros, incomplete_notice

NOW = datetime(2026, 1, 1, 3, 4, tzinfo=UTC)


def _failure(account, error=None):
    error = error or ServiceUnavailableError("503", account=account, provider="fake")
    return AccountFailure(account, "fake", error)


def test_a_complete_result_has_no_notice(make_snapshot):
    """A complete result has no notice."""
    merged = merge([make_snapshot("a", ("BTC", "1"))])

    assert incomplete_notice(merged) is None
    assert describe_coverage(merged) == "1 account, as of 2026-01-01 00:00:00 UTC"


def test_the_notice_names_every_missing_account(make_snapshot):
    """The notice of an incomplete result names every account that is missing."""
    merged = merge([make_snapshot("a")], [_failure("b"), _failure("c")])

    assert incomplete_notice(merged) == "INCOMPLETE: 2 of 3 accounts could not be read; the totals lack b, c"
    assert describe_coverage(merged) == "1 of 3 accounts, as of 2026-01-01 00:00:00 UTC"


def test_the_notice_names_every_stale_account(make_snapshot):
    """A stale account is named with the age of its snapshot, apart from the missing ones."""
    merged = merge([make_snapshot("a"), make_snapshot("b", stale=True)], [_failure("b"), _failure("c")])

    assert incomplete_notice(merged, NOW) == (
        "INCOMPLETE: 1 of 3 accounts could not be read; the totals lack c; "
        "1 of 3 accounts could not be read anew; the totals hold an earlier b (as of 00:00 UTC, 3 h old)"
    )


def test_a_notice_may_be_of_stale_accounts_only(make_snapshot):
    """If no account is missing, the notice names only the stale ones."""
    merged = merge([make_snapshot("b", stale=True)], [_failure("b")])

    assert incomplete_notice(merged, NOW) == (
        "INCOMPLETE: 1 of 1 account could not be read anew; the totals hold an earlier b (as of 00:00 UTC, 3 h old)"
    )


def test_a_notice_tells_what_may_have_changed_from_what_failed(make_snapshot):
    """An account that was to be read again, and has not failed, is not said to have."""
    merged = merge([make_snapshot("a", stale=True), make_snapshot("b", stale=True)], [_failure("b")])

    assert incomplete_notice(merged, NOW) == (
        "INCOMPLETE: 1 of 2 accounts could not be read anew; the totals hold an earlier b (as of 00:00 UTC, 3 h old); "
        "1 of 2 accounts may have changed since; the totals hold an earlier a (as of 00:00 UTC, 3 h old)"
    )


def test_ages_are_as_of_now_by_default(make_snapshot):
    """Ages are as of the present unless a time is given."""
    minutes = datetime.now(UTC) - timedelta(minutes=5, seconds=1)
    merged = merge([make_snapshot("b", stale=True, fetched_at=minutes)])

    assert incomplete_notice(merged).endswith(", 5 min old)")


def test_nothing_read_has_its_own_notice():
    """A result without any snapshot has a notice of its own, and no time."""
    merged = merge([], [_failure("a")])

    assert incomplete_notice(merged) == "NOTHING READ: 1 of 1 account could not be read"
    assert describe_coverage(merged) == "0 of 1 account"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            BadRequestError("400 bad: No", account="a", provider="fake", code="bad", hint="Try again"),
            "a (fake): 400 bad: No. Try again",
        ),
        (BadRequestError("No", account="a", provider="fake", code="bad"), "a (fake): bad: No"),
        (BadRequestError("No", account="a", provider="fake"), "a (fake): No"),
        (ConfigError("token: expired"), "a (fake): token: expired"),
    ],
    ids=["code and hint", "code apart", "bare", "no provider's error"],
)
def test_a_failure_has_its_code_and_hint(error, expected):
    """A failure is described by its account, provider, the provider's code, message and hint."""
    assert describe_failure(_failure("a", error)) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, ""), (1, "1 zero not shown!"), (2, "2 zeros not shown!")])
def test_hidden_zeros_are_counted(count, expected):
    """The number of hidden zeros is stated with the remedy; none is an empty text."""
    assert describe_hidden_zeros(count, "!") == expected
