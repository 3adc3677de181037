"""Remembering which events have been handled, for a time and within bounds."""

import pytest

from balancekit.stores import recent_events
from balancekit.stores.recent_events import RecentEvents


class Clock:
    """A monotonic clock that stands where it is set."""

    now = 1000.0

    def __call__(self):
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock():
    """Give a clock."""
    return Clock()


@pytest.fixture
def events(clock):
    """Give events by that clock."""
    return RecentEvents(monotonic=clock)


def test_an_event_is_remembered_for_its_time(events, clock):
    """Then it is as new as any other."""
    events.add("msg_1", seconds=60)

    clock.now += 59
    assert "msg_1" in events
    assert "msg_2" not in events
    clock.now += 1
    assert "msg_1" not in events


def test_an_event_that_comes_again_is_remembered_no_shorter(events, clock):
    """The longest time counts."""
    events.add("msg_1", seconds=60)
    events.add("msg_1", seconds=10)

    clock.now += 59

    assert "msg_1" in events


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
