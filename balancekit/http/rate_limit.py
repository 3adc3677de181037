"""A limit on the rate of requests to one origin, exact in any window: decisions only, nothing here waits.

Moments are in seconds of one clock that never goes back.
"""

import heapq
import math
from collections.abc import Hashable
from typing import Any

import attrs


def _positive(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} must be above zero, not {value!r}")


@attrs.frozen
class RateLimit:
    """At most `requests` to one origin in any `per` seconds; ValueError or TypeError for what cannot be a limit."""

    requests: int = attrs.field(validator=[attrs.validators.instance_of(int), _positive])
    per: float = attrs.field(kw_only=True, validator=_positive)

    def __str__(self) -> str:
        return f"{self.requests} in {self.per:g} s"


class Permits:
    """The permits for requests to one origin, as many as a limit has requests.

    A permit is held until its request has ended, and can be acquired again `limit.per` seconds *after that*. Whenever
    the request reached the server, the next one with the same permit reaches it more than `per` later, so that no
    window of that length, wherever it begins, has more requests than there are permits.
    """

    def __init__(self) -> None:
        # When the permits in use are free again: those that are held, if they are never released; and those that were
        # released, as a heap. Past moments are forgotten when no other permit is left, so that the size of a limit
        # costs most requests nothing.
        self._held: dict[Hashable, float] = {}
        self._released: list[float] = []

    def acquire(
        self, limit: RateLimit, request_id: Hashable, now: float, *, hold: float = math.inf, ahead: int = 0
    ) -> float:
        """Return 0 if the request has a permit from now on, else the seconds until it can have one at the earliest.

        A permit that is never released, since its process died, counts as released after `hold` seconds. A request that
        has a permit keeps it, for `hold` from now. `ahead` is how many other requests are to have a permit before this.
        """
        if self._held.get(request_id, now) <= now and self._free(limit) <= ahead:
            self._forget_past(now)
            if self._free(limit) <= ahead:
                return self._wait(limit, now, ahead)
        self._held[request_id] = now + hold + limit.per
        return 0.0

    def release(self, limit: RateLimit, request_id: Hashable, now: float) -> None:
        """Release the permit of a request that has ended, if it has one."""
        if self._held.pop(request_id, now) > now:
            heapq.heappush(self._released, now + limit.per)

    def cancel(self, request_id: Hashable) -> None:
        """Give up a permit with which no request was sent: it can be acquired again at once."""
        self._held.pop(request_id, None)

    @property
    def idle(self) -> bool:
        """Whether no permit is held."""
        return not self._held

    def _free(self, limit: RateLimit) -> int:
        return limit.requests - len(self._held) - len(self._released)

    def _forget_past(self, now: float) -> None:
        self._held = {request_id: free_at for request_id, free_at in self._held.items() if free_at > now}
        while self._released and self._released[0] <= now:
            heapq.heappop(self._released)

    def _wait(self, limit: RateLimit, now: float, ahead: int) -> float:
        # If more are ahead than there are permits, each permit goes round more than once, in `per` each time.
        rounds, place = divmod(ahead, limit.requests)
        free = self._free(limit)
        if place < free:
            return rounds * limit.per
        free_at = sorted([*self._released, *self._held.values()])[place - free]
        # A permit that is held may be released now, to be free `per` later.
        return min(free_at - now, limit.per) + rounds * limit.per


class RateLimiter:
    """The permits under a limit that one client keeps by itself, first come, first served."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._permits = Permits()
        # A dict keeps the order of arrival.
        self._queue: dict[Hashable, None] = {}

    def acquire(self, request_id: Hashable, now: float) -> float:
        """Return 0 if the request has a permit from now on, else the seconds until it can have one at the earliest.

        A request that has to wait joins the end of the queue, and keeps its place there until it has a permit.
        """
        ahead = self._place(request_id) if self._queue else 0
        wait = self._permits.acquire(self.limit, request_id, now, ahead=ahead)
        if wait > 0:
            self._queue[request_id] = None
        else:
            self._queue.pop(request_id, None)
        return wait

    def release(self, request_id: Hashable, now: float) -> None:
        """Release the permit of a request that has ended."""
        self._permits.release(self.limit, request_id, now)

    def cancel(self, request_id: Hashable) -> None:
        """Give up a permit with which no request was sent."""
        self._permits.cancel(request_id)

    def leave_queue(self, request_id: Hashable) -> None:
        """Take a request out of the queue, if it is there."""
        self._queue.pop(request_id, None)

    @property
    def idle(self) -> bool:
        """Whether no permit is held, and no request waits for one."""
        return self._permits.idle and not self._queue

    def _place(self, request_id: Hashable) -> int:
        return next((place for place, queued in enumerate(self._queue) if queued == request_id), len(self._queue))
