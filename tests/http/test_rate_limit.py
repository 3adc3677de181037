"""The limit on the rate: exact in any window, first come, first served, aware of deadlines."""

import heapq
import itertools

import pytest
from hypothesis import given, strategies as st

from balancekit import RateLimit
from balancekit.http.rate_limit import RateLimiter


@given(
    st.integers(1, 5),
    st.floats(0.5, 10),
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5), st.floats(0, 1)), max_size=40),
)
def test_no_window_has_more_requests_than_allowed(requests, per, calls):
    """Whenever callers come, and however long each request takes to reach the server, every window keeps the limit."""
    limiter = RateLimiter(RateLimit(requests, per=per))
    seen = []
    # A caller asks, or its request ends (None); `reach` is the part of its time until the server has it.
    events = [(at, number, (took, reach)) for number, (at, took, reach) in enumerate(calls)]
    heapq.heapify(events)
    order = itertools.count(len(calls))
    while events:
        now, ticket, call = heapq.heappop(events)
        if call is None:
            limiter.release(now)
        elif (wait := limiter.acquire(ticket, now)) > 0:
            heapq.heappush(events, (now + wait, ticket, call))
        else:
            took, reach = call
            seen.append(now + took * reach)
            heapq.heappush(events, (now + took, next(order), None))

    seen.sort()
    assert len(seen) == len(calls)
    assert all(late - early >= per * (1 - 1e-9) for early, late in zip(seen, seen[requests:], strict=False))


def test_turns_come_in_the_order_of_asking():
    """Whoever came first goes first, though all ask again and again."""
    limiter = RateLimiter(RateLimit(1, per=10))
    limiter.acquire("first", 0)
    limiter.release(1)

    assert [limiter.acquire(ticket, 2) for ticket in ("second", "third", "fourth")] == [9, 19, 29]
    assert limiter.acquire("third", 11.5) > 0
    assert limiter.acquire("second", 11.5) == 0


def test_a_turn_that_is_held_is_counted_at_its_earliest_end():
    """While a request is under way nobody knows when its slot is free; not before `per` from now."""
    limiter = RateLimiter(RateLimit(1, per=10))
    limiter.acquire("first", 0)

    assert limiter.acquire("second", 5) == 10
    limiter.release(7)
    assert limiter.acquire("second", 7) == 10


def test_whoever_leaves_gives_the_place_to_the_next():
    """A caller that gives up does not keep the others waiting."""
    limiter = RateLimiter(RateLimit(1, per=10))
    limiter.acquire("first", 0)
    limiter.release(0)
    limiter.acquire("second", 1)
    limiter.acquire("third", 1)

    limiter.leave_queue("second")
    limiter.leave_queue("second")

    assert limiter.acquire("third", 1) == 9


def test_a_time_too_short_for_the_clock_gives_no_turn_without_a_slot():
    """Where a slot is free again at the moment at which it was taken, it is one slot all the same."""
    limiter = RateLimiter(RateLimit(1, per=1e-12))

    assert limiter.acquire("first", 1e6) == 0
    assert limiter.acquire("second", 1e6) > 0


def test_a_limit_is_shown_as_it_is_said():
    """Messages name the limit as people do."""
    assert str(RateLimit(30, per=60)) == "30 in 60 s"


@pytest.mark.parametrize(
    ("requests", "per"), [(0, 60), (1.5, 60), (-1, 60), (True, 60), (30, 0), (30, float("inf")), (30, "60")], ids=str
)
def test_what_cannot_be_a_limit_is_refused(requests, per):
    """A limit of nothing would never let anything through."""
    with pytest.raises((TypeError, ValueError), match=r"requests|per"):
        RateLimit(requests, per=per)
