"""What the tests of results share: one with two accounts and a failure that has every fact."""

import pytest

from balancekit import AccountFailure, RateLimitedError, merge


@pytest.fixture
def merged(make_snapshot):
    """Merge two accounts and a failure that has every fact and what was last known."""
    error = RateLimitedError(
        "429 too_many", account="c", provider="fake", status=429, code="too_many", hint="Wait", retry_after=2.5
    )
    failure = AccountFailure("c", "fake", error, make_snapshot("c", ("BTC", "9")))
    return merge([make_snapshot("a", ("BTC", "0.10")), make_snapshot("b", ("EUR", "0.00000000", "fiat"))], [failure])
