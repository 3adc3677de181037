"""Whether and when to try again: decisions only, nothing here waits."""

import math
import random
from collections.abc import Callable
from typing import Final

import attrs

from balancekit.errors import ProviderError
from balancekit.http.clock_skew import next_offset

_CAPACITY: Final = 20.0
_PER_SUCCESS: Final = 0.2
_PER_SECOND: Final = 1 / 3


@attrs.define
class RetryBudget:
    """A bucket of retries, shared by all accounts at an origin; moments are in seconds of any one clock.

    It starts full. Each retry takes one token, and without one there is no retry. A success gives back a part of a
    token, and so does time, so that an account that is read once an hour can be tried again after an outage. While
    everything fails, 200 accounts are sent no more than 1.2 requests each within the default deadline of 30 s.
    """

    capacity: float = _CAPACITY
    per_success: float = _PER_SUCCESS
    per_second: float = _PER_SECOND
    _tokens: float = attrs.field(default=attrs.Factory(lambda self: self.capacity, takes_self=True), init=False)
    _at: float | None = attrs.field(default=None, init=False)

    def take(self, now: float) -> bool:
        """Take a token for a retry; False if there is none."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def succeeded(self) -> None:
        """Give back a part of a token for a request that succeeded."""
        self._tokens = min(self.capacity, self._tokens + self.per_success)

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self.capacity, self._tokens + max(0.0, now - self._at) * self.per_second)
        self._at = now


_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 20.0


@attrs.frozen
class RetryPolicy:
    """Full-jitter exponential backoff: the delay after attempt n is random up to `first` * 2^(n - 1), at most `cap`.

    `attempts` counts the first one too. `first` and `cap` are in seconds; with these defaults the first delay is 50 ms
    on average. A wait that a provider asks for comes on top. Raises ValueError or TypeError for settings that cannot
    work.
    """

    attempts: int = attrs.field(default=3, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
    first: float = attrs.field(default=_FIRST_DELAY, validator=attrs.validators.ge(0))
    cap: float = attrs.field(default=_LONGEST_DELAY, validator=attrs.validators.ge(0))

    def delay(
        self,
        attempt: int,
        *,
        retry_after: float | None,
        remaining: float,
        jitter: Callable[[], float] = random.random,
    ) -> float | None:
        """Return the seconds to wait after the attempt of that number (from 1), or None to give up.

        `retry_after` is the least that the provider asks for; `remaining` is the time to the deadline, and a wait that
        does not end before it is not begun. `jitter` returns a number from 0 to 1.
        """
        if attempt >= self.attempts:
            return None
        # ldexp of a large exponent overflows; by then the cap has long been reached.
        ceiling = min(self.cap, math.ldexp(self.first, min(attempt - 1, 64)))
        # On top of what the provider asks for, which may be the same second for many clients.
        wait = jitter() * ceiling + (retry_after or 0.0)
        return wait if wait < remaining else None


@attrs.define
class RetryState:
    """What has been tried in one flight so far: what decides whether and when another attempt follows.

    `attempts` does not count an attempt that failed because of a closed kept-alive connection, which is repeated once,
    or perhaps of a wrong clock. `clock_offsets` are those that rejected requests were signed with, and `clock_offset`
    is the one for the next request; without it that is the origin's. `requested` is whether any request was sent, and
    `error` what the last attempt ended with, if another is to follow.
    """

    attempts: int = 0
    requested: bool = False
    reconnected: bool = False
    clock_offset: float | None = None
    clock_offsets: tuple[float, ...] = ()
    error: ProviderError | None = None

    def correct_clock(self, used: float, measured: float | None) -> bool:
        """Return whether a request that was rejected may be sent again at once, signed with another time."""
        self.clock_offsets += (used,)
        self.clock_offset = next_offset(self.clock_offsets, measured)
        if self.clock_offset is None:
            return False
        self.attempts -= 1
        return True

    def next_delay(
        self,
        error: ProviderError,
        *,
        policy: RetryPolicy,
        budget: RetryBudget,
        is_lost_keepalive: bool,
        now: float,
        remaining: float,
    ) -> float | None:
        """Return the seconds to wait after an attempt that ended with the error, or None to give up.

        `now` is the moment by which the budget is counted, and `remaining` the seconds to the deadline.
        """
        if not error.retryable:
            return None
        # Without a token: a load balancer that forgets its connections ends those of all accounts at once.
        if is_lost_keepalive and not self.reconnected:
            self.reconnected = True
            self.attempts -= 1
            return 0.0
        delay = policy.delay(self.attempts, retry_after=error.retry_after, remaining=remaining)
        if delay is None or not budget.take(now):
            return None
        self.error = error
        return delay
