"""Counting the calls that a function makes: a bound on work that no clock has a part in."""

import gc
import sys


def calls_of(function, *args, **kwargs):
    """Return how many functions a call calls, those in C among them."""
    return _count({"call", "c_call"}, function, *args, **kwargs)


def python_calls_of(function, *args, **kwargs):
    """Return how many functions that are written in Python a call calls, itself among them."""
    return _count({"call"}, function, *args, **kwargs)


def _count(events, function, *args, **kwargs):
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in events

    # Collecting what earlier tests have left would call their finalizers, and what Hypothesis measures that by.
    gc.disable()
    sys.setprofile(count)
    try:
        function(*args, **kwargs)
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls
