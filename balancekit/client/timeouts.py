"""How long one attempt and one call may take.

All attempts of a client have the same timeout, so one timer, for the first of them to end, serves them all:
`asyncio.timeout` would start and stop one for each, which costs 2 % of the time of reading an account.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from balancekit.clock import Clock, Timer

_LATE: Final = 0.05
"""How many seconds late a timer is, at least, if the event loop was blocked; and how long it waits once more then."""

_ABANDONED_AFTER: Final = 1.0
"""How many seconds after its timeout an attempt is abandoned that has not ended: an adapter may ignore cancellation."""

_AttemptT = TypeVar("_AttemptT")


class SharedTimeout(Generic[_AttemptT]):
    """Cancels attempts that take longer than `seconds`: `with shared.start(now, attempt):` raises TimeoutError then.

    `abandon` is called with an attempt that has not ended a second later.
    """

    def __init__(self, seconds: float, clock: Clock, abandon: Callable[[_AttemptT], None]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._abandon = abandon
        # In the order in which they end, since all take the same time.
        self._timeouts: deque[Timeout[_AttemptT]] = deque()
        self._is_late = False
        self._timer: Timer | None = None

    def start(self, now: float, attempt: _AttemptT) -> "Timeout[_AttemptT]":
        """Start the timeout of an attempt that the current task makes at the moment `now`."""
        ends_at = now + self.seconds
        timeout = Timeout(self, attempt, ends_at)
        self._timeouts.append(timeout)
        if self._timer is None:
            self._timer = self._clock.timeout_at(ends_at, self._fire)
        return timeout

    @property
    def idle(self) -> bool:
        """Whether no timeout is running, so that there is no timer either."""
        return not self._timeouts

    def prune(self) -> None:
        """Forget timeouts that have ended; without any, stop the timer."""
        timeouts = self._timeouts
        while timeouts and timeouts[0].ended:
            timeouts.popleft()
        if not timeouts and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        if not self._is_late and self._timeouts and now - self._timeouts[0].ends_at > _LATE:
            # The event loop was blocked: responses that have arrived in that time are to be read first.
            self._is_late = True
            self._timer = self._clock.timeout_at(now + _LATE, self._fire)
            return
        self._is_late = False
        while self._timeouts:
            timeout = self._timeouts[0]
            if not timeout.ended:
                if timeout.ends_at > now:
                    self._timer = self._clock.timeout_at(timeout.ends_at, self._fire)
                    return
                timeout.expire(self._clock.call_at(now + _ABANDONED_AFTER, self._abandon, timeout.attempt))
            self._timeouts.popleft()


class Timeout(Generic[_AttemptT]):
    """The timeout of one `attempt`; `expired` is whether it has passed."""

    __slots__ = ("_abandon", "_cancelling", "_shared", "_task", "attempt", "ended", "ends_at", "expired")

    def __init__(self, shared: SharedTimeout[_AttemptT], attempt: _AttemptT, ends_at: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a task to cancel")
        self._shared = shared
        self._task = task
        self._abandon: Timer | None = None
        self.attempt: _AttemptT = attempt
        # So that a cancellation by anyone else is not taken for the timeout, as in `asyncio.Timeout`.
        self._cancelling = task.cancelling()
        self.ends_at: float = ends_at
        self.ended: bool = False
        self.expired: bool = False

    def expire(self, abandon: Timer) -> None:
        """End the attempt now; the timer is stopped when it has ended."""
        self.expired, self._abandon = True, abandon
        self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended = True
        self._shared.prune()
        if self._abandon is not None:
            self._abandon.cancel()
        if self.expired and self._task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc


class Deadline:
    """The end of one call: `expire` is called `seconds` from now, at the moment `at`; never if they are infinite."""

    def __init__(self, seconds: float, expire: Callable[[], None], clock: Clock) -> None:
        self.seconds = seconds
        self.at: float = clock.monotonic() + seconds
        self.passed: bool = False
        self._expire = expire
        self._clock = clock
        self._is_late = False
        self._timer = None if math.isinf(seconds) else clock.call_at(self.at, self._pass)

    def __str__(self) -> str:
        return f"the deadline of {self.seconds:g} s"

    def cancel(self) -> None:
        """Stop the timer: the call has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _pass(self) -> None:
        now = self._clock.monotonic()
        if not self._is_late and now - self.at > _LATE:
            # As for attempts: what has arrived while the event loop was blocked is read first.
            self._is_late = True
            self._timer = self._clock.call_at(now + _LATE, self._pass)
            return
        self.passed = True
        self._expire()
