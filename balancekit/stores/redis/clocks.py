"""The clocks of Redis servers as a process sees them, and what was set back: clocks, or accounts from a backup."""

from typing import Final

import attrs

IN_MICROSECONDS: Final = 1_000_000

MAX_VERSIONS: Final = 50_000
"""Of how many accounts the latest version is remembered."""

_SLEW: Final = 10
"""A clock that is corrected gains or loses at most one microsecond in this many: by chronyd's default one in 12."""

_TOLERANCE: Final = 100_000
"""By how many microseconds a clock may go back unnoticed, since no two clocks run alike."""


@attrs.define
class _ServerClock:
    # How many microseconds it is ahead of the process's monotonic clock, at least and at most.
    least_ahead: int
    most_ahead: int
    noted_at: int
    # By how much it has been set back, and the last moment that it showed before.
    set_back: int = 0
    until: int = 0


class ServerClocks:
    """The clock of each server, known by the history of its data; a cluster has several. All is in microseconds."""

    def __init__(self) -> None:
        self._clocks: dict[str, _ServerClock] = {}
        # The marks of snapshots that may have been put before a clock was set back, by key: the first ones seen since.
        self._suspects: dict[str, bytes] = {}

    def note(self, history: str, now: int, *, asked_at: int, answered_at: int) -> None:
        """Note the time of a server, which it returned between two moments of the monotonic clock."""
        least, most = now - answered_at, now - asked_at
        known = self._clocks.setdefault(history, _ServerClock(least, most, answered_at))
        if most < known.least_ahead - _TOLERANCE:
            known.until = max(known.until, known.most_ahead + answered_at)
            known.set_back += known.most_ahead - least
            self._suspects.clear()
        # What was known more exactly is still known: a reply may have been late.
        slew = (answered_at - known.noted_at) // _SLEW
        narrow = max(least, known.least_ahead - slew), min(most, known.most_ahead + slew)
        known.least_ahead, known.most_ahead = narrow if narrow[0] <= narrow[1] else (least, most)
        known.noted_at = answered_at

    def at_least(self, history: str, moment: int) -> int | None:
        """Return what a server's clock shows at a moment of the monotonic clock, or a little less; None if unknown.

        Of a history that is not known, it is the least of those that are.
        """
        known = self._clocks.get(history)
        ahead = min((clock.least_ahead for clock in self._clocks.values()), default=None)
        return None if ahead is None else moment + (ahead if known is None else known.least_ahead)

    def set_back_since(self, history: str, key: str, mark: bytes, sent: int) -> int:
        """Return by how much the clock may have been set back since a snapshot, with that mark, was sent."""
        known = self._clocks.get(history)
        if known is None or not known.set_back or sent > known.until:
            return 0
        return known.set_back if self._suspects.setdefault(key, mark) == mark else 0

    def suspect(self, history: str, key: str) -> tuple[bytes, int]:
        """Return the mark of an account's snapshot that may have been put before, and by how much it was set back."""
        known, mark = self._clocks.get(history), self._suspects.get(key)
        return (b"", 0) if known is None or mark is None else (mark, known.set_back)


class LatestVersions:
    """The latest version of each account that this process has seen; any that is older comes from a backup."""

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}

    def note(self, key: str, version: str) -> None:
        """Note a version of an account; those of earlier releases have no moment, and are left out."""
        if version > self.get(key) and _moment_of(version).isdecimal():
            self._latest.pop(key, None)
            if len(self._latest) >= MAX_VERSIONS:
                del self._latest[next(iter(self._latest))]
            self._latest[key] = version

    def get(self, key: str) -> str:
        """Return the latest version of an account; empty if none was seen."""
        return self._latest.get(key, "")


def is_restored(latest: str, version: str) -> bool:
    """Return whether a version was made before the latest that was known, so that it comes from a backup."""
    return _moment_of(version) < _moment_of(latest)


def _moment_of(version: str) -> str:
    return version[:16]


def microseconds(seconds: float) -> int:
    """Return a time as Redis counts it here."""
    return max(0, round(seconds * IN_MICROSECONDS))


def positive_microseconds(seconds: float) -> int:
    """Return a time that is not nothing: Redis would give a permit that is free again at once to every request."""
    return max(1, microseconds(seconds))


def milliseconds(seconds: float) -> int:
    """Return a time after which something expires."""
    return max(1, round(seconds * 1000))


def history_of(version: str) -> str:
    """Return the history of the data that a version belongs to."""
    return version.partition(":")[0]
