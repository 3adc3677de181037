"""Turns under a limit that any number of askers share without a queue: decisions only, nothing here waits."""

import heapq

from balancekit.rate_limit import RateLimit


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
