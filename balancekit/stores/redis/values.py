"""What is written to Redis and read from it: JSON with its version, amounts as strings, nothing secret.

Anything may stand in Redis. A snapshot is bound to its account and its text by a digest, and has the bounds of a
response: what was changed, moved to another account or written by another program counts as absent.
"""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, cast

import attrs

from balancekit.http.bodies import MAX_RESPONSE_BODY
from balancekit.http.fields import MAX_BALANCES
from balancekit.logs import Log
from balancekit.money import json_format
from balancekit.money.balances import AccountBalances
from balancekit.money.exact_json import ShapeError, decode_json
from balancekit.money.serialization import StructureError, from_dict
from balancekit.stores.base import Change

_log = Log(__name__, without_context=True)

_VERSION: Final = 1
MAX_CACHED: Final = 50_000
"""How many accounts' snapshots are kept in parsed form."""

_MAX_CHANGE: Final = 2**14

# A snapshot from before the first release, or from tomorrow, was read by a machine whose clock is not set.
_EARLIEST: Final = datetime(2025, 1, 1, tzinfo=UTC)
_CLOCK_TOLERANCE: Final = timedelta(days=1)


@attrs.frozen
class ParsedSnapshot:
    """A snapshot, or None for a text that is none, and the mark under which it was put."""

    mark: bytes
    snapshot: AccountBalances | None


def write_snapshot(key: str, snapshot: AccountBalances) -> bytes:
    """Write the snapshot of an account as JSON text."""
    fields = json_format.write_snapshot(snapshot)
    # The first release reads only balances that name their account and provider.
    owner = {"account": fields["account"], "provider": fields["provider"]}
    fields["balances"] = [balance | owner for balance in fields["balances"]]
    return seal(key, json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:].encode())


def seal(key: str, fields: bytes) -> bytes:
    """Put the version, and a digest of the account's key and the fields, before the fields of a JSON object."""
    digest = sha256(b"%s\n%s" % (key.encode(), fields)).hexdigest()
    return b'{"v":%d,"digest":"%s",%s' % (_VERSION, digest.encode(), fields)


_DIGEST_LENGTH: Final = 64
_SEAL_LENGTH: Final = len(seal("", b""))


def seal_failure(key: str, text: str) -> bytes:
    """Put a digest of the key and the text before the text of a failure."""
    return sha256(f"{key}\n{text}".encode()).hexdigest().encode() + text.encode()


def open_failure(key: str, sealed: bytes) -> str | None:
    """Return the text of a failure; None if it was not written for the key."""
    text = sealed[_DIGEST_LENGTH:].decode(errors="replace")
    return text if sealed == seal_failure(key, text) else None


def write_change(change: Change) -> str:
    """Write a change as JSON text."""
    return json.dumps({"v": _VERSION} | attrs.asdict(change))


def parse_change(text: object) -> Change:
    """Parse a change; of one that cannot be parsed, or is longer than any, anything may have happened."""
    try:
        if len(cast("str | bytes", text)) > _MAX_CHANGE:
            raise ShapeError("too long")
        data = _parse(text.encode() if isinstance(text, str) else cast("bytes", text))
    except ValueError:
        return Change(None)
    match data:
        case {"key": str(key), "invalidated": bool(invalidated), "released": bool(released)}:
            return Change(key, invalidated, released)
        case _:
            return Change(None)


class ParsedSnapshots:
    """The snapshots that were parsed last, each under its account and its mark, so that each is parsed only once."""

    def __init__(self) -> None:
        self._parsed: dict[str, ParsedSnapshot] = {}

    def get(self, key: str) -> ParsedSnapshot | None:
        """Return the account's last one."""
        return self._parsed.get(key)

    def parse(self, key: str, mark: bytes, text: bytes) -> ParsedSnapshot:
        """Parse the snapshot of an account; if that is impossible, the log has one line."""
        snapshot, fault = None, None
        try:
            snapshot = _read_snapshot(key, text)
        except StructureError as error:
            # Without the reason, which may hold what stands there.
            fault = error.path
        except ShapeError as error:
            fault = str(error)
        if fault is not None:
            _log.warning("a snapshot in Redis cannot be read, and counts as absent: %s", fault)
        return self.note(key, mark, snapshot)

    def note(self, key: str, mark: bytes, snapshot: AccountBalances | None) -> ParsedSnapshot:
        """Keep what stands under a mark."""
        self._parsed.pop(key, None)
        if len(self._parsed) >= MAX_CACHED:
            del self._parsed[next(iter(self._parsed))]
        parsed = self._parsed[key] = ParsedSnapshot(mark, snapshot)
        return parsed


def _read_snapshot(key: str, text: bytes) -> AccountBalances:
    """Raise ShapeError or StructureError for what this release has not written for the account."""
    if len(text) > MAX_RESPONSE_BODY:
        raise ShapeError(f"more than {MAX_RESPONSE_BODY} bytes")
    data = _parse(text)
    if text != seal(key, text[_SEAL_LENGTH:]):
        raise ShapeError("its digest is not that of the account and the text")
    balances = data.get("balances")
    if isinstance(balances, list) and len(cast("list[object]", balances)) > MAX_BALANCES:
        raise ShapeError(f"balances: more than {MAX_BALANCES} entries")
    snapshot = from_dict(data, AccountBalances, "a snapshot")
    if snapshot.stale:
        raise ShapeError("stale: a snapshot is stored when it is fresh")
    if not _EARLIEST < snapshot.fetched_at < datetime.now(UTC) + _CLOCK_TOLERANCE:
        raise ShapeError("fetched_at: from a clock that was not set")
    return snapshot


def _parse(text: bytes) -> dict[str, object]:
    data = decode_json(text)
    if not isinstance(data, dict):
        raise ShapeError("no JSON object")
    fields = cast("dict[str, object]", data)
    if fields.get("v") != _VERSION:
        raise ShapeError("of another version")
    return fields
