"""When an account that is watched is read again, and when it is shown that it has not been."""

import attrs

from balancekit.clock import Timer


@attrs.define(eq=False)
class Schedule:
    """When an account is read again: after a change, or after a failure, with a delay that grows.

    At `shown` it is shown as stale, or as not read, if it has not been read since it changed or was added. The
    read is at `read_at`, by the shortest `interval` of the watches, as long as there is one.
    """

    read: Timer | None = None
    read_at: float = 0.0
    interval: float = 0.0
    retry: Timer | None = None
    delay: float = 0.0
    shown: Timer | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything is still to come."""
        return (self.read, self.retry, self.shown) != (None, None, None)

    def cancel(self) -> None:
        """Let nothing of it come."""
        for timer in (self.read, self.retry, self.shown):
            if timer is not None:
                timer.cancel()
