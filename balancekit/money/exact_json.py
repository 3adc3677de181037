"""Decoding JSON within bounds and without floats: a number is an `int`, or keeps the text that was sent."""

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeGuard, cast

if TYPE_CHECKING:
    from collections.abc import Callable


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
_LONGEST_NAME: Final = 40
_AS_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_RUN: Final = b"0" * (_LONGEST_INTEGER + 1)
_STEP: Final = 25
"""One byte in so many is looked at first."""

# A run of more than `_LONGEST_INTEGER` digits has at least so many of the bytes that are looked at.
_SPARSE_RUN: Final = b"0" * ((_LONGEST_INTEGER + 1) // _STEP)


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


_NOT_STRUCTURE_OR_QUOTES: Final = _all_but(b',[]{}"')
_NOT_MARKS: Final = _all_but(b',[]{}"\\')
_NOT_STRUCTURE: Final = _all_but(b",[]{}")
_ESCAPED_BRACKET: Final = re.compile(rb"\\u00(?:2[cC]|[57][bBdD])")


def decode_json(body: bytes, *, max_values: int | None = None) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode UTF-8 JSON; integers become `int`, other numbers (and endless integers) `JsonNumber`.

    Of a key that an object has twice the last value counts: `decode_distinct` refuses it.

    Raises ShapeError for anything else, `NaN` and `Infinity` included, and for a body beyond `MAX_NESTING` or
    `max_values` (`MAX_VALUES` unless given), of which nothing is decoded.
    """
    return decode_counted(body, max_values=max_values)[0]


def decode_distinct(body: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode as `decode_json` does; raise ShapeError, with the path, if an object has a key twice."""
    document = decode_json(body)
    refuse_duplicates(document, body)
    return document


def decode_counted(body: bytes, *, max_values: int | None = None) -> tuple[Any, int]:
    """Decode as `decode_json` does; return the number of values in the body, too, or a larger one.

    A value whose key is given again counts, although the document lacks it: a caller who finds as many values in the
    document knows that no key is given twice. Otherwise `refuse_duplicates` finds out.
    """
    values = _check_bounds(body, MAX_VALUES if max_values is None else max_values)
    # This decoder saves a third of the time of reading a response, but makes an `int` of thousands of digits, which
    # takes the square of their number. The standard library's accepts a little more, such as half of a surrogate pair
    # in a field that nobody reads. What both accept they decode alike.
    if _SPARSE_RUN not in body[::_STEP].translate(_AS_ZEROS) or _LONG_RUN not in body.translate(_AS_ZEROS):
        try:
            return _quick_decoder()(body), values
        except Exception:  # noqa: BLE001, S110 - the decoder below finds out what is wrong
            pass
    try:
        return _DECODER.decode(body.decode("utf-8")), values
    except UnicodeDecodeError:
        reason = "not UTF-8"
    except RecursionError:
        # The bound is below the interpreter's, but the caller may have used that up.
        reason = "nested too deeply"
    except ValueError:
        reason = "not JSON" if body.strip() else "empty"
    # Raised out here, since the decoder's errors keep the whole body.
    raise ShapeError(f"the body is {reason}")


def refuse_duplicates(document: object, body: bytes) -> None:
    """Raise ShapeError, with the path, if an object of a body has a key twice; `document` is the body decoded."""
    if _encodes_alike(document, body):
        return
    path = _path_of_duplicate(body)
    if path is not None:
        raise ShapeError(f"{path}: given twice")


def _check_bounds(body: bytes, max_values: int) -> int:
    """Return the number of values in a body, or a larger one; raise ShapeError if it is beyond a bound."""
    structure = body.translate(_AS_SQUARE, _NOT_STRUCTURE)
    opened = structure.count(b"[")
    half = len(structure) // 2
    # A value follows a comma or the start of a list or an object, but for the outermost. No value in the first half is
    # in more lists and objects than are opened there, and none in the second in more than are closed there; what is
    # never closed is bounded by `opened`. Brackets and commas within strings count here as well: that is enough to
    # admit most bodies; only for the others are strings left out.
    if (
        len(structure) < max_values
        and opened <= 2 * MAX_NESTING
        and structure.count(b"[", 0, half) <= MAX_NESTING
        and structure.count(b"]", half) <= MAX_NESTING
    ):
        return 1 + len(structure) - opened
    # Unless one of them is in a string, or a quote is escaped, quotes stand in pairs between them.
    marks = body.translate(_AS_SQUARE, _NOT_MARKS)
    if 2 * marks.count(b'""') != len(marks) - len(structure):
        del marks, structure
        structure = _outside_strings(body)
        opened = structure.count(b"[")
    brackets = structure.translate(None, b",")
    values = 1 + len(structure) - len(brackets) + opened
    if values > max_values:
        raise ShapeError(f"the body holds more than {max_values} values")
    for level in range(MAX_NESTING):
        # Removes the innermost lists and objects everywhere: one level each time.
        outer = brackets.replace(b"[]", b"")
        if level + outer.count(b"[") < MAX_NESTING:
            return values
        if len(outer) == len(brackets):
            break
        brackets = outer
    # Brackets that are never closed count as well: a decoder would descend into them all the same.
    if b"[]" in brackets or brackets.count(b"[") > MAX_NESTING:
        raise ShapeError(f"the body is nested too deeply: more than {MAX_NESTING} levels")
    return values


def _outside_strings(body: bytes) -> bytes:
    """Return the commas and brackets of a body that are in no string, with `[]` for `{}` too."""
    # Escaped quotes go first. Then adjacent quotes go in pairs, which leaves inside and outside as they are, until a
    # comma or a bracket stands between any two. So after that many quotes there were too many values, or more closing
    # brackets than opening ones, where a decoder stops. The number is odd: what follows counts as a string.
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_AS_SQUARE, delete=_NOT_STRUCTURE_OR_QUOTES)
    return b"".join(bare.replace(b'""', b"").split(b'"', 4 * MAX_VALUES + 1)[::2])


