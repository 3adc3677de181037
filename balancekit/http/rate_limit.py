"""A limit on the rate of requests to one host, exact in any window: decisions only, nothing here waits."""

import heapq
import math
from collections import deque
from collections.abc import Hashable
from typing import Any

import attrs


def _positive(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} must be above zero, not {value!r}")


@attrs.frozen
class RateLimit:
    """At most `requests` to one host in any `per` seconds; ValueError or TypeError for what cannot be a limit."""

    requests: int = attrs.field(validator=[attrs.validators.instance_of(int), _positive])
    per: float = attrs.field(kw_only=True, validator=_positive)

    def __str__(self) -> str:
        return f"{self.requests} in {self.per:g} s"


class RateLimiter:
    """The turns under a `RateLimit`, first come, first served; moments are in seconds of any one monotonic clock.

    It has as many slots as requests are allowed. A slot is free again `per` seconds after the request that held it has
    *ended*. Whenever that request reached the server, the next one of the slot reaches it more than `per` later, so
    that no window of that length, wherever it begins, has more requests than there are slots.
    """

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        # Of the slots: how many are free, and when those whose turn has ended are free again, in order. The others are
        # held.
        self._free = limit.requests
        self._free_at: deque[float] = deque()
        # Keeps the order of arrival.
        self._queue: dict[Hashable, None] = {}

    def acquire(self, ticket: Hashable, now: float) -> float:
        """Return in how many seconds the ticket's turn can come at the earliest; 0 begins the turn.

        A ticket that is new joins the end of the queue; one whose turn has begun leaves it.
        """
        while self._free_at and self._free_at[0] <= now:
            self._free_at.popleft()
            self._free += 1
        # Past the queue if nobody is in it, as for most requests: so the size of the limit costs them nothing.
        if self._queue or not self._free:
            self._queue.setdefault(ticket)
            place = next(place for place, queued in enumerate(self._queue) if queued == ticket)
            wait = self._turn(place, now) - now
            # A limit on a time that the clock cannot tell gives no turn without a slot either.
            if wait > 0 or not self._free:
                return max(wait, math.ulp(now))
            del self._queue[ticket]
        self._free -= 1
        return 0.0

    def release(self, now: float) -> None:
        """End a turn: its request was answered, or will not be."""
        self._free_at.append(now + self.limit.per)

    def cancel(self) -> None:
        """End a turn in which no request was made."""
        self._free += 1

    def leave_queue(self, ticket: Hashable) -> None:
        """Take a ticket out of the queue, if it is there."""
        self._queue.pop(ticket, None)

    def _turn(self, place: int, now: float) -> float:
        # A slot that is held is free again `per` after now at the earliest, and each round takes `per`.
        rounds, slot = divmod(place, self.limit.requests)
        if slot < self._free:
            free_at = now
        elif slot < self._free + len(self._free_at):
            free_at = self._free_at[slot - self._free]
        else:
            free_at = now + self.limit.per
        return free_at + rounds * self.limit.per


class Turns:
    """The turns at one host; moments are in seconds of any one clock.

    As under a `RateLimiter`, there are as many slots as requests are allowed, and a slot is free again `limit.per`
    seconds after the turn that held it has ended, so that every window keeps the limit. The turn of a ticket that never
    ends it counts as ended after its `hold`. Whoever asks first when a slot is free gets it: an asker that went away
    keeps nobody waiting.
    """

    def __init__(self) -> None:
        self._held: dict[str, float] = {}
        self._free_at: list[float] = []

    def take(self, limit: RateLimit, ticket: str, now: float, hold: float) -> float:
        """Begin the ticket's turn and return 0, or return the seconds after which to ask again.

        A turn that has begun and is asked for again is the same one.
        """
        self._forget_past(now)
        if ticket not in self._held and len(self._held) + len(self._free_at) >= limit.requests:
            # A turn that is held may end now, and its slot is free `per` later.
            waits = [min(free_at - now, limit.per) for free_at in self._held.values()]
            return min(waits + [free_at - now for free_at in self._free_at[:1]])
        self._held[ticket] = now + hold + limit.per
        return 0.0

    def end(self, limit: RateLimit, ticket: str, now: float) -> None:
        """End the ticket's turn, if it has one."""
        self._forget_past(now)
        if self._held.pop(ticket, None) is not None:
            heapq.heappush(self._free_at, now + limit.per)

    def _forget_past(self, now: float) -> None:
        for ticket in [ticket for ticket, free_at in self._held.items() if free_at <= now]:
            del self._held[ticket]
        while self._free_at and self._free_at[0] <= now:
            heapq.heappop(self._free_at)
