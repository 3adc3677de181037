"""Remembering which events have been handled, within bounds."""

import itertools
from typing import Final

from balancekit.clock import Clock

MAX_EVENTS: Final = 100_000
"""How many events are remembered; the oldest makes room for one more."""


class RecentEvents:
    """The ids of events that were handled lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._forget_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._forget_at)

    def __contains__(self, event: str) -> bool:
        now = self._clock.monotonic()
        return self._forget_at.get(event, now) > now

    def add(self, event: str, *, seconds: float) -> None:
        """Remember an event for at least that long, unless `MAX_EVENTS` others come after it."""
        now, forget_at = self._clock.monotonic(), self._forget_at
        until = max(forget_at.pop(event, now), now + seconds)
        for past in list(itertools.takewhile(lambda known: forget_at[known] <= now, forget_at)):
            del forget_at[past]
        if len(forget_at) >= MAX_EVENTS:
            del forget_at[next(iter(forget_at))]
        forget_at[event] = until

    async def seen(self, event: str) -> bool:
        """Whether an event is remembered."""
        return event in self

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember an event for at least that long, unless `MAX_EVENTS` others come after it."""
        self.add(event, seconds=seconds)