def _encodes_alike(document: object, body: bytes) -> bool:
    """Whether a decoded document, encoded again, has as many commas and brackets as its body.

    Then it has all that was in the body: of an object that has a key twice, at least a comma is missing.
    """
    # An escaped one becomes one itself, and could stand for the one that is missing.
    if _ESCAPED_BRACKET.search(body):
        return False
    import msgspec

    try:
        encoded = msgspec.json.encode(document, enc_hook=str)
    except ValueError:
        # Half of a surrogate pair.
        return False
    return len(encoded.translate(None, _NOT_STRUCTURE)) == len(body.translate(None, _NOT_STRUCTURE))


class _Duplicate(str):
    """Stands for an object that has this key twice."""

    __slots__ = ()


def _path_of_duplicate(body: bytes) -> str | None:
    """Return the path of the first key that an object of a body has twice, None if there is none."""
    found: list[_Duplicate] = []

    def read_object(pairs: list[tuple[str, object]]) -> object:
        fields = dict(pairs)
        if len(fields) == len(pairs):
            return fields
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found.append(_Duplicate(name))
                break
            seen.add(name)
        return found[-1]

    # The body has been decoded before, so that nothing in it can fail.
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=read_object)
    document = decoder.decode(body.decode("utf-8"))
    return (_path_within(document) or "").removeprefix(".") if found else None


def _path_within(value: object) -> str | None:
    if isinstance(value, _Duplicate):
        return f".{_shown(value)}"
    if isinstance(value, dict):
        for name, member in cast("dict[str, object]", value).items():
            if (path := _path_within(member)) is not None:
                return f".{_shown(name)}{path}"
    elif isinstance(value, list):
        for index, member in enumerate(cast("list[object]", value)):
            if (path := _path_within(member)) is not None:
                return f"[{index}]{path}"
    return None


def _shown(name: str) -> str:
    # A key is data, and may be anything.
    return name if name.isascii() and name.isidentifier() and len(name) <= _LONGEST_NAME else "?"


def _read_integer(text: str) -> int | JsonNumber:
    # `int` raises for thousands of digits, in an unknown field too. The reader of the field says what is too long.
    return int(text) if len(text) <= _LONGEST_INTEGER else JsonNumber(text)


def _reject_constant(_: str) -> NoReturn:
    raise ValueError


# Made once, since `json.loads` would make one for every body.
_DECODER: Final = json.JSONDecoder(parse_float=JsonNumber, parse_int=_read_integer, parse_constant=_reject_constant)


@cache
def _quick_decoder() -> "Callable[[bytes], Any]":
    # Imported here, since not every program reads a response.
    import msgspec

    return msgspec.json.Decoder(float_hook=JsonNumber).decode
