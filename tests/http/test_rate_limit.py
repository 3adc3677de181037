"""The limit on the rate: exact in any window, and known in advance for any place in a queue."""

import heapq
import itertools
import math

import pytest
from hypothesis import given, strategies as st

from balancekit import ConfigError, RateLimit
from balancekit.http.rate_limit import Permits

TEN_SECONDS = RateLimit(1, per=10)


@given(
    st.integers(1, 5),
    st.floats(0.5, 10),
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5), st.floats(0, 1)), max_size=40),
)
def test_no_window_has_more_requests_than_allowed(requests, per, calls):
    """Whenever callers come, and however long each request takes to reach the server, every window keeps the limit."""
    limit, permits = RateLimit(requests, per=per), Permits()
    arrivals = []
    # A caller acquires a permit, or its request ends (None); `reach` is the part of its time until the server has it.
    order = itertools.count()
    events = [(at, next(order), number, call) for number, (at, *call) in enumerate(calls)]
    heapq.heapify(events)
    while events:
        now, _, number, call = heapq.heappop(events)
        if call is None:
            permits.release(limit, number, now)
        elif (wait := permits.acquire(limit, number, now)) > 0:
            heapq.heappush(events, (now + wait, next(order), number, call))
        else:
            took, reach = call
            arrivals.append(now + took * reach)
            heapq.heappush(events, (now + took, next(order), number, None))

    arrivals.sort()
    assert len(arrivals) == len(calls)
    assert all(late - early >= per * (1 - 1e-9) for early, late in zip(arrivals, arrivals[requests:], strict=False))
    assert permits.idle


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.floats(0, 10), st.integers(0, 5), st.sampled_from(["acquire", "release", "cancel"])), max_size=40
    ),
    st.sampled_from([0.0, 7.0, math.inf]),
)
def test_every_place_in_a_queue_waits_for_the_permit_whose_turn_it_is(requests, steps, hold):
    """As if all permits were put in the order in which they are free: one that is held may be released now."""
    limit, permits, now, held, released = RateLimit(requests, per=5), Permits(), 0.0, {}, []
    for seconds, request, move in steps:
        now += seconds
        if move == "acquire":
            if permits.acquire(limit, request, now, hold=hold) == 0:
                held[request] = now + hold + limit.per
        elif move == "release":
            permits.release(limit, request, now)
            if held.pop(request, now) > now:
                released.append(now + limit.per)
        else:
            permits.cancel(request)
            held.pop(request, None)
        free_at = sorted(moment for moment in [*released, *held.values()] if moment > now)
        waits = [min(moment - now, limit.per) for moment in [now] * (requests - len(free_at)) + free_at]

        assert [permits.waits(limit, now)(ahead) for ahead in range(2 * requests)] == pytest.approx(
            [*waits, *(limit.per + wait for wait in waits)]
        )


def test_the_place_in_a_queue_says_how_long_to_wait():
    """Each permit can be used once in `per`, by as many as stand before."""
    permits, limit = Permits(), RateLimit(2, per=10)
    for request, released_at in (("a", 1), ("b", 4)):
        permits.acquire(limit, request, 0)
        permits.release(limit, request, released_at)
    waits = permits.waits(limit, 5)

    assert [waits(ahead) for ahead in range(5)] == [6, 9, 16, 19, 26]


def test_a_permit_that_is_held_is_free_at_its_earliest_release():
    """While a request is under way nobody knows when its permit is free; not before `per` from now."""
    permits = Permits()
    permits.acquire(TEN_SECONDS, "first", 0)

    assert permits.acquire(TEN_SECONDS, "second", 5) == 10
    permits.release(TEN_SECONDS, "first", 7)
    assert permits.acquire(TEN_SECONDS, "second", 7) == 10


def test_a_permit_that_is_cancelled_is_free_at_once():
    """No request was sent with it."""
    permits = Permits()
    permits.acquire(TEN_SECONDS, "first", 0)

    permits.cancel("first")

    assert permits.acquire(TEN_SECONDS, "second", 0) == 0


def test_permits_are_idle_without_requests_under_way():
    """Nothing is held for a request that has ended."""
    permits = Permits()
    permits.acquire(TEN_SECONDS, "first", 0)
    held = permits.idle
    permits.release(TEN_SECONDS, "first", 1)

    assert (held, permits.idle) == (False, True)


def test_a_time_too_short_for_the_clock_gives_no_more_permits_than_allowed():
    """Where a permit is free again at the moment at which it was acquired, it is one permit all the same."""
    permits, limit = Permits(), RateLimit(1, per=1e-12)

    assert permits.acquire(limit, "first", 1e6) == 0
    assert permits.acquire(limit, "second", 1e6) > 0


def test_releases_need_not_come_in_the_order_in_which_permits_are_free():
    """Clients of one store may have different limits for one origin."""
    permits, long = Permits(), RateLimit(2, per=60)
    for request in "ab":
        permits.acquire(long, request, 0)
    permits.release(long, "a", 0)
    permits.release(RateLimit(2, per=10), "b", 0)

    assert permits.acquire(long, "c", 0) == 10
    assert permits.acquire(long, "c", 10) == 0
    assert permits.acquire(long, "d", 11) == 49


def test_a_limit_is_shown_in_words():
    """Messages name the limit as people do."""
    assert str(RateLimit(30, per=60)) == "30 in 60 s"


@pytest.mark.parametrize(
    ("requests", "per"),
    [
        (0, 60), (1.5, 60), (-1, 60), (True, 60), ("30", 60), (10**400, 60), (30, 0), (30, float("inf")), (30, "60"),
        (30, 10**400), (30, 1e18), (30, 2 * 10**307),
    ],
    ids=str,
)  # fmt: skip
def test_an_impossible_limit_is_an_error(requests, per):
    """A limit of nothing would never allow a request, and Redis cannot count a time of ages."""
    with pytest.raises(ConfigError, match=r"^requests: expected a|^per: expected seconds above zero"):
        RateLimit(requests, per=per)
