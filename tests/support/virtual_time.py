"""An event loop in which waiting takes no time, for tests without sockets."""

import asyncio
import selectors
from typing import Any

STILL = 10_000
"""After how many turns in a row that took no time the clock moves on by itself."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that skips the waiting: where a real one would sleep, its clock jumps."""

    # Of asyncio's own base class.
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self.now = 1_000.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return the time that has been jumped to."""
        return self.now

    @property
    def timers(self) -> int:
        """How many timers are set."""
        return sum(not timer.cancelled() for timer in self._scheduled)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._idle = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "every task waits for something that never comes"
            self._loop.now += timeout
            # A clock that stood still for ever would never reach a moment that is nearer than a timer can be set.
            self._idle = 0 if timeout else self._idle + 1
            if self._idle > STILL:
                self._loop.now += 1e-9
        return events
