"""From bytes of JSON to checked shapes: no float ever exists, and what does not fit is named by its path."""

import json
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, NewType, NoReturn, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from balancekit.amounts import check_decimals, check_units, describe, parse_amount
from balancekit.assets import check_code

Code = NewType("Code", str)
"""In a wire shape: a currency code, or the name of a chain."""

Units = NewType("Units", str)
"""In a wire shape: a whole number of a currency's smallest units."""

Decimals = NewType("Decimals", int)
"""In a wire shape: how many decimals of a currency the smallest unit stands for."""

_Shape = TypeVar("_Shape")
_Hook = Callable[[Any, Any], Any]


class NumberText(str):
    """A JSON number with a fraction or an exponent: the digits as they were sent, never a float."""

    __slots__ = ()


class ShapeError(ValueError):
    """A body is not what was promised; the message says where and what, and shows nothing of the body."""


class _ItemError(Exception):
    """One item of a list does not fit, for the reason that is its cause."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


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
    try:
        return _converter(detailed=False).structure(data, shape)
    except Exception:  # noqa: BLE001, S110 - whatever it is, the second reading says where
        pass
    # Keeping track of names costs most of the time of a reading, and only a body that does not fit needs it.
    try:
        return _converter(detailed=True).structure(data, shape)
    except Exception as error:  # noqa: BLE001 - named by its path below
        path, reason = _first_misfit(error)
    raise ShapeError(f"{path}: {reason}" if path else reason)


@cache
def _converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)

    def list_hook(kind: Any) -> _Hook:  # noqa: ANN401 - a type form, such as list[X]
        return _list_hook(converter, kind)

    def object_hook(kind: type[Any]) -> _Hook:
        return _object_hook(make_dict_structure_fn(kind, converter))

    converter.register_structure_hook(str, lambda value, _: _text(value))
    converter.register_structure_hook(Decimal, lambda value, _: parse_amount(value))
    converter.register_structure_hook(Code, lambda value, _: Code(check_code(_text(value))))
    converter.register_structure_hook(Units, lambda value, _: Units(check_units(value)))
    converter.register_structure_hook(Decimals, lambda value, _: Decimals(check_decimals(value)))
    converter.register_structure_hook_factory(_is_list, list_hook)
    converter.register_structure_hook_factory(attrs.has, object_hook)
    return converter


def _is_list(kind: Any) -> bool:  # noqa: ANN401 - a type form, such as list[X]
    origin: object = get_origin(kind)
    return origin is list


def _text(value: object) -> str:
    if isinstance(value, str) and not isinstance(value, NumberText):
        return value
    raise TypeError(f"expected a string, got {_describe(value)}")


def _object_hook(read: _Hook) -> _Hook:
    def hook(value: object, kind: object) -> object:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {_describe(value)}")
        return read(value, kind)

    return hook


def _list_hook(converter: cattrs.Converter, kind: Any) -> _Hook:  # noqa: ANN401 - a type form, such as list[X]
    (item_kind,) = get_args(kind)
    read = converter.get_structure_hook(item_kind)

    # cattrs' own would read an object's keys, or a string's letters, as a list, so that `{"data": {}}` would be an
    # account that holds nothing; and it would collect the misfits of a million items where the first is enough.
    def hook(value: object, _: object) -> list[object]:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, got {_describe(value)}")
        items: list[object] = []
        for index, item in enumerate(cast("list[object]", value)):
            try:
                items.append(read(item, item_kind))
            except Exception as error:
                raise _ItemError(index) from error
        return items

    return hook


def _first_misfit(error: BaseException) -> tuple[str, str]:
    path = ""
    while True:
        match error:
            case _ItemError(__cause__=BaseException() as cause):
                path += f"[{error.index}]"
                error = cause
            case cattrs.ClassValidationError():
                error, note = error.group_exceptions()[0][0]
                path += f".{note.name}"
            case KeyError():
                return path.lstrip("."), "missing"
            case _:
                return path.lstrip("."), str(error)


def _describe(value: object) -> str:
    return "a number" if isinstance(value, NumberText) else describe(value)


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError
