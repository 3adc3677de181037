"""Remembering which events have been handled, for a time and within bounds."""

import pytest

from balancekit.stores import recent_events
from balancekit.stores.recent_events import RecentEvents
from tests.support.clock import Clock


@pytest.fixture
def clock():
    """Give a clock."""
    return Clock()


@pytest.fixture
def events(clock):
    """Give events by that clock."""
    return RecentEvents(clock)


def test_the_oldest_event_makes_room(events, monkeypatch):
    """No flood of events fills the memory."""
    monkeypatch.setattr(recent_events, "MAX_EVENTS", 3)

    for number in range(4):
        events.add(f"msg_{number}", seconds=60)

    assert [f"msg_{number}" in events for number in range(4)] == [False, True, True, True]


def test_past_events_leave_the_memory(events, clock):
    """They go when another comes."""
    for number in range(4):
        events.add(f"msg_{number}", seconds=60)
    assert len(events) == 4

    clock.now += 60
    events.add("msg_4", seconds=60)

    assert len(events) == 1
