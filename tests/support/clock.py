"""Clocks for tests: one that stands still, and one that goes with an event loop in which waiting takes no time."""

import time

import balancekit

NEW_YEAR = 1_767_225_600
"""The start of 2026 in Unix seconds, which is the moment of the published vectors."""

COUNTING = getattr(time, "CLOCK_BOOTTIME", None)
"""The clock of Linux that goes on while the machine is suspended."""


class Clock(balancekit.Clock):
    """A clock that stands still where it is set: `now` by both of its times, of which the wall clock's is `ahead`."""

    def __init__(self, now=NEW_YEAR):
        self.now = now
        self.ahead = 0

    def __call__(self):
        """Return the time in seconds."""
        return self.now

    def monotonic(self):
        """Return the time in seconds."""
        return self.now

    def time(self):
        """Return the time on the wall in seconds."""
        return self.now + self.ahead


class LoopClock(balancekit.Clock):
    """A clock whose wall time goes with that of the event loop, for a loop in which waiting takes no time."""

    def time(self):
        """Return the start of 2026, and what has passed in the loop."""
        return NEW_YEAR + self.monotonic()


class Suspensions:
    """What the clocks of this machine show when it has been suspended for some `seconds`: one of them counts those."""

    def __init__(self, monkeypatch):
        self.seconds = 0.0
        # They stand still, and are looked at in this order: a pause between two clocks would be more seconds or less.
        moments = {clock: time.clock_gettime(clock) for clock in (time.CLOCK_MONOTONIC, COUNTING)}
        monkeypatch.setattr(time, "clock_gettime", lambda clock: moments[clock] + (clock == COUNTING) * self.seconds)
