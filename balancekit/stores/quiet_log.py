"""Warnings that are logged once, and again only if there was no reason for them for an hour."""

from typing import Final

from balancekit.clock import Clock
from balancekit.logs import Log

_INTERVAL: Final = 3600.0

_MOST: Final = 20
"""How many messages are logged in that time."""

_FURTHER: Final = "further warnings like these are not logged for an hour"


class QuietLog:
    """Logs each message once for as long as there is reason for it, and no more than `_MOST` in an hour."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        # When there was last reason for each message.
        self._noted_at: dict[str, float] = {}

    def warn(self, message: str) -> None:
        """Log a warning, unless there was reason for it within the last hour."""
        now = self._clock.monotonic()
        if now - self._noted_at.get(message, -_INTERVAL) >= _INTERVAL:
            self._noted_at = {other: at for other, at in self._noted_at.items() if now - at < _INTERVAL}
            if len(self._noted_at) >= _MOST:
                # A message may have something in it that is new each time, such as an id.
                message = _FURTHER
            if message not in self._noted_at:
                self._log.warning("%s", message)
        self._noted_at[message] = now
