"""Results as JSON and back, with amounts as strings in plain notation."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, get_origin

import attrs

from balancekit import errors
from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.amounts import format_amount, parse_amount
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal
from balancekit.money.currencies import AssetType, check_label
from balancekit.money.exact_json import json_type_name

if TYPE_CHECKING:
    import cattrs

_Value = TypeVar("_Value")
_Hook = Callable[[Any, Any], Any]

# A total may have more digits than any amount that a provider may report.
_MAX_DIGITS: Final = 1000

# The names that are read as a class of error; any other is read as ProviderError.
_ERRORS: Final[Mapping[str, type[BalancekitError]]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, BalancekitError)
}


def _label(value: str | None) -> str | None:
    return check_label(value) if value else None


@attrs.frozen
class _WrittenError:
    type: str
    message: str
    status: int | None = None
    code: str | None = None
    retryable: bool = False
    hint: str | None = None
    retry_after: float | None = None
    account: str | None = attrs.field(default=None, converter=_label)
    provider: str | None = attrs.field(default=None, converter=_label)


@attrs.frozen
class _WrittenFailure:
    account: str
    provider: str
    error: _WrittenError
    last_known: AccountBalances | None = None


def to_dict(value: attrs.AttrsInstance, **derived: object) -> dict[str, Any]:
    """Turn a value of an attrs class into dicts, lists and strings ready for JSON; `derived` come before its fields."""
    unstructure = _unstructurer().unstructure
    return cast("dict[str, Any]", unstructure(derived) | unstructure(value))


class StructureError(ValueError):
    """Data is not of a class; `path` is that of the first value that does not fit, and shows nothing of the data."""

    def __init__(self, name: str, path: str, reason: str) -> None:
        super().__init__(name, path, reason)
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
def _unstructurer() -> "cattrs.Converter":
    import cattrs
    from cattrs.gen import make_dict_unstructure_fn, override

    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    converter.register_unstructure_hook(Decimal, format_amount)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    # What few providers report takes no place where it is not reported. A snapshot is written by the hook of balances.
    absent = override(omit_if_default=True)
    converter.register_unstructure_hook(
        Balance, make_dict_unstructure_fn(Balance, converter, available=absent, pending=absent)
    )
    converter.register_unstructure_hook(
        AccountBalances, make_dict_unstructure_fn(AccountBalances, converter, reported_at=absent)
    )
    converter.register_unstructure_hook(
        CurrencyTotal, make_dict_unstructure_fn(CurrencyTotal, converter, _snapshots=override(omit=True))
    )
    converter.register_unstructure_hook(
        AccountFailure, lambda failure: converter.unstructure(_from_failure(failure), _WrittenFailure)
    )
    return converter


@cache
def _structurer() -> "cattrs.Converter":
    import cattrs
    from cattrs.gen import make_dict_structure_fn

    converter = cattrs.Converter()
    readers: dict[type, Callable[[Any], object]] = {
        str: _require(str, "a string"),
        bool: _require(bool, "a boolean"),
        int: _require(int, "a number"),
        float: _finite,
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
    converter.register_structure_hook(
        AccountFailure, lambda data, _: _to_failure(converter.structure(data, _WrittenFailure))
    )
    return converter


def _is_tuple(kind: Any) -> bool:  # noqa: ANN401 - a type form, such as tuple[X, ...]
    origin: object = get_origin(kind)
    return origin is tuple


def _require(kind: type | tuple[type, ...], name: str) -> Callable[[object], object]:
    def require(value: object) -> object:
        if isinstance(value, kind):
            return value
        raise TypeError(f"expected {name}, got {json_type_name(value)}")

    return require


def _finite(value: object) -> object:
    number = _require((int, float), "a number")(value)
    if isinstance(number, float) and not math.isfinite(number):
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


def _from_failure(failure: AccountFailure) -> _WrittenFailure:
    error = failure.error
    kind = type(error).__name__
    if isinstance(error, ProviderError):
        written = _WrittenError(
            kind,
            error.message,
            error.status,
            error.code,
            error.retryable,
            error.hint,
            error.retry_after,
            error.account,
            error.provider,
        )
    else:
        written = _WrittenError(kind, str(error))
    return _WrittenFailure(failure.account, failure.provider, written, failure.last_known)


def _to_failure(written: _WrittenFailure) -> AccountFailure:
    error = _to_error(written.error, written.account, written.provider)
    return AccountFailure(written.account, written.provider, error, written.last_known)


def _to_error(written: _WrittenError, account: str, provider: str) -> BalancekitError:
    # The writer may have a class of its own, which is not known here.
    kind = _ERRORS.get(written.type, ProviderError)
    if not issubclass(kind, ProviderError):
        return kind(written.message)
    return kind(
        written.message,
        account=written.account or account,
        provider=written.provider or provider,
        status=written.status,
        code=written.code,
        retryable=written.retryable,
        hint=written.hint,
        retry_after=written.retry_after,
    )
