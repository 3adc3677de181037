"""Counting the calls that a function makes: a bound on work that no clock has a part in."""

import sys


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
