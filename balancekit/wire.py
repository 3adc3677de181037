"""From the bytes of an answer to checked shapes: no float ever exists."""

import json
from decimal import Decimal
from functools import cache
from typing import Any, NewType, NoReturn, TypeVar

from balancekit.amounts import NumberText, check_decimals, check_units, describe, parse_amount
from balancekit.names import check_code, check_label
from balancekit.structuring import ShapeError, Structurer

Code = NewType("Code", str)
"""In a wire shape: a currency code, or the name of a chain."""

Reference = NewType("Reference", str)
"""In a wire shape: the provider's own id of something."""

Units = NewType("Units", str)
"""In a wire shape: a whole number of a currency's smallest units."""

Decimals = NewType("Decimals", int)
"""In a wire shape: how many decimals of a currency the smallest unit stands for."""

_Shape = TypeVar("_Shape")


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode UTF-8 JSON; integers become `int`, other numbers `NumberText`.

    Raises ShapeError for anything else, `NaN` and `Infinity` included.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_float=NumberText, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        reason = "not UTF-8"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:
        reason = "not JSON" if body.strip() else "empty"
    # Raised out here, since the decoder's errors keep the whole body.
    raise ShapeError(f"the body is {reason}")


def structure(data: object, shape: type[_Shape]) -> _Shape:
    """Check decoded JSON against an attrs class and return an instance of it; unknown fields are ignored.

    Raises ShapeError with the path of the first datum that does not fit, for example `data[3].balance: missing`.
    """
    return _structurer().structure(data, shape)


@cache
def _structurer() -> Structurer:
    return Structurer(
        {
            str: _read_text,
            Decimal: parse_amount,
            Code: _read_code,
            Reference: _read_reference,
            Units: check_units,
            Decimals: check_decimals,
        }
    )


def _read_text(value: object) -> str:
    if isinstance(value, str) and not isinstance(value, NumberText):
        return value
    raise TypeError(f"expected a string, got {describe(value)}")


def _read_code(value: object) -> str:
    return check_code(_read_text(value))


def _read_reference(value: object) -> str:
    return check_label(_read_text(value))


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError
