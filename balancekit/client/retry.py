"""Whether and when to try again, within one read and after it: decisions only, nothing here waits.

Moments are in seconds of one clock that never goes back.
"""

import math
import random
from collections.abc import Callable
from typing import Final

import attrs

from balancekit.errors import AuthenticationError, BalancekitError, ProviderError, ProviderTimeoutError, TransportError
from balancekit.http.clock_skew import next_offset
from balancekit.http.durations import age, checked_by, positive_int

_CAPACITY: Final = 20.0
_PER_SUCCESS: Final = 0.2
_PER_SECOND: Final = 1 / 3


@attrs.define
class RetryBudget:
    """A bucket of retries, shared by all accounts at an origin.

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

    def is_full(self, now: float) -> bool:
        """Whether no retry counts any more."""
        self._refill(now)
        return self._tokens >= self.capacity

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
    on average. A wait that a provider asks for comes on top. Raises ConfigError for settings that cannot work.
    """

    attempts: int = attrs.field(default=3, validator=checked_by(positive_int))
    first: float = attrs.field(default=_FIRST_DELAY, validator=checked_by(age))
    cap: float = attrs.field(default=_LONGEST_DELAY, validator=checked_by(age))

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
        # A power of a larger exponent overflows, and by then the cap has long been reached; the product cannot.
        ceiling = min(self.cap, self.first * 2.0 ** min(attempt - 1, 64))
        # On top of what the provider asks for, which may be the same second for many clients.
        wait = jitter() * ceiling + (retry_after or 0.0)
        return wait if wait < remaining else None


@attrs.define
class RetryState:
    """What has been tried in one flight so far: what decides whether and when another attempt follows.

    `attempts` does not count an attempt that failed because of a closed kept-alive connection, which is repeated once,
    or perhaps of a wrong clock. `clock_offsets` are those that rejected requests were signed with, and `clock_offset`
    is the one for the next request; without it that is the origin's. The next request `opens_connection` if the last
    one may have met a dead connection; `reconnected` is whether one was repeated at once for that. `error` is what the
    last attempt ended with, at `failed_at`, if another is to follow.
    """

    attempts: int = 0
    reconnected: bool = False
    opens_connection: bool = False
    clock_offset: float | None = None
    clock_offsets: tuple[float, ...] = ()
    error: ProviderError | None = None
    failed_at: float = -math.inf

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
        cooldown: float = 0.0,
    ) -> float | None:
        """Return the seconds to wait after an attempt that ended with the error, or None to give up.

        `now` is the moment by which the budget is counted, `remaining` the seconds to the deadline, and `cooldown`
        those in which no request goes to the origin.
        """
        if not error.retryable:
            return None
        # A connection that was forgotten on the way may respond to nothing, rather than be closed.
        self.opens_connection = isinstance(error, TransportError | ProviderTimeoutError)
        # Without a token: a load balancer that forgets its connections ends those of all accounts at once.
        if is_lost_keepalive and not self.reconnected:
            self.reconnected = True
            self.attempts -= 1
            return 0.0
        least = max(cooldown, error.retry_after or 0.0)
        delay = policy.delay(self.attempts, retry_after=least, remaining=remaining)
        if delay is None or not budget.take(now):
            return None
        self.error, self.failed_at = error, now
        return delay


_FIRST_COOLDOWN: Final = 1.0
_LONGEST_COOLDOWN: Final = 60.0
_REJECTED_COOLDOWN: Final = 60.0
"""How many seconds an account is left alone whose key was rejected: trying again changes nothing."""

_LONGEST_RETRY_AFTER: Final = 86_400.0
"""The longest `Retry-After` that is obeyed, in seconds: anything beyond is probably in another unit."""


def _doubled(times: int) -> float:
    # ldexp of a large exponent overflows; by then the longest has long been reached.
    return min(_LONGEST_COOLDOWN, math.ldexp(_FIRST_COOLDOWN, min(times - 1, 16)))


@attrs.define
class OriginCooldown:
    """The time in which no request goes to an origin, since it has responded 429: until the moment `until`.

    `times` is how often that has happened in a row. It lasts as long as `Retry-After` asks for; without that it lasts a
    second, and twice as long each time, up to a minute, that a request sent after it is responded to in the same way.
    """

    until: float = -math.inf
    times: int = attrs.field(default=0, init=False)

    def begin(self, *, sent_at: float, now: float, retry_after: float | None) -> None:
        """Begin, or prolong, the cooldown after a 429 to a request that was sent at `sent_at`."""
        # A response to a request from before the last cooldown says nothing new, unless that has been forgotten.
        if sent_at >= self.until or self.times == 0:
            self.times += 1
        # To come back after no time is no answer to too many requests.
        if retry_after is not None and retry_after > 0:
            seconds = min(retry_after, _LONGEST_RETRY_AFTER)
        else:
            seconds = _doubled(self.times)
        self.until = max(self.until, now + seconds)

    def learn(self, cooldown: float, now: float) -> None:
        """Take the seconds that are left of a cooldown that another process has begun."""
        self.times, self.until = max(self.times, 1), max(self.until, now + min(cooldown, _LONGEST_RETRY_AFTER))

    def succeeded(self, *, sent_at: float) -> None:
        """Note that a request that was sent at `sent_at` succeeded."""
        if sent_at >= self.until:
            self.times = 0

    def remaining(self, now: float) -> float:
        """Return how many seconds are left of it."""
        return max(0.0, self.until - now)


@attrs.define
class AccountCooldown:
    """The time after a failure in which callers that accept an earlier snapshot are given the failure again.

    It lasts a second, and twice as long after each further failure, up to a minute; a minute if the key was rejected;
    and never less than the provider asks for.
    """

    until: float = -math.inf
    _times: int = attrs.field(default=0, init=False)
    _failed_at: float = attrs.field(default=-math.inf, init=False)

    def begin(
        self, error: BalancekitError, *, sent_at: float, now: float, jitter: Callable[[], float] = random.random
    ) -> None:
        """Begin the cooldown after a read that was begun at `sent_at`; `jitter` returns a number from 0 to 1."""
        # Reads that were under way together are one failure.
        if sent_at >= self._failed_at:
            self._times += 1
        rejected = isinstance(error, AuthenticationError)
        seconds = _REJECTED_COOLDOWN if rejected else _doubled(self._times) * (1.0 + 0.2 * jitter())
        retry_after = error.retry_after if isinstance(error, ProviderError) else None
        if retry_after is not None:
            seconds = max(seconds, min(retry_after, _LONGEST_RETRY_AFTER))
        self._failed_at, self.until = now, max(self.until, now + seconds)

    def learn(self, cooldown: float, *, age: float, now: float) -> None:
        """Take the seconds that are left of a cooldown that another process has begun; the next one lasts longer."""
        cooldown = min(cooldown, _LONGEST_RETRY_AFTER)
        self._times = max(self._times, math.frexp(age + cooldown)[1])
        self._failed_at, self.until = now - age, max(self.until, now + cooldown)

    def end(self) -> None:
        """End the cooldown: the account was read, or its balances may have changed."""
        self.until, self._times, self._failed_at = -math.inf, 0, -math.inf

    def remaining(self, now: float) -> float:
        """Return how many seconds are left of it."""
        return max(0.0, self.until - now)
