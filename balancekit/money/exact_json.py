"""Decoding JSON within bounds and without floats: a number is an `int`, or keeps the text that was sent."""

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeGuard

if TYPE_CHECKING:
    import msgspec


class JsonNumber(str):
    """A JSON number that `int` and `str` cannot hold as it was sent: its digits, never a float."""

    __slots__ = ()


_TYPE_NAMES: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    JsonNumber: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def json_type_name(value: object) -> str:
    """Name the JSON type of a decoded value, for error messages: the value itself may be anything."""
    return "null" if value is None else _TYPE_NAMES.get(type(value), type(value).__name__)


def is_text(value: object) -> TypeGuard[str]:
    """Whether a decoded value is a string; a number that is kept as its digits is not."""
    return isinstance(value, str) and not isinstance(value, JsonNumber)


class ShapeError(ValueError):
    """Data is not what was promised; the message says where and what, and shows nothing of the data."""


MAX_NESTING: Final = 32
"""How deeply lists and objects may be nested in a body; a response that lists balances needs four levels."""

MAX_VALUES: Final = 60_000
"""How many values a body may hold, lists and objects included: twelve for each balance of the longest list.

The event loop is blocked while a body is decoded, and a megabyte of brackets takes longer than one of balances.
"""

_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_LONGEST_INTEGER: Final = 200


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


_NOT_BEFORE_VALUES: Final = _all_but(b",[{")
_NOT_STRUCTURE: Final = _all_but(b',[]{}"')
_NOT_BRACKETS_OR_QUOTES: Final = _all_but(b'[]{}"\\')


def decode_json(body: bytes, *, max_values: int | None = None) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode UTF-8 JSON; integers become `int`, other numbers (and endless integers) `JsonNumber`.

    Raises ShapeError for anything else, `NaN` and `Infinity` included, and for a body beyond `MAX_NESTING` or
    `max_values` (`MAX_VALUES` unless given), of which nothing is decoded.
    """
    _check_bounds(body, MAX_VALUES if max_values is None else max_values)
    try:
        # This decoder saves a third of the time of reading a response. The standard library's accepts a little more,
        # such as half of a surrogate pair in a field that nobody reads. What both accept they decode alike, but for
        # integers of more than 200 digits, which no field admits.
        return _quick_decoder().decode(body)
    except Exception:  # noqa: BLE001, S110 - the decoder below finds out what is wrong
        pass
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        reason = "not UTF-8"
    except RecursionError:
        # The bound is below the interpreter's, but the caller may have used that up.
        reason = "nested too deeply"
    except ValueError:
        reason = "not JSON" if body.strip() else "empty"
    # Raised out here, since the decoder's errors keep the whole body.
    raise ShapeError(f"the body is {reason}")


def _check_bounds(body: bytes, max_values: int) -> None:
    # No body has more values than bytes. Brackets and commas within strings count here as well: that is enough to admit
    # most bodies; only for the others are strings left out.
    if len(body) < max_values or 1 + len(body.translate(None, delete=_NOT_BEFORE_VALUES)) <= max_values:
        marks = body.translate(_AS_SQUARE, delete=_NOT_BRACKETS_OR_QUOTES)
        brackets = marks.translate(None, delete=b'"\\')
        if brackets.count(b"[") <= MAX_NESTING:
            return
        # Unless a bracket is in a string, or a quote is escaped, quotes stand in pairs between brackets.
        if 2 * marks.count(b'""') != len(marks) - len(brackets):
            brackets = _outside_strings(body).replace(b",", b"")
    else:
        structure = _outside_strings(body)
        # A value follows a comma or the start of a list or an object, but for the outermost.
        if 1 + structure.count(b",") + structure.count(b"[") > max_values:
            raise ShapeError(f"the body holds more than {max_values} values")
        brackets = structure.replace(b",", b"")
    for _ in range(MAX_NESTING):
        if not brackets:
            return
        # Removes the innermost lists and objects everywhere: one level each time.
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets):
            break
        brackets = outer
    # Brackets that are never closed count as well: a decoder would descend into them all the same.
    if b"[]" in brackets or brackets.count(b"[") > MAX_NESTING:
        raise ShapeError(f"the body is nested too deeply: more than {MAX_NESTING} levels")


def _outside_strings(body: bytes) -> bytes:
    """Return the commas and brackets of a body that are in no string, with `[]` for `{}` too."""
    # Escaped quotes go first. Then adjacent quotes go in pairs, which leaves inside and outside as they are, until a
    # comma or a bracket stands between any two. So after that many quotes there were too many values, or more closing
    # brackets than opening ones, where a decoder stops. The number is odd: what follows counts as a string.
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_AS_SQUARE, delete=_NOT_STRUCTURE)
    return b"".join(bare.replace(b'""', b"").split(b'"', 4 * MAX_VALUES + 1)[::2])


def _read_integer(text: str) -> int | JsonNumber:
    # `int` raises for thousands of digits, in an unknown field too. The reader of the field says what is too long.
    return int(text) if len(text) <= _LONGEST_INTEGER else JsonNumber(text)


def _reject_constant(_: str) -> NoReturn:
    raise ValueError


# Made once, since `json.loads` would make one for every body.
_DECODER: Final = json.JSONDecoder(parse_float=JsonNumber, parse_int=_read_integer, parse_constant=_reject_constant)


@cache
def _quick_decoder() -> "msgspec.json.Decoder[Any]":
    # Imported here, since not every program reads a response.
    import msgspec

    return msgspec.json.Decoder(float_hook=JsonNumber)
