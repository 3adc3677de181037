"""Ending attempts that take too long: all may take the same time, so that one timer, for the first of them, will do.

A timer for each attempt takes a twentieth of the time of reading an account.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self


class Alarm:
    """Cancels what takes longer than `seconds`: `with alarm.attempt() as attempt` raises TimeoutError then."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        # In the order of their ends, since all take the same time.
        self._attempts: deque[Attempt] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def attempt(self) -> "Attempt":
        """Return a bound for one attempt of the present task, beginning now."""
        ends_at = self._loop.time() + self.seconds
        attempt = Attempt(self, ends_at)
        self._attempts.append(attempt)
        if self._timer is None:
            self._timer = self._loop.call_at(ends_at, self._ring)
        return attempt

    def tidy(self) -> None:
        """Forget what has ended; without any attempt there is no timer."""
        attempts = self._attempts
        while attempts and attempts[0].ended:
            attempts.popleft()
        if not attempts and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._attempts:
            attempt = self._attempts[0]
            if not attempt.ended:
                if attempt.ends_at > now:
                    self._timer = self._loop.call_at(attempt.ends_at, self._ring)
                    return
                attempt.expire()
            self._attempts.popleft()


class Attempt:
    """One attempt; `expired` is whether it was ended for taking too long."""

    __slots__ = ("_alarm", "_cancelling", "_task", "ended", "ends_at", "expired")

    def __init__(self, alarm: Alarm, ends_at: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an attempt is made in a task")
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
