"""What text that a server has chosen costs, within the bounds on its size: counts that are the same on any machine."""

import sys

import pytest
from multidict import CIMultiDict

from balancekit import Response
from balancekit.http.clock_skew import date_of
from balancekit.http.content_encoding import decode_body
from balancekit.http.messages import cached_for
from balancekit.http.retry_after import retry_after_of

HEADERS = 100
"""How many headers aiohttp reads, more or less."""
LINE = 8_000
"""How long each may be."""


def calls_of(function, *args, **kwargs):
    """Return how many functions a call calls, those in C among them."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        function(*args, **kwargs)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("value", ["1,", "a,", "1 Jan 2026 1:1:1,", "Mon,"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Retry-After", lambda response: retry_after_of(response, now=0.0)),
        ("Age", cached_for),
        ("Age", date_of),
        (
            "Content-Encoding",
            lambda response: list(decode_body(b"", ",".join(response.headers.getall("Content-Encoding")))),
        ),
    ],
    ids=["Retry-After", "Age", "Age beside Date", "Content-Encoding"],
)
def test_a_header_of_any_number_of_values_costs_as_much_as_one_of_a_few_hundred(name, read, value):
    """A response may have a megabyte of headers, each a list, and the event loop stands still while they are read."""
    response = Response(503, CIMultiDict([(name, value * (LINE // len(value)))] * HEADERS))

    assert calls_of(read, response) < 10_000
