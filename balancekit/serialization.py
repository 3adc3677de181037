"""Results as JSON and back, with amounts as strings in plain notation."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, cast

import attrs
import cattrs

from balancekit import errors
from balancekit.amounts import add_exactly, describe, format_amount, parse_amount
from balancekit.balances import AccountBalances, AccountFailure
from balancekit.errors import BalancekitError, ConfigError, ProviderError
from balancekit.merged import MergedBalances

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


@attrs.frozen
class _WrittenFailure:
    account: str
    provider: str
    error: _WrittenError
    last_known: AccountBalances | None


def to_dict(merged: MergedBalances) -> dict[str, Any]:
    """Turn a result into dicts, lists and strings; see `MergedBalances.to_dict`."""
    # `complete` and `as_of` follow from the rest; they are there for whoever reads the JSON without balancekit.
    as_of = merged.as_of
    head = {"complete": merged.complete, "as_of": None if as_of is None else as_of.isoformat()}
    return head | cast("dict[str, Any]", _converter().unstructure(merged))


def to_json(merged: MergedBalances) -> str:
    """Turn a result into JSON text; see `MergedBalances.to_json`."""
    return json.dumps(to_dict(merged), ensure_ascii=False)


def from_dict(data: Mapping[str, Any]) -> MergedBalances:
    """Turn dicts, lists and strings back into a result; see `MergedBalances.from_dict`."""
    try:
        merged = _converter().structure(data, MergedBalances)
    except cattrs.BaseValidationError as error:
        reasons = "; ".join(cattrs.transform_error(error, path="merged"))
        raise ValueError(f"not a merged result: {reasons}") from None
    for total in merged.totals:
        if add_exactly(balance.amount for balance in total.balances) != total.amount:
            raise ValueError(f"not a merged result: the balances of {total.currency} do not add up to its total")
    return merged


def from_json(text: str | bytes) -> MergedBalances:
    """Turn JSON text back into a result; see `MergedBalances.from_json`."""
    return from_dict(json.loads(text))


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    converter.register_unstructure_hook(Decimal, format_amount)
    converter.register_structure_hook(Decimal, lambda value, _: parse_amount(value, max_digits=_MAX_DIGITS))
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_structure_hook(str, _structure_text)
    converter.register_structure_hook(bool, _structure_bool)
    converter.register_unstructure_hook(
        AccountFailure, lambda failure: converter.unstructure(_written(failure), _WrittenFailure)
    )
    converter.register_structure_hook(AccountFailure, lambda data, _: _read(converter.structure(data, _WrittenFailure)))
    return converter


def _structure_text(value: object, _: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"expected a string, got {describe(value)}")


def _structure_bool(value: object, _: object) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError(f"expected a boolean, got {describe(value)}")


def _written(failure: AccountFailure) -> _WrittenFailure:
    error = failure.error
    kind = type(error).__name__
    if isinstance(error, ProviderError):
        facts = (error.status, error.code, error.retryable, error.hint, error.retry_after)
        written = _WrittenError(kind, error.message, *facts)
    else:
        written = _WrittenError(kind, str(error))
    return _WrittenFailure(failure.account, failure.provider, written, failure.last_known)


def _read(failure: _WrittenFailure) -> AccountFailure:
    written = failure.error
    # A class of the writer's own is not known here; its nearest kin keeps the facts.
    kind = getattr(errors, written.type, ProviderError)
    error: BalancekitError
    if isinstance(kind, type) and issubclass(kind, ProviderError):
        error = kind(
            written.message,
            account=failure.account,
            provider=failure.provider,
            status=written.status,
            code=written.code,
            retryable=written.retryable,
            hint=written.hint,
            retry_after=written.retry_after,
        )
    else:
        error = ConfigError(written.message)
    return AccountFailure(failure.account, failure.provider, error, failure.last_known)
