"""How far an origin's clock is from this machine's: measured by `Date`, and corrected for requests that sign the time.

A request signed with a wrong time is rejected like one signed with a wrong key. The response's `Date` shows which of
the two it is, but may itself be wrong: the same request, signed by it, shows that. The client learns the difference,
one for each origin, and passes it to the adapters in the context of the task: `use_offset` sets it, and
`current_offset` returns it where a request is built. A provider does not store it, so that two clients may share a
provider.
"""

from collections.abc import Sequence
from typing import Final

from balancekit.http.messages import Response, parse_date, values_of
from balancekit.http.own_variables import own_variable

MAX_OFFSET: Final = 86_400.0
"""How many seconds an origin's clock may be from this machine's; a `Date` beyond that is not believed."""

TOLERANCE: Final = 5.0
"""How many seconds a measured offset may be from the one in use: `Date` has whole seconds, and takes time to arrive."""

_offset: Final = own_variable("balancekit_clock_offset", 0.0)


class OriginClock:
    """An origin's clock; `offset` is how many seconds it is ahead of this machine's, as far as is known.

    Whatever a rejection shows is for the rejected request alone: only an accepted request changes the offset, so that
    an account with a wrong key costs the others nothing.
    """

    def __init__(self) -> None:
        self.offset: float = 0.0

    def accepted(self, used: float) -> bool:
        """Use the offset that an accepted request was signed with from now on; returns whether that is another one."""
        changed = differs(used, self.offset)
        if changed:
            self.offset = used
        return changed


def next_offset(used: Sequence[float], measured: float | None) -> float | None:
    """Return the offset to sign a request with that was rejected with all of those `used`; None to give up.

    It is the measured one, once, and then none at all: an offset that was right may no longer be, and `Date` be wrong.
    """
    candidates = [0.0]
    if len(used) == 1 and measured is not None and abs(measured) <= MAX_OFFSET:
        candidates.insert(0, measured)
    return next((one for one in candidates if all(differs(one, offset) for offset in used)), None)


def date_of(response: Response) -> float | None:
    """Return the Unix seconds at which the origin sent a response; None if it has no `Date`, or is from a cache."""
    # Some proxies send an age of 0 with every response. If there are several, a cache is on the way.
    if values_of(response, "Age").strip() not in {"", "0"}:
        return None
    return parse_date(response.headers.get("Date"))


def differs(measured: float, used: float) -> bool:
    """Return whether a request that was signed with the offset `used` was signed with a wrong time."""
    return abs(measured - used) >= TOLERANCE


def use_offset(offset: float) -> None:
    """Have requests that the current task builds from now on signed with a time that is `offset` seconds ahead."""
    _offset.set(offset)


def current_offset() -> float:
    """Return how many seconds ahead of this machine's clock a request is to be signed; 0 unless a client set it."""
    return _offset.get()
