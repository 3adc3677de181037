"""What is known of an origin's clock, and how a request is signed by it."""

import asyncio
import math

import pytest
from multidict import CIMultiDict

from balancekit.http.clock_skew import OriginClock, current_offset, date_of, differs, next_offset, use_offset
from balancekit.http.messages import Response
from tests.support.clock import NEW_YEAR


@pytest.mark.parametrize(
    ("measured", "used", "wrong"),
    [(0.0, 0.0, False), (4.9, 0.0, False), (5.0, 0.0, True), (-5.0, 0.0, True), (3600.0, 3599.0, False)],
)
def test_an_offset_is_another_one_from_five_seconds_on(measured, used, wrong):
    """`Date` has whole seconds, and a response takes some time to arrive."""
    assert differs(measured, used) is wrong


def test_an_offset_is_learned_once():
    """What differs by no more than a measurement may be off changes nothing."""
    clock = OriginClock()

    assert clock.accepted(120.0)
    assert not clock.accepted(121.0)
    assert clock.offset == 120.0
    assert clock.accepted(0.0)
    assert clock.offset == 0.0


@pytest.mark.parametrize(
    ("used", "measured", "following"),
    [
        ([0.0], 3600.0, 3600.0),
        ([0.0], 4.0, None),
        ([0.0], None, None),
        ([0.0, 3600.0], 7200.0, None),
        ([3600.0], 3600.0, 0.0),
        ([3600.0], None, 0.0),
        ([3600.0], 7200.0, 7200.0),
        ([3600.0, 7200.0], 9000.0, 0.0),
        ([3600.0, 7200.0, 0.0], 9000.0, None),
        ([0.0], 86_400.0, 86_400.0),
        ([0.0], -86_400.0, -86_400.0),
        ([0.0], 86_401.0, None),
        ([3600.0], -86_401.0, 0.0),
        ([0.0], math.nan, None),
        ([0.0], math.inf, None),
    ],
)
def test_a_rejected_request_is_signed_with_what_was_measured_then_without_an_offset(used, measured, following):
    """Each is tried once, and what is more than a day off is not believed."""
    assert next_offset(used, measured) == following


@pytest.mark.parametrize(
    ("headers", "moment"),
    [
        ({"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}, NEW_YEAR),
        ({"date": "Thu, 01 Jan 2026 00:00:00 GMT", "age": " 0 "}, NEW_YEAR),
        ({"Date": "Thu, 01 Jan 2026 00:00:00 GMT", "Age": "60"}, None),
        ({"Date": "Thu, 01 Jan 2026 00:00:00 GMT", "Age": "soon"}, None),
        (CIMultiDict([("Date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("Age", "0"), ("Age", "60")]), None),
        ({"Date": "soon"}, None),
        ({}, None),
    ],
)
def test_a_date_is_that_of_a_response_from_no_cache(headers, moment):
    """What a cache had kept was sent at another time."""
    assert date_of(Response(401, headers)) == moment


def test_an_offset_is_used_in_the_task_that_set_it_alone():
    """Two clients may share one provider, and each signs with the clock of its own origin."""

    async def sign(offset):
        use_offset(offset)
        await asyncio.sleep(0)
        return current_offset()

    async def main():
        return await asyncio.gather(sign(100.0), sign(-100.0)), current_offset()

    assert asyncio.run(main()) == ([100.0, -100.0], 0.0)
