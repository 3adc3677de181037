"""For the tests of programs that use balancekit: a clock that a test moves."""

import asyncio
import contextvars
import heapq
import itertools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from balancekit.clock import Clock

_TURNS: Final = 50
"""How many turns the event loop gets so that everything that was woken has run; a request takes about twenty."""

_NAP: Final = 0.001
"""How many seconds of real time pass between two looks at whether a response has arrived."""


@attrs.define(eq=False)
class _Timer:
    """Something that is to be called in its own event loop; `ends_wait`: unless a response comes first."""

    loop: asyncio.AbstractEventLoop
    callback: Callable[..., object]
    args: tuple[object, ...]
    ends_wait: bool
    context: contextvars.Context = attrs.field(factory=contextvars.copy_context)
    is_set: bool = True

    def cancel(self) -> None:
        """Do not call it."""
        self.is_set = False

    def fire(self) -> None:
        """Have it called as soon as its event loop gets round to it."""
        self.is_set = False
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.callback, *self.args, context=self.context)


class ManualClock(Clock):
    """A clock that stands still until a test moves it: `await clock.advance(3600)` lets an hour pass at once.

    Give it to `AggregateClient(clock=...)`, and to a `MemoryStore`. Whatever waits by it, `sleep` included, waits for
    `advance`. What goes over a socket takes its real time: before the clock moves on, it waits for responses, as long
    as any comes within `patience` seconds of real time, so that only a request that hangs times out.

    `start` is the time on the wall at first. Raises ValueError if that has no time zone.
    """

    def __init__(self, start: datetime, *, patience: float = 0.1) -> None:
        if start.tzinfo is None:
            raise ValueError("start: expected a datetime with a time zone, such as datetime(2026, 1, 1, tzinfo=UTC)")
        self._start = start.astimezone(UTC)
        self._naps = max(1, round(patience / _NAP))
        self._now = 0.0
        # How often the monotonic time was looked at: a client that does nothing does not look.
        self._looks = 0
        self._order = itertools.count()
        # By when they are due, and then in the order in which they were set.
        self._timers: list[tuple[float, int, _Timer]] = []
        self._advancing = asyncio.Lock()

    def monotonic(self) -> float:
        """Return the seconds by which the clock has been advanced."""
        self._looks += 1
        return self._now

    def time(self) -> float:
        """Return the time on the wall in Unix seconds."""
        return self.now.timestamp()

    @property
    def now(self) -> datetime:
        """The time on the wall, in UTC."""
        return self._start + timedelta(seconds=self._now)

    def set(self, now: datetime) -> None:
        """Set the time on the wall alone, as happens to the clock of a machine, or while it is suspended."""
        self._start = now.astimezone(UTC) - timedelta(seconds=self._now)

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> _Timer:
        """Call back once the clock is advanced to that moment of its monotonic time."""
        return self._add(when, callback, args, ends_wait=False)

    def timeout_at(self, when: float, callback: Callable[..., object], *args: object) -> _Timer:
        """Call back as `call_at` does, unless a response comes first; the clock waits for that in real time."""
        return self._add(when, callback, args, ends_wait=True)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced by so many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        over = asyncio.get_running_loop().create_future()
        timer = self.call_at(self._now + seconds, _end_sleep, over)
        try:
            await over
        finally:
            timer.cancel()

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass: what is due is called in its order, and whatever that wakes runs, each at its time.

        Calls at the same time follow one another. Raises ValueError for what is no number of seconds, zero or more.
        """
        _check_seconds(seconds)
        async with self._advancing:
            until = self._now + seconds
            await self._settle()
            while (timer := self._pop_due(until)) is not None:
                timer.fire()
                await self._settle()
            self._now = until

    def _add(
        self, when: float, callback: Callable[..., object], args: tuple[object, ...], *, ends_wait: bool
    ) -> _Timer:
        timer = _Timer(asyncio.get_running_loop(), callback, args, ends_wait)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def _pop_due(self, until: float) -> _Timer | None:
        """Move to the next moment at which something is due, and return that; None if there is nothing until then."""
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            if timer.is_set:
                self._now = max(self._now, when)
                return timer
        return None

    async def _settle(self) -> None:
        """Let everything run that can, and responses arrive."""
        looks, naps = -1, 0
        while True:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if naps >= self._naps or not any(timer.is_set and timer.ends_wait for _, _, timer in self._timers):
                return
            naps = naps + 1 if looks == self._looks else 0
            looks = self._looks
            await asyncio.sleep(_NAP)

    def __repr__(self) -> str:
        return f"ManualClock({self.now.isoformat()})"


def _check_seconds(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ValueError(f"seconds: expected a number, zero or more, got {seconds!r}")


def _end_sleep(over: "asyncio.Future[None]") -> None:
    if not over.done():
        over.set_result(None)
