"""Results as JSON and back, with amounts as strings in plain notation."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from balancekit import errors
from balancekit.errors import BalancekitError, IncompleteError, ProviderError
from balancekit.money.amounts import add_exactly, format_amount, parse_amount
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.currencies import AssetType
from balancekit.money.exact_json import ShapeError, describe
from balancekit.money.merge import MergedBalances
from balancekit.money.structuring import Reader, Structurer

if TYPE_CHECKING:
    import cattrs

# A total may have more digits than any amount that a provider may report.
_MAX_DIGITS: Final = 1000


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


def to_dict(merged: MergedBalances) -> dict[str, Any]:
    """Turn a result into dicts, lists and strings; see `MergedBalances.to_dict`."""
    # `complete` and `as_of` follow from the rest; they are there for whoever reads the JSON without balancekit.
    as_of = merged.as_of
    head = {"complete": merged.complete, "as_of": None if as_of is None else as_of.isoformat()}
    return head | cast("dict[str, Any]", _unstructurer().unstructure(merged))


def to_json(merged: MergedBalances) -> str:
    """Turn a result into JSON text; see `MergedBalances.to_json`."""
    return json.dumps(to_dict(merged), ensure_ascii=False)


def snapshot_to_dict(snapshot: AccountBalances) -> dict[str, Any]:
    """Turn one snapshot into dicts, lists and strings ready for JSON."""
    return cast("dict[str, Any]", _unstructurer().unstructure(snapshot))


def snapshot_from_dict(data: object) -> AccountBalances:
    """Turn dicts, lists and strings back into a snapshot; ValueError if they are none."""
    try:
        return _structurer().structure(data, AccountBalances)
    except ShapeError as error:
        raise ValueError(f"not a snapshot: {error}") from None


def from_dict(data: Mapping[str, Any]) -> MergedBalances:
    """Turn dicts, lists and strings back into a result; see `MergedBalances.from_dict`."""
    try:
        merged = _structurer().structure(data, MergedBalances)
    except ShapeError as error:
        raise ValueError(f"not a merged result: {error}") from None
    _audit(merged)
    return merged


def from_json(text: str | bytes) -> MergedBalances:
    """Turn JSON text back into a result; see `MergedBalances.from_json`."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("not a merged result: nested too deeply") from None
    return from_dict(data)


def _audit(merged: MergedBalances) -> None:
    """Refuse totals that do not follow from the accounts; views may lack some, but none may be made up."""
    held = Counter(balance for snapshot in merged.accounts for balance in snapshot.balances)
    for total in merged.totals:
        of_total = Counter(total.balances)
        held.subtract(of_total)
        if add_exactly(balance.amount for balance in total.balances) != total.amount:
            problem = "do not add up to its total"
        elif any(held[balance] < 0 for balance in of_total):
            problem = "are not those of the accounts"
        elif any(
            balance.currency != total.currency or balance.asset_type not in {total.asset_type, AssetType.UNKNOWN}
            for balance in of_total
        ):
            problem = "are of another currency or type"
        else:
            continue
        raise ValueError(f"not a merged result: the balances of {total.currency} {problem}")


@cache
def _unstructurer() -> "cattrs.Converter":
    import cattrs

    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    converter.register_unstructure_hook(Decimal, format_amount)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_unstructure_hook(
        AccountFailure, lambda failure: converter.unstructure(_written(failure), _WrittenFailure)
    )
    return converter


@cache
def _structurer() -> Structurer:
    readers: dict[type, Reader] = {
        str: _read(str, "a string"),
        bool: _read(bool, "a boolean"),
        int: _read(int, "a number"),
        float: _read((int, float), "a number"),
        datetime: datetime.fromisoformat,
        Decimal: partial(parse_amount, max_digits=_MAX_DIGITS),
        AssetType: AssetType,
    }
    failures = Structurer(readers)

    def read_failure(data: object) -> AccountFailure:
        return _failure(failures.structure(data, _WrittenFailure))

    return Structurer({**readers, AccountFailure: read_failure})


def _read(kind: type | tuple[type, ...], name: str) -> Callable[[object], object]:
    def read(value: object) -> object:
        if isinstance(value, kind):
            return value
        raise TypeError(f"expected {name}, got {describe(value)}")

    return read


def _written(failure: AccountFailure) -> _WrittenFailure:
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


def _failure(written: _WrittenFailure) -> AccountFailure:
    error = _error(written.error, written.account, written.provider)
    return AccountFailure(written.account, written.provider, error, written.last_known)


def _error(written: _WrittenError, account: str, provider: str) -> BalancekitError:
    # A class of the writer's own is not known here; its nearest kin keeps the facts.
    kind: object = getattr(errors, written.type, ProviderError)
    if not isinstance(kind, type) or not issubclass(kind, BalancekitError) or issubclass(kind, IncompleteError):
        kind = ProviderError
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
