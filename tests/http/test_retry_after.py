"""`Retry-After`, in seconds or as a date, and anything else that may stand there."""

import pytest
from hypothesis import given, strategies as st

from balancekit.http.messages import Response
from balancekit.http.retry_after import parse_retry_after, retry_after_of

NEW_YEAR = 1_767_225_600.0
ANY_TEXT = st.text(st.characters())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("007", 7.0),
        ("999999999999", 999_999_999_999.0),
        ("Thu, 01 Jan 2026 00:00:10 GMT", 10.0),
        ("Thursday, 01-Jan-26 00:00:10 GMT", 10.0),
        ("Thu Jan  1 00:00:10 2026", 10.0),
        ("Thu, 01 Jan 2026 01:00:10 +0100", 10.0),
        ("Thu, 01 Jan 2026 00:00:10 -0000", 10.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("Thu, 01 Jan 0001 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    """A date is counted from now, and one that has passed is no wait."""
    assert parse_retry_after(value, now=NEW_YEAR) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "-5", "+5", "1.5", "1e3", "5, 10", "5 10", "5s", "soon", "NaN", "Infinity", "\u0665", "9" * 13,
        "9" * 5000, "Thu, 01 Jan 99999 00:00:00 GMT", "Thu, 01 Jan 2026 25:00:00 GMT", "Thu, 32 Jan 2026 00:00:00 GMT",
    ],
    ids=lambda value: ascii(value)[:16],
)  # fmt: skip
def test_a_retry_after_that_is_neither_seconds_nor_a_date_is_ignored(value):
    """A header that cannot be understood is treated as absent."""
    assert parse_retry_after(value, now=NEW_YEAR) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"Date": "Thu, 01 Jan 2026 00:00:20 GMT"}, 40.0),
        ({"Date": "Thu, 01 Jan 2026 00:00:20 GMT", "Age": "20"}, 60.0),
        ({"Date": "Fri, 01 Jan 9999 00:00:00 GMT"}, 60.0),
        ({"Date": "Mon, 01 Jan 0001 00:00:00 GMT"}, 60.0),
    ],
    ids=["no date", "date", "cached", "year 9999", "year 1"],
)
def test_a_date_to_come_back_is_counted_from_a_credible_date(headers, seconds):
    """A `Date` of a cache, or one that is thousands of years off, makes nobody come back at once, or never."""
    response = Response(503, {"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT", **headers})

    assert retry_after_of(response, now=NEW_YEAR) == seconds


@given(ANY_TEXT | st.text("0123456789 :,-+.GMTJanThu"))
def test_any_retry_after_is_harmless(value):
    """Whatever the header says, it is seconds from zero up or nothing."""
    seconds = parse_retry_after(value, now=NEW_YEAR)

    assert seconds is None or 0 <= seconds < float("inf")
