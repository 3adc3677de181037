"""The second look after an event of a webhook, for a balance that the provider books after it has sent the event."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from balancekit.clock import Clock, Timer

SETTLE_DELAY: Final = 5.0
"""How many seconds after an event the account is looked at again: ten times the longest delay that was reported."""


class SecondLooks:
    """Looks at accounts again, `delay` seconds after their last events, in the event loop in which it was made."""

    def __init__(self, delay: float, clock: Clock) -> None:
        self._delay = delay
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, Timer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Whether no look is to come or under way."""
        return not (self._timers or self._tasks)

    def schedule(self, label: str, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Look at the account of that label `delay` seconds from now, and not before; never if that is zero.

        What an earlier event is about has been looked at for this one, so only the last event needs another look.
        """
        if self._delay > 0:
            self._cancel(label)
            at = self._clock.monotonic() + self._delay
            self._timers[label] = self._clock.call_at(at, self._start, label, look)

    def forget(self, label: str) -> None:
        """Drop what has not begun for an account."""
        self._cancel(label)

    def cancel(self) -> None:
        """Drop all that has not begun."""
        for label in list(self._timers):
            self._cancel(label)

    async def aclose(self) -> None:
        """Drop all that has not begun, and wait for the rest, which the store bounds in time."""
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _cancel(self, label: str) -> None:
        if (timer := self._timers.pop(label, None)) is not None:
            timer.cancel()

    def _start(self, label: str, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        del self._timers[label]
        task = self._loop.create_task(look())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
