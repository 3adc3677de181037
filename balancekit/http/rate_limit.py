"""A limit on the rate of requests to one origin, exact in any window: decisions only, nothing here waits.

Moments are in seconds of one clock that never goes back.
"""

import bisect
import math
from collections.abc import Callable, Hashable

import attrs

from balancekit.http.durations import checked_by, positive_int, positive_seconds


@attrs.frozen
class RateLimit:
    """At most `requests` to one origin in any `per` seconds; ConfigError for what cannot be a limit."""

    requests: int = attrs.field(validator=checked_by(positive_int))
    per: float = attrs.field(kw_only=True, validator=checked_by(positive_seconds))

    def __str__(self) -> str:
        return f"{self.requests} in {self.per:g} s"


class Permits:
    """The permits for requests to one origin, as many as a limit has requests.

    A permit is held until its request has ended, and can be acquired again `limit.per` seconds *after that*. Whenever
    the request reached the server, the next one with the same permit reaches it more than `per` later, so that no
    window of that length, wherever it begins, has more requests than there are permits.
    """

    def __init__(self) -> None:
        # When the permits in use are free again: those that are held, if they are never released, the first of them not
        # before `_first_held`; and those that were released, in order. Past moments are forgotten when no other permit
        # is left, so that the size of a limit costs requests nothing.
        self._held: dict[Hashable, float] = {}
        self._first_held = math.inf
        self._released: list[float] = []

    def acquire(self, limit: RateLimit, request_id: Hashable, now: float, *, hold: float = math.inf) -> float:
        """Return 0 if the request has a permit from now on, else the seconds until it can have one at the earliest.

        A permit that is never released, since its process died, counts as released after `hold` seconds. A request that
        has a permit keeps it, for `hold` from now.
        """
        if self._held.get(request_id, now) <= now:
            wait = self.wait(limit, now)
            if wait > 0:
                return wait
        self._held[request_id] = free_at = now + hold + limit.per
        self._first_held = min(self._first_held, free_at)
        return 0.0

    def wait(self, limit: RateLimit, now: float) -> float:
        """Return after how many seconds, at the earliest, another request can have a permit."""
        if self.free(limit) > 0:
            return 0.0
        return self.waits(limit, now)(0)

    def waits(self, limit: RateLimit, now: float) -> Callable[[int], float]:
        """Return a function from the number of requests that are ahead to the seconds until one can have a permit."""
        self._forget_past(now)
        free, free_at, latest = self.free(limit), self._released, now + limit.per
        if self._first_held < latest:
            self._first_held = min(self._held.values(), default=math.inf)
            if self._first_held < latest:
                # Its process may have died.
                free_at = sorted([*self._released, *(held for held in self._held.values() if held < latest)])

        def wait(ahead: int) -> float:
            # If more are ahead than there are permits, each permit goes round more than once, in `per` each time.
            rounds, place = divmod(ahead, limit.requests)
            place -= free
            # A permit that is held may be released now, to be free `per` later.
            first = min(free_at[place] - now, limit.per) if 0 <= place < len(free_at) else limit.per
            return rounds * limit.per + (0.0 if place < 0 else first)

        return wait

    def release(self, limit: RateLimit, request_id: Hashable, now: float) -> None:
        """Release the permit of a request that has ended, if it has one."""
        if self._held.pop(request_id, now) > now:
            bisect.insort(self._released, now + limit.per)

    def cancel(self, request_id: Hashable) -> None:
        """Give up a permit with which no request was sent: it can be acquired again at once."""
        self._held.pop(request_id, None)

    def all_free(self, now: float) -> bool:
        """Whether no permit is held, nor was within the time that the limit counts."""
        self._forget_past(now)
        return not (self._held or self._released)

    @property
    def idle(self) -> bool:
        """Whether no permit is held."""
        return not self._held

    def free(self, limit: RateLimit) -> int:
        """Return how many permits can be acquired now, at least: some may have become free since the last one."""
        return limit.requests - len(self._held) - len(self._released)

    def _forget_past(self, now: float) -> None:
        if self._first_held <= now:
            self._held = {request_id: free_at for request_id, free_at in self._held.items() if free_at > now}
        del self._released[: bisect.bisect_right(self._released, now)]
