"""From the bytes of an answer to what they say: no float ever exists."""

import json
from contextlib import suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast, get_args, get_origin

import attrs

if TYPE_CHECKING:
    import msgspec


class JsonNumber(str):
    """A JSON number that `int` and `str` cannot hold as it was sent: its digits, never a float."""

    __slots__ = ()


_NAMES: Final[dict[type, str]] = {
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
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


class ShapeError(ValueError):
    """Data is not what was promised; the message says where and what, and shows nothing of the data."""


MAX_NESTING: Final = 32
"""How many lists and objects may stand within each other in a body; an answer that lists balances needs four."""

MAX_VALUES: Final = 60_000
"""How many values (of lists and objects, and those themselves) a body may hold: twelve for each of the most balances.

The event loop stands still while a body is read, and a megabyte of brackets takes longer than one of balances.
"""

_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_NO_BRACKETS_OR_QUOTES: Final = bytes(set(range(256)) - set(b'[]{}"\\'))
_LONGEST_INTEGER: Final = 200


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode UTF-8 JSON; integers become `int`, other numbers (and endless integers) `JsonNumber`.

    Raises ShapeError for anything else, `NaN` and `Infinity` included, and for a body beyond `MAX_NESTING` or
    `MAX_VALUES`.
    """
    _refuse_beyond_bounds(body)
    # A third of the time of reading an answer is saved by it. What it refuses the standard library's decoder may take,
    # such as half of a surrogate pair in a field that nobody reads; what both take they take for the same.
    quick = _quick_decoder()
    with suppress(Exception):
        return quick.decode(body)
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


class Outline:
    """Decodes no more of a body than the fields of an attrs class: half the time of decoding is saved by the rest.

    Objects that a field's type says are within it, or in a list of it, are outlines too; every other value is what
    `decode_json` makes of it, unchecked. A field that is not there has the default of the class.
    """

    def __init__(self, shape: type[object]) -> None:
        self.shape = shape

    def read(self, body: bytes) -> Any:  # noqa: ANN401 - a class of its own for each shape
        """Return an object that has the fields of the class, and those alone.

        Raises anything for a body that has no such fields, or that is refused as a whole; `decode_json` may take it all
        the same, and then `of` says the same of it as this would.
        """
        _refuse_beyond_bounds(body)
        if not body.isascii():
            # What is left out is not looked at so closely.
            body.decode("utf-8")
        return self._decoder.decode(body)

    def of(self, decoded: object) -> Any:  # noqa: ANN401 - a class of its own for each shape
        """Return the outline of what `decode_json` returned; raises anything if it has no such fields."""
        import msgspec

        # Names that are left out may be such as msgspec refuses.
        return msgspec.convert(_without_others(decoded, self.shape), self._kind)

    @cached_property
    def _kind(self) -> Any:  # noqa: ANN401 - a type form, such as list[X]
        return _outlined(self.shape)

    @cached_property
    def _decoder(self) -> "msgspec.json.Decoder[Any]":
        return _make_decoder(self._kind)


def _refuse_beyond_bounds(body: bytes) -> None:
    # Brackets and commas within strings count here, so that most bodies need no second look; no body has more values
    # than bytes.
    bounded = len(body) < MAX_VALUES or _most_values(body) <= MAX_VALUES
    if bounded and body.count(b"[") + body.count(b"{") <= MAX_NESTING:
        return
    # Strings without a bracket leave an even number of quotes between brackets. Taking them away in pairs costs a third
    # of what parting the body at each quote does, which is left for when a quote or a backslash remains.
    brackets = body.translate(_AS_SQUARE, delete=_NO_BRACKETS_OR_QUOTES).replace(b'""', b"")
    if not bounded or b'"' in brackets or b"\\" in brackets:
        # What stands between strings: every other piece, once the quotes within strings are gone.
        bare = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
        if _most_values(bare) > MAX_VALUES:
            raise ShapeError(f"the body holds more than {MAX_VALUES} values")
        brackets = bare.translate(_AS_SQUARE, delete=_NO_BRACKETS)
    for _ in range(MAX_NESTING):
        if not brackets:
            return
        # Takes away the innermost of every place, so a level each time.
        brackets = brackets.replace(b"[]", b"")
    # The second is for what is opened and never closed: the decoder would go down all the same.
    if b"[]" in brackets or brackets.count(b"[") > MAX_NESTING:
        raise ShapeError(f"the body is nested too deeply: more than {MAX_NESTING} levels")


def _most_values(text: bytes) -> int:
    # A value follows a comma or the start of a list or an object, but for the outermost.
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def _read_integer(text: str) -> int | JsonNumber:
    # `int` refuses thousands of digits, in an unknown field too; whoever reads the field says what is too long.
    return int(text) if len(text) <= _LONGEST_INTEGER else JsonNumber(text)


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


# Made once, since `json.loads` would make one for every body.
_DECODER: Final = json.JSONDecoder(parse_float=JsonNumber, parse_int=_read_integer, parse_constant=_refuse_constant)


@cache
def _quick_decoder() -> "msgspec.json.Decoder[Any]":
    return _make_decoder(Any)


def _make_decoder(kind: Any) -> "msgspec.json.Decoder[Any]":  # noqa: ANN401 - a type form, such as list[X]
    import msgspec

    return msgspec.json.Decoder(kind, float_hook=JsonNumber)


def _outlined(kind: Any) -> Any:  # noqa: ANN401 - a type form, such as list[X]
    import msgspec

    if get_origin(kind) is list:
        return list[_outlined(get_args(kind)[0])]  # type: ignore[misc]  # no annotation, but a value
    if not attrs.has(kind):
        return Any
    fields = [
        (field.name, _outlined(field.type), *([] if field.default is attrs.NOTHING else [field.default]))
        for field in attrs.fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, fields, gc=False)


def _without_others(value: object, kind: Any) -> object:  # noqa: ANN401 - a type form, such as list[X]
    if get_origin(kind) is list and isinstance(value, list):
        return [_without_others(item, get_args(kind)[0]) for item in cast("list[object]", value)]
    if attrs.has(kind) and isinstance(value, dict):
        members = cast("dict[str, object]", value)
        named = [field for field in attrs.fields(kind) if field.name in members]
        return {field.name: _without_others(members[field.name], field.type) for field in named}
    return value
