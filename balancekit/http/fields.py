"""From what an answer says to checked shapes: the kinds of fields, and how each is read."""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, NewType, TypeVar, cast

from balancekit.money.amounts import check_decimals, check_units, parse_amount
from balancekit.money.currencies import MAX_LABEL_LENGTH, check_code, check_label, normalize_code
from balancekit.money.exact_json import JsonNumber, Outline, ShapeError, decode_json, json_type_name
from balancekit.money.structuring import Structurer

MAX_BALANCES: Final = 5_000
"""How many balances one answer may hold, and entries any other list in it that is read."""

Code = NewType("Code", str)
"""In a wire shape: a currency code, or the name of a chain."""

Reference = NewType("Reference", str)
"""In a wire shape: the provider's own id of something."""

Units = NewType("Units", str)
"""In a wire shape: a whole number of a currency's smallest units."""

Decimals = NewType("Decimals", int)
"""In a wire shape: how many decimals of a currency the smallest unit stands for."""

_Shape = TypeVar("_Shape")
_Result = TypeVar("_Result")


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


def read_answer(body: bytes, outline: Outline, read: Callable[[Any], _Result]) -> _Result:
    """Return what a function reads from the outline of a body.

    Raises ShapeError, with the path of the first datum that does not fit the outline's class, if the body has no such
    outline or if the function raises anything.
    """
    with suppress(Exception):
        return read(outline.read(body))
    decoded = decode_json(body)
    with suppress(Exception):
        return read(outline.of(decoded))
    raise misfit(decoded, outline.shape)


def entries(listed: Any) -> list[Any]:  # noqa: ANN401 - of the outlines of any shape
    """Return a list of no more entries than are let in; ShapeError for a longer one."""
    if len(listed) > MAX_BALANCES:
        raise ShapeError(f"more than {MAX_BALANCES} entries")
    return cast("list[Any]", listed)


# The same few codes come again and again, and are checked and kept once. Bounded, since a provider may send any.
@lru_cache(maxsize=2048)
def read_code(value: object) -> tuple[str, str]:
    """Return a code (or the name of a chain), and the currency that it names; TypeError or ValueError if it is none."""
    code = check_code(read_text(value))
    return code, normalize_code(code)


def read_text(value: object) -> str:
    """Return a string; TypeError for anything else, a number's text included."""
    if isinstance(value, str) and not isinstance(value, JsonNumber):
        return value
    raise TypeError(f"expected a string, got {json_type_name(value)}")


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
