"""Results as JSON and back, with amounts as strings in plain notation."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from balancekit import errors
from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.amounts import format_amount, parse_amount
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.currencies import AssetType
from balancekit.money.exact_json import ShapeError, json_type_name
from balancekit.money.structuring import Reader, Structurer

if TYPE_CHECKING:
    import cattrs

_Value = TypeVar("_Value")

# A total may have more digits than any amount that a provider may report.
_MAX_DIGITS: Final = 1000

# The names that are read as a class of error; any other is read as ProviderError.
_ERRORS: Final[Mapping[str, type[BalancekitError]]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, BalancekitError)
}


@attrs.frozen
class _WrittenError:
    type: str
    message: str
    status: int | None = None
    code: str | None = None
    retryable: bool = False
    hint: str | None = None
    retry_after: float | None = None
    account: str | None = None
    provider: str | None = None


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


def from_dict(data: object, cls: type[_Value], name: str) -> _Value:
    """Turn dicts, lists and strings back into a value of the class.

    Raises ValueError with the path of the first value that does not fit; the message calls the whole by `name`.
    """
    try:
        return _structurer().structure(data, cls)
    except ShapeError as error:
        raise ValueError(f"not {name}: {error}") from None


@cache
def _unstructurer() -> "cattrs.Converter":
    import cattrs

    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    converter.register_unstructure_hook(Decimal, format_amount)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_unstructure_hook(
        AccountFailure, lambda failure: converter.unstructure(_from_failure(failure), _WrittenFailure)
    )
    return converter


@cache
def _structurer() -> Structurer:
    readers: dict[type, Reader] = {
        str: _require(str, "a string"),
        bool: _require(bool, "a boolean"),
        int: _require(int, "a number"),
        float: _require((int, float), "a number"),
        datetime: datetime.fromisoformat,
        Decimal: partial(parse_amount, max_digits=_MAX_DIGITS),
        AssetType: AssetType,
    }
    failures = Structurer(readers)

    def read_failure(data: object) -> AccountFailure:
        return _to_failure(failures.structure(data, _WrittenFailure))

    return Structurer({**readers, AccountFailure: read_failure})


def _require(kind: type | tuple[type, ...], name: str) -> Callable[[object], object]:
    def require(value: object) -> object:
        if isinstance(value, kind):
            return value
        raise TypeError(f"expected {name}, got {json_type_name(value)}")

    return require


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
