"""What is written to Redis and read from it: JSON with its version, amounts as strings, nothing secret."""

import json
import logging
from typing import Final, cast

from balancekit.money.balances import AccountBalances
from balancekit.money.serialization import from_dict, to_dict
from balancekit.stores.base import Change

_log = logging.getLogger(__name__)

_VERSION: Final = 1
MAX_CACHED: Final = 10_000

EVENT: Final = json.dumps({"v": _VERSION})
"""What is written for an event, of which nothing but its existence matters."""


def write_snapshot(snapshot: AccountBalances) -> str:
    """Write a snapshot as JSON text."""
    return json.dumps({"v": _VERSION, **to_dict(snapshot)}, ensure_ascii=False, separators=(",", ":"))


def write_change(change: Change) -> str:
    """Write a change as JSON text."""
    return json.dumps({"v": _VERSION, "key": change.key, "invalidated": change.invalidated})


def write_owner(owner: str) -> str:
    """Write the owner of a lease as JSON text."""
    return json.dumps({"v": _VERSION, "owner": owner})


def parse_change(text: object) -> Change:
    """Parse a change; of one that cannot be parsed, anything may have happened."""
    try:
        data = _parse(text)
    except (TypeError, ValueError, RecursionError):
        return Change(None)
    key, invalidated = data.get("key"), data.get("invalidated")
    if isinstance(key, str) and isinstance(invalidated, bool):
        return Change(key, invalidated)
    return Change(None)


class SnapshotParser:
    """Parses snapshots, and keeps the last one of each account to parse the same bytes only once."""

    def __init__(self) -> None:
        self._parsed: dict[str, tuple[bytes, AccountBalances | None]] = {}

    def parse(self, key: str, text: bytes) -> AccountBalances | None:
        """Parse the snapshot of an account; None, and one line in the log, if that is impossible."""
        known = self._parsed.get(key)
        if known is not None and known[0] == text:
            return known[1]
        snapshot: AccountBalances | None = None
        try:
            snapshot = from_dict(_parse(text), AccountBalances, "a snapshot")
        except (TypeError, ValueError, RecursionError) as error:
            _log.warning("a snapshot in Redis cannot be read, and counts as absent: %s", _describe(error))
        if len(self._parsed) >= MAX_CACHED:
            self._parsed.clear()
        self._parsed[key] = text, snapshot
        return snapshot


def _parse(text: object) -> dict[str, object]:
    data: object = json.loads(cast("str | bytes", text))
    if not isinstance(data, dict):
        raise TypeError("no JSON object")
    fields = cast("dict[str, object]", data)
    if fields.get("v") != _VERSION:
        raise ValueError("of another version")
    return fields


def _describe(error: Exception) -> str:
    # Without the text: bytes that are no snapshot may be anything.
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "no JSON"
    return str(error)
