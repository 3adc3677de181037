"""What is said of a result in words."""

from datetime import UTC, datetime, timedelta

import pytest

from balancekit import AccountFailure, BadRequestError, ConfigError, ServiceUnavailableError, merge
from balancekit.cli.messages import describe_coverage, describe_failure, describe_hidden_zeros, incomplete_notice

NOW = datetime(2026, 1, 1, 3, 4, tzinfo=UTC)


def _failure(account, error=None):
    error = error or ServiceUnavailableError("503", account=account, provider="fake")
    return AccountFailure(account, "fake", error)


def test_a_complete_result_lacks_nothing(make_snapshot):
    """Nothing is said where nothing is wrong."""
    merged = merge([make_snapshot("a", ("BTC", "1"))])

    assert incomplete_notice(merged) is None
    assert describe_coverage(merged) == "1 account, as of 2026-01-01 00:00:00 UTC"


def test_the_gap_names_every_account_that_is_missing(make_snapshot):
    """Whoever reads the last line knows what the totals are without."""
    merged = merge([make_snapshot("a")], [_failure("b"), _failure("c")])

    assert incomplete_notice(merged) == "INCOMPLETE: 2 of 3 accounts could not be read; the totals lack b, c"
    assert describe_coverage(merged) == "1 of 3 accounts, as of 2026-01-01 00:00:00 UTC"


def test_an_earlier_snapshot_is_no_fresh_one(make_snapshot):
    """A total with an old balance in it is not complete either, and lacks nothing but the news."""
    merged = merge([make_snapshot("a"), make_snapshot("b", stale=True)], [_failure("b"), _failure("c")])

    assert incomplete_notice(merged, NOW) == (
        "INCOMPLETE: 1 of 3 accounts could not be read; the totals lack c; "
        "1 of 3 accounts could not be read anew; the totals hold an earlier b (as of 00:00 UTC, 3 h old)"
    )


def test_only_earlier_snapshots_are_told_alone(make_snapshot):
    """Without anything missing there is one reason."""
    merged = merge([make_snapshot("b", stale=True)], [_failure("b")])

    assert incomplete_notice(merged, NOW) == (
        "INCOMPLETE: 1 of 1 account could not be read anew; the totals hold an earlier b (as of 00:00 UTC, 3 h old)"
    )


def test_without_a_moment_an_age_is_that_of_now(make_snapshot):
    """Whoever does not say when asks now."""
    minutes = datetime.now(UTC) - timedelta(minutes=5, seconds=1)
    merged = merge([make_snapshot("b", stale=True, fetched_at=minutes)])

    assert incomplete_notice(merged).endswith(", 5 min old)")


def test_a_result_of_nothing_says_so():
    """No moment is named where nothing was read."""
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
def test_a_failure_is_told_with_code_and_hint(error, expected):
    """Account, provider, the provider's code, its words and what to do, whatever the error is made of."""
    assert describe_failure(_failure("a", error)) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, ""), (1, "1 zero not shown!"), (2, "2 zeros not shown!")])
def test_hidden_zeros_are_counted(count, expected):
    """What is left out of a table is never left out in silence."""
    assert describe_hidden_zeros(count, "!") == expected
