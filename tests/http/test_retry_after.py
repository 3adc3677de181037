"""`Retry-After`, in seconds or as a date, and anything else that may stand there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st
from multidict import CIMultiDict

from balancekit.http.messages import Response
from balancekit.http.retry_after import parse_retry_after, retry_after_of

NEW_YEAR = 1_767_225_600.0
ANY_TEXT = st.text(st.characters())
DATE_FORMS = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("007", 7.0),
        ("0.503", 0.503),
        ("2.0", 2.0),
        ("5.", 5.0),
        ("999999999999", 999_999_999_999.0),
        ("9" * 13, 1e12),
        ("9" * 5000, 1e12),
        ("2814, 2", 2814.0),
        ("5,10", 10.0),
        ("5, soon", 5.0),
        (", 5 ,", 5.0),
        ("5, Thu, 01 Jan 2026 00:00:10 GMT", 10.0),
        ("Thu, 01 Jan 2026 00:00:20 GMT, Thursday, 01-Jan-26 00:00:10 GMT, 7", 20.0),
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
    """A date is counted from now, one that has passed is no wait, and of several values the largest counts."""
    assert parse_retry_after(value, now=NEW_YEAR) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", ",", "-5", "+5", ".5", "1e3", "5 10", "30s", "PT30S", "soon", "NaN", "Infinity", "\u0665",
        "Thu, 01 Jan 99999 00:00:00 GMT", "Thu, 01 Jan 2026 25:00:00 GMT", "Thu, 32 Jan 2026 00:00:00 GMT",
    ],
    ids=lambda value: ascii(value)[:16],
)  # fmt: skip
def test_a_retry_after_that_is_neither_seconds_nor_a_date_is_ignored(value):
    """A header that cannot be understood is treated as absent."""
    assert parse_retry_after(value, now=NEW_YEAR) is None


def test_of_two_headers_the_larger_counts():
    """A proxy that adds its own does not make the provider's shorter."""
    headers = CIMultiDict([("Retry-After", "2"), ("retry-after", "60"), ("Retry-After", "soon")])

    assert retry_after_of(Response(429, headers), now=NEW_YEAR) == 60


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


def _as_date(seconds, form):
    moment = datetime.fromtimestamp(NEW_YEAR + seconds, UTC)
    return moment.strftime(form)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**8),
            st.sampled_from(["{}", "{}.0", " {} ", *DATE_FORMS]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_every_form_of_each_value_is_read(values):
    """In all formats of RFC 9110, alone or in a list, the longest wait is the one that counts."""
    written = [_as_date(seconds, form) if "%" in form else form.format(seconds) for seconds, form in values]

    assert parse_retry_after(",".join(written), now=NEW_YEAR) == max(seconds for seconds, _ in values)
