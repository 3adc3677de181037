"""What is known of an origin's clock, and how a request is signed by it."""

import asyncio

import pytest

from balancekit.http.clock_skew import OriginClock, current_offset, differs, use_offset


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

    assert clock.learn(120.0)
    assert not clock.learn(121.0)
    assert clock.offset == 120.0
    assert clock.learn(0.0)
    assert clock.offset == 0.0


def test_an_offset_is_used_in_the_task_that_set_it_alone():
    """Two clients may share one provider, and each signs with the clock of its own origin."""

    async def sign(offset):
        use_offset(offset)
        await asyncio.sleep(0)
        return current_offset()

    async def main():
        return await asyncio.gather(sign(100.0), sign(-100.0)), current_offset()

    assert asyncio.run(main()) == ([100.0, -100.0], 0.0)
