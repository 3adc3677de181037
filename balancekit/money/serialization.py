"""Turning dicts, lists and strings back into values, with the path of what does not fit."""

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, get_origin

import attrs

from balancekit.money.amounts import parse_amount
from balancekit.money.balances import AccountBalances
from balancekit.money.currencies import AssetType
from balancekit.money.exact_json import json_type_name
from balancekit.money.layout import one_line

if TYPE_CHECKING:
    import cattrs

_Value = TypeVar("_Value")
_Hook = Callable[[Any, Any], Any]

# A total may have more digits than any amount that a provider may report.
_MAX_DIGITS: Final = 1000

_MAX_REASON: Final = 300
"""How many characters the reason of an error has."""


class StructureError(ValueError):
    """Data is not of a class; `path` is that of the first value that does not fit, and shows nothing of the data."""

    def __init__(self, name: str, path: str, reason: str) -> None:
        # The reason may quote the data, whatever that is.
        super().__init__(name, path, one_line(reason[:_MAX_REASON]))
        self.path = path

    def __str__(self) -> str:
        return "not {}: {}".format(self.args[0], ": ".join(filter(None, self.args[1:])))


def from_dict(data: object, cls: type[_Value], name: str) -> _Value:
    """Turn dicts, lists and strings back into a value of the class.

    Raises StructureError with the path of the first value that does not fit; the message calls the whole by `name`.
    """
    try:
        return _structurer().structure(data, cls)
    except Exception as error:  # noqa: BLE001 - whatever data makes a constructor raise
        path, reason = _first_fault(error)
    raise StructureError(name, path, reason)


@cache
def _structurer() -> "cattrs.Converter":
    import cattrs
    from cattrs.gen import make_dict_structure_fn

    converter = cattrs.Converter()
    readers: dict[type, Callable[[Any], object]] = {
        str: _require(str, "a string"),
        bool: _require(bool, "a boolean"),
        int: partial(_finite, kinds=int),
        float: partial(_finite, kinds=(int, float)),
        datetime: datetime.fromisoformat,
        Decimal: partial(parse_amount, max_digits=_MAX_DIGITS),
        AssetType: AssetType,
    }
    for kind, read in readers.items():
        converter.register_structure_hook(kind, _value_hook(read))

    def object_hook(kind: type[Any]) -> _Hook:
        return _object_hook(make_dict_structure_fn(kind, converter))

    def tuple_hook(kind: Any) -> _Hook:  # noqa: ANN401 - a type form, such as tuple[X, ...]
        return _tuple_hook(converter, get_args(kind)[0])

    converter.register_structure_hook_factory(attrs.has, object_hook)
    converter.register_structure_hook_factory(_is_tuple, tuple_hook)
    structure_snapshot = make_dict_structure_fn(AccountBalances, converter)
    converter.register_structure_hook(
        AccountBalances, _object_hook(lambda data, kind: structure_snapshot(_with_owners(data), kind))
    )
    return converter


def _with_owners(data: Mapping[str, object]) -> Mapping[str, object]:
    """Add an account and its provider to its balances, which need not name them."""
    balances = data.get("balances")
    if not isinstance(balances, list):
        return data
    owner = {name: data[name] for name in ("account", "provider") if name in data}
    named = [
        owner | cast("dict[str, object]", one) if isinstance(one, dict) else one
        for one in cast("list[object]", balances)
    ]
    return {**data, "balances": named}


def _is_tuple(kind: Any) -> bool:  # noqa: ANN401 - a type form, such as tuple[X, ...]
    origin: object = get_origin(kind)
    return origin is tuple


def _require(kind: type | tuple[type, ...], name: str) -> Callable[[object], object]:
    def require(value: object) -> object:
        if isinstance(value, kind):
            return value
        raise TypeError(f"expected {name}, got {json_type_name(value)}")

    return require


def _finite(value: object, kinds: type | tuple[type, ...]) -> object:
    number = cast("float", _require(kinds, "a number")(value))
    # `not ... <=` also refuses NaN; the bound refuses whole numbers that no float can hold.
    if not abs(number) <= sys.float_info.max:
        raise ValueError("not a finite number")
    return number


def _value_hook(read: Callable[[Any], object]) -> _Hook:
    return lambda value, _: read(value)


def _object_hook(structure: _Hook) -> _Hook:
    def hook(value: object, kind: object) -> object:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {json_type_name(value)}")
        return structure(value, kind)

    return hook


class _ItemError(Exception):
    """One item of a list cannot be structured; its cause says why."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def _tuple_hook(converter: "cattrs.Converter", item_kind: type[Any]) -> _Hook:
    structure = converter.get_structure_hook(item_kind)

    # The hook of cattrs takes an object's keys, or a string's letters, for a list: `{"balances": {}}` would be an empty
    # account. It also collects the errors of all items, where the first is enough.
    def hook(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, got {json_type_name(value)}")
        items: list[object] = []
        for index, item in enumerate(cast("list[object]", value)):
            try:
                items.append(structure(item, item_kind))
            except Exception as error:
                raise _ItemError(index) from error
        return tuple(items)

    return hook


def _first_fault(error: BaseException) -> tuple[str, str]:
    """Return the path of the first value that does not fit, and the reason."""
    from cattrs import ClassValidationError

    path = ""
    while True:
        match error:
            case _ItemError(__cause__=BaseException() as cause):
                path += f"[{error.index}]"
                error = cause
            case ClassValidationError():
                named, plain = error.group_exceptions()
                if not named:
                    # Every field fits by itself, but the class rejects their combination.
                    return path.lstrip("."), str(plain[0])
                error, note = named[0]
                path += f".{note.name}"
            case KeyError():
                return path.lstrip("."), "missing"
            case _:
                return path.lstrip("."), str(error)
