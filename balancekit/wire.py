"""From the bytes of an answer to checked shapes: no float ever exists."""

import json
from contextlib import suppress
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NewType, NoReturn, TypeVar

from balancekit.amounts import check_decimals, check_units, parse_amount
from balancekit.json_values import NumberText, describe
from balancekit.names import MAX_LABEL_LENGTH, check_code, check_label, currency_of
from balancekit.structuring import ShapeError, Structurer

if TYPE_CHECKING:
    import msgspec

MAX_NESTING: Final = 32
"""How many lists and objects may stand within each other in a body; an answer that lists balances needs four."""

MAX_VALUES: Final = 60_000
"""How many values (of lists and objects, and those themselves) a body may hold: twelve for each of the most balances.

The event loop stands still while a body is read, and a megabyte of brackets takes longer than one of balances.
"""

MAX_BALANCES: Final = 5_000
"""How many balances one answer may hold, and entries any other list in it that is read."""

_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_NO_BRACKETS_OR_QUOTES: Final = bytes(set(range(256)) - set(b'[]{}"\\'))

Code = NewType("Code", str)
"""In a wire shape: a currency code, or the name of a chain."""

Reference = NewType("Reference", str)
"""In a wire shape: the provider's own id of something."""

Units = NewType("Units", str)
"""In a wire shape: a whole number of a currency's smallest units."""

Decimals = NewType("Decimals", int)
"""In a wire shape: how many decimals of a currency the smallest unit stands for."""

_LONGEST_INTEGER: Final = 200
_Shape = TypeVar("_Shape")


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode UTF-8 JSON; integers become `int`, other numbers (and endless integers) `NumberText`.

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


def structure(data: object, shape: type[_Shape]) -> _Shape:
    """Check decoded JSON against an attrs class and return an instance of it; unknown fields are ignored.

    Raises ShapeError with the path of the first datum that does not fit, for example `data[3].balance: missing`.
    """
    return _structurer().structure(data, shape)


def misfit(data: object, shape: type[object]) -> ShapeError:
    """Return the error that says where decoded JSON does not fit an attrs class, once reading it has failed.

    Checking every line in a way that could name it takes five times as long as reading it, which only data that does
    not fit is worth.
    """
    try:
        structure(data, shape)
    except ShapeError as error:
        return error
    return ShapeError("expected something else")


def lines_in(answer: Any) -> list[Any]:  # noqa: ANN401 - JSON is any of its types
    """Return the entries of the list `data`; raises anything if there is no such list, or if it is too long."""
    lines: list[Any] = answer["data"]
    if describe(lines) != "a list" or len(lines) > MAX_BALANCES:
        raise ShapeError("data")
    return lines


# The same few codes come again and again, and are checked and kept once. Bounded, since a provider may send any.
@lru_cache(maxsize=2048)
def read_code(value: object) -> tuple[str, str]:
    """Return a code (or the name of a chain), and the currency that it names; TypeError or ValueError if it is none."""
    code = check_code(read_text(value))
    return code, currency_of(code)


def read_text(value: object) -> str:
    """Return a string; TypeError for anything else, a number's text included."""
    if isinstance(value, str) and not isinstance(value, NumberText):
        return value
    raise TypeError(f"expected a string, got {describe(value)}")


def read_reference(value: object) -> str:
    """Return a provider's own id; TypeError or ValueError if it is none."""
    # What nearly all ids are, in one look.
    if type(value) is str and 0 < len(value) <= MAX_LABEL_LENGTH and value.isprintable() and " " not in value:
        return value
    return check_label(value if type(value) is str else read_text(value))


@cache
def _structurer() -> Structurer:
    return Structurer(
        {
            str: read_text,
            Decimal: parse_amount,
            Code: lambda value: read_code(read_text(value))[0],
            Reference: read_reference,
            Units: check_units,
            Decimals: check_decimals,
        },
        most_items=MAX_BALANCES,
    )


def _read_integer(text: str) -> int | NumberText:
    # `int` refuses thousands of digits, in an unknown field too; whoever reads the field says what is too long.
    return int(text) if len(text) <= _LONGEST_INTEGER else NumberText(text)


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


# Made once, since `json.loads` would make one for every body.
_DECODER: Final = json.JSONDecoder(parse_float=NumberText, parse_int=_read_integer, parse_constant=_refuse_constant)


@cache
def _quick_decoder() -> "msgspec.json.Decoder[Any]":
    import msgspec

    return msgspec.json.Decoder(float_hook=NumberText)
