"""What is written to Redis and read from it: JSON that says its version, amounts as strings, nothing secret."""

import json
import logging
from typing import Final, cast

from balancekit.money.balances import AccountBalances
from balancekit.money.serialization import from_dict, to_dict
from balancekit.stores.base import Change

_log = logging.getLogger(__name__)

_VERSION: Final = 1
# How many snapshots are kept as they were read, so that the same bytes are read once.
_MOST_READ: Final = 10_000

EVENT: Final = json.dumps({"v": _VERSION})
"""What is written for an event: that it is there says all."""


def write_snapshot(snapshot: AccountBalances) -> str:
    """Write a snapshot as JSON text."""
    return json.dumps({"v": _VERSION, **to_dict(snapshot)}, ensure_ascii=False, separators=(",", ":"))


def write_change(change: Change) -> str:
    """Write a change as JSON text."""
    return json.dumps({"v": _VERSION, "key": change.key, "invalidated": change.invalidated})


def write_owner(owner: str) -> str:
    """Write the owner of a lease as JSON text."""
    return json.dumps({"v": _VERSION, "owner": owner})


def read_change(text: object) -> Change:
    """Read a change; what cannot be read says that anything may have happened."""
    try:
        data = _read(text)
    except (TypeError, ValueError, RecursionError):
        return Change(None)
    key, invalidated = data.get("key"), data.get("invalidated")
    if isinstance(key, str) and isinstance(invalidated, bool):
        return Change(key, invalidated)
    return Change(None)


class Snapshots:
    """Reads snapshots, each only once while its bytes stay the same."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[bytes, AccountBalances | None]] = {}

    def read(self, key: str, text: bytes) -> AccountBalances | None:
        """Read the snapshot of an account; None, and one line in the log, if it cannot be read."""
        known = self._read.get(key)
        if known is not None and known[0] == text:
            return known[1]
        snapshot: AccountBalances | None = None
        try:
            snapshot = from_dict(_read(text), AccountBalances, "a snapshot")
        except (TypeError, ValueError, RecursionError) as error:
            _log.warning("a snapshot in Redis cannot be read, and counts as absent: %s", _brief(error))
        if len(self._read) >= _MOST_READ:
            self._read.clear()
        self._read[key] = text, snapshot
        return snapshot


def _read(text: object) -> dict[str, object]:
    data: object = json.loads(cast("str | bytes", text))
    if not isinstance(data, dict):
        raise TypeError("no JSON object")
    written = cast("dict[str, object]", data)
    if written.get("v") != _VERSION:
        raise ValueError("of another version")
    return written


def _brief(error: Exception) -> str:
    # What the bytes are is not known, so that nothing of them is shown.
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "no JSON"
    return str(error)
