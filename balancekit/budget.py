"""How many retries a host may be sent: so that many clients of a failing host do not keep it down."""

from typing import Final

import attrs

_CAPACITY: Final = 20.0
_PER_SUCCESS: Final = 0.2
_PER_SECOND: Final = 1 / 3


@attrs.define
class RetryBudget:
    """A bucket of retries, shared by all accounts on a host; moments are in seconds of any one clock.

    It starts full. A retry takes one token and is not made without; a success gives a part of one back, and so does
    time, so that an account that is read once an hour can be tried again after an outage. While everything fails, 200
    accounts are sent no more than 1.2 requests each within the default deadline of 30 s.
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
        """Give back a part of a token for a request that was answered."""
        self._tokens = min(self.capacity, self._tokens + self.per_success)

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self.capacity, self._tokens + max(0.0, now - self._at) * self.per_second)
        self._at = now
