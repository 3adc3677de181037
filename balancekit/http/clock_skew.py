"""How far an origin's clock is from this machine's: measured by `Date`, and corrected for requests that sign the time.

A request signed with a wrong time is rejected like one signed with a wrong key. The response's `Date` shows which of
the two it is. The client learns the difference, one for each origin, and passes it to the adapters in the context of
the task: `use_offset` sets it, and `current_offset` returns it where a request is built. A provider does not store it,
so that two clients may share a provider.
"""

from contextvars import ContextVar
from typing import Final

TOLERANCE: Final = 5.0
"""How many seconds a measured offset may be from the one in use: `Date` has whole seconds, and takes time to arrive."""

_offset: Final[ContextVar[float]] = ContextVar("balancekit_clock_offset", default=0.0)


class OriginClock:
    """An origin's clock; `offset` is how many seconds it is ahead of this machine's, as far as is known."""

    def __init__(self) -> None:
        self.offset: float = 0.0

    def learn(self, measured: float) -> bool:
        """Use a measured offset from now on, if it differs from the one in use; returns whether it did."""
        changed = differs(measured, self.offset)
        if changed:
            self.offset = measured
        return changed


def differs(measured: float, used: float) -> bool:
    """Return whether a request that was signed with the offset `used` was signed with a wrong time."""
    return abs(measured - used) >= TOLERANCE


def use_offset(offset: float) -> None:
    """Have requests that the current task builds from now on signed with a time that is `offset` seconds ahead."""
    _offset.set(offset)


def current_offset() -> float:
    """Return how many seconds ahead of this machine's clock a request is to be signed; 0 unless a client set it."""
    return _offset.get()
