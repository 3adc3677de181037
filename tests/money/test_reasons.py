"""Why accounts could not be read, in a few words."""

import pytest

from balancekit import (
    AccountFailure,
    AuthenticationError,
    BalancekitError,
    NotReadError,
    ProviderError,
    ProviderTimeoutError,
    TransportError,
)
from balancekit.money.reasons import describe_reasons, group_by_reason


class _OwnError(TransportError):
    """An error of an adapter's own."""


def _failure(account, kind):
    return AccountFailure(account, "fake", kind("secret words", account=account, provider="fake"))


def test_the_most_frequent_reason_comes_first():
    """The noun is with the first number alone."""
    failures = [_failure("a", AuthenticationError), _failure("b", ProviderTimeoutError)]

    assert describe_reasons(failures) == "1 account: key refused; 1: timed out"
    assert describe_reasons([*failures, _failure("c", ProviderTimeoutError)]) == "2 accounts: timed out; 1: key refused"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(_OwnError, "no connection"), (NotReadError, "not read yet"), (ProviderError, "failed")],
)
def test_a_reason_is_that_of_the_nearest_class(kind, expected):
    """An error of an adapter's own has the reason of what it derives from; no word of a provider is in one."""
    assert [*group_by_reason([_failure("a", kind)])] == [expected]


def test_any_error_has_a_reason():
    """An error that is not a provider's has none of its own."""
    assert [*group_by_reason([AccountFailure("a", "fake", BalancekitError("x"))])] == ["failed"]
