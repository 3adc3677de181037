"""Ending attempts that take too long: all may take the same time, so that one timer, for the first of them, will do.

A timer for each attempt takes a twentieth of the time of reading an account.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self


class Alarm:
    """Cancels what takes longer than `seconds`: `with alarm.bound()` raises TimeoutError then."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        # In the order of their ends, since all take the same time.
        self._bounds: deque[Bound] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def bound(self) -> "Bound":
        """Return the bound of one attempt that the present task begins now."""
        ends_at = self._loop.time() + self.seconds
        bound = Bound(self, ends_at)
        self._bounds.append(bound)
        if self._timer is None:
            self._timer = self._loop.call_at(ends_at, self._ring)
        return bound

    def tidy(self) -> None:
        """Forget what has ended; without any bound there is no timer."""
        bounds = self._bounds
        while bounds and bounds[0].ended:
            bounds.popleft()
        if not bounds and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._bounds:
            bound = self._bounds[0]
            if not bound.ended:
                if bound.ends_at > now:
                    self._timer = self._loop.call_at(bound.ends_at, self._ring)
                    return
                bound.expire()
            self._bounds.popleft()


class Bound:
    """The bound of one attempt; `expired` is whether it was reached."""

    __slots__ = ("_alarm", "_cancelling", "_task", "ended", "ends_at", "expired")

    def __init__(self, alarm: Alarm, ends_at: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a bound is one of a task")
        self._alarm = alarm
        self._task = task
        # Whoever cancels the task himself is not to be taken for the alarm.
        self._cancelling = task.cancelling()
        self.ends_at = ends_at
        self.ended = False
        self.expired = False

    def expire(self) -> None:
        """End the attempt now."""
        self.expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended = True
        self._alarm.tidy()
        if self.expired and self._task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc
