"""The second look after an event of a webhook, for a balance that the provider books after it has sent the event."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from balancekit.clock import Clock, Timer
from balancekit.stores.tasks import end_tasks

SETTLE_DELAY: Final = 5.0
"""How many seconds after an event the account is looked at again: ten times the longest delay that was reported."""


class SecondLooks:
    """Looks at accounts again, `delay` seconds after their last events, in the event loop in which it was made."""

    def __init__(self, delay: float, clock: Clock) -> None:
        self._delay = delay
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, Timer] = {}
        # When each look that has not been completed was to begin.
        self._due: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Whether no look is to come or under way."""
        return not (self._timers or self._tasks)

    @property
    def pending(self) -> Mapping[str, float]:
        """When each look that has not been completed was to begin, by label."""
        return dict(self._due)

    def schedule(self, label: str, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Look at the account of that label `delay` seconds from now, and not before; never if that is zero.

        What an earlier event is about has been looked at for this one, so only the last event needs another look.
        """
        if self._delay > 0:
            self.schedule_at(self._clock.monotonic() + self._delay, label, look)

    def schedule_at(self, at: float, label: str, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Look at the account of that label at a moment of the monotonic clock."""
        self._forget(label)
        self._due[label] = at
        # In no context: that of the caller has the event's request in many a web framework.
        self._timers[label] = contextvars.Context().run(self._clock.call_at, at, self._start, label, look)

    def cancel(self) -> None:
        """Drop all that has not begun."""
        for label in list(self._timers):
            self._forget(label)

    async def aclose(self, seconds: float) -> None:
        """Drop all that has not begun, and wait for the rest, no longer than that."""
        self.cancel()
        await self.drain(seconds)

    async def drain(self, seconds: float) -> None:
        """Wait for what has begun, no longer than that, and end the rest."""
        await end_tasks(self._tasks, seconds)

    def _forget(self, label: str) -> None:
        self._due.pop(label, None)
        if (timer := self._timers.pop(label, None)) is not None:
            timer.cancel()

    def _start(self, label: str, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        del self._timers[label]
        at, task = self._due[label], self._loop.create_task(look())
        self._tasks.add(task)

        def end(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and self._due.get(label) == at:
                del self._due[label]

        task.add_done_callback(end)
