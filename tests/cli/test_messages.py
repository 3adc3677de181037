"""Sentences about a result."""

import pytest

from balancekit import (
    AccountFailure,
    BadRequestError,
    ConfigError,
    NotReadError,
    ProviderTimeoutError,
    ServiceUnavailableError,
    merge,
)
from balancekit.cli.messages import (
    describe_coverage,
    describe_failure,
    describe_failures,
    describe_hidden_zeros,
    describe_incompleteness,
    name_or_count,
)


def _failure(account, error=None):
    error = error or ServiceUnavailableError("503", account=account, provider="fake")
    return AccountFailure(account, "fake", error)


def test_the_coverage_counts_what_was_read(make_snapshot):
    """It has the moment of the oldest snapshot, if there is one."""
    whole, part = make_snapshot("a", ("BTC", "1")), [make_snapshot("a")]

    assert describe_coverage(merge([whole])) == "1 account, as of 2026-01-01 00:00:00 UTC"
    assert describe_coverage(merge(part, [_failure("b")])) == "1 of 2 accounts, as of 2026-01-01 00:00:00 UTC"
    assert describe_coverage(merge([], [_failure("a")])) == "0 of 1 account"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            BadRequestError("400 bad: No", account="a", provider="fake", code="bad", hint="Try again"),
            "a (fake): 400 bad: No. Try again",
        ),
        (BadRequestError("No", account="a", provider="fake", code="bad"), "a (fake): bad: No"),
        (BadRequestError("No.", account="a", provider="fake", hint="Try again"), "a (fake): No. Try again"),
        (BadRequestError("No", account="a", provider="fake"), "a (fake): No"),
        (ConfigError("token: expired"), "a (fake): token: expired"),
    ],
    ids=["code and hint", "code apart", "sentence and hint", "bare", "no provider's error"],
)
def test_a_failure_has_its_code_and_hint(error, expected):
    """A failure is described by its account, provider, the provider's code, message and hint."""
    assert describe_failure(_failure("a", error)) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, ""), (1, "1 zero not shown!"), (2, "2 zeros not shown!")])
def test_hidden_zeros_are_counted(count, expected):
    """The number of hidden zeros is stated with the remedy; none is an empty text."""
    assert describe_hidden_zeros(count, "!") == expected


def test_few_failures_are_listed_and_many_are_grouped_by_reason():
    """Of more than five, each reason has one line, with its first account as the example."""
    timed_out = [
        _failure(f"b{number}", ProviderTimeoutError("no response", account=f"b{number}", provider="fake"))
        for number in range(5)
    ]

    assert len(describe_failures(timed_out)) == 5
    assert describe_failures([_failure("a"), *timed_out]) == [
        "5 accounts: timed out. First b0 (fake): no response",
        "a (fake): 503",
    ]


def test_few_accounts_are_named_and_many_are_counted():
    """A cell with three hundred labels would be longer than the table."""
    assert name_or_count("abcde") == "a, b, c, d, e"
    assert name_or_count("abcdef") == "6 accounts"
    assert name_or_count(["a", "\u05d0"]) == "a, \u2068\u05d0\u2069"


def test_an_account_that_is_not_read_yet_has_no_hint():
    """A command reads it by itself."""
    error = NotReadError("the account has not been read yet", account="a", provider="fake", hint="Wait for a `fetch`")

    assert describe_failure(_failure("a", error)) == "a (fake): the account has not been read yet"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, None),
        (2, "INCOMPLETE: 2 of 3 accounts could not be read: a0, a1"),
        (6, "INCOMPLETE: 6 of 7 accounts could not be read"),
    ],
)
def test_more_than_five_incomplete_accounts_are_counted(make_snapshot, count, shown):
    """What a result lacks is short enough to stand above a table."""
    assert describe_incompleteness(merge([make_snapshot("z")], [_failure(f"a{n}") for n in range(count)])) == shown
