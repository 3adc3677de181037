"""Publishing changes to subscribers that may be slow."""

import asyncio
from contextlib import aclosing

import pytest

from balancekit.stores import Change, subscribers
from balancekit.stores.subscribers import Subscribers


@pytest.fixture
def publisher():
    """Give subscribers of which there are none yet."""
    return Subscribers()


async def _next(changes, count):
    return [await anext(changes) for _ in range(count)]


async def test_a_subscription_begins_with_a_change_of_anything(publisher):
    """What was published before is not repeated."""
    publisher.publish(Change("before"))

    async with aclosing(publisher.subscribe()) as changes:
        assert await anext(changes) == Change(None)
        publisher.publish(Change("shop"))
        assert await anext(changes) == Change("shop")


async def test_a_subscriber_waits_for_the_next_change(publisher):
    """It is woken when there is one."""
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)

        publisher.publish(Change("shop"))

        assert await waiting == Change("shop")


async def test_a_slow_subscriber_gets_one_change_for_many(publisher, monkeypatch):
    """What waits for it is bounded: one change of anything takes the place of the rest."""
    monkeypatch.setattr(subscribers, "MAX_PENDING", 3)
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)

        for number in range(9):
            publisher.publish(Change(f"shop {number}"))
        assert await anext(changes) == Change(None)

        publisher.publish(Change("shop"))
        assert await anext(changes) == Change("shop")


async def test_the_same_change_waits_once(publisher):
    """A burst of one account is one change to a subscriber that was busy."""
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)
        for key in ("a", "a", "b", "a"):
            publisher.publish(Change(key))

        assert await _next(changes, 2) == [Change("a"), Change("b")]
        publisher.publish(Change("c"))
        assert await anext(changes) == Change("c")


async def test_a_subscriber_that_left_is_forgotten(publisher):
    """Nothing is kept for it."""
    async with aclosing(publisher.subscribe()) as changes:
        await anext(changes)
        assert len(publisher) == 1

    assert len(publisher) == 0
