"""The format of results as JSON: every balance once, with its account; amounts as strings in plain notation.

Everything is a plain dict, list, string, number, bool or None, for any encoder. What a provider does not report is left
out. balancekit/schemas/balances.schema.json describes the format.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import attrs

from balancekit import errors
from balancekit.errors import BalancekitError, ConfigError, ProviderError
from balancekit.money.amounts import format_amount
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal
from balancekit.money.currencies import check_label
from balancekit.money.layout import ISOLATES, one_line
from balancekit.money.notice import describe_notice
from balancekit.money.serialization import StructureError, from_dict
from balancekit.money.totals import WrittenTotal, check_distinct, restore_totals

FORMAT: Final = "balancekit.balances"
VERSION: Final = 1

_Result = TypeVar("_Result")


def write_result(
    totals: Iterable[CurrencyTotal],
    accounts: tuple[AccountBalances, ...],
    failures: tuple[AccountFailure, ...],
    chosen_accounts: tuple[str, ...] | None,
    chosen_currencies: tuple[str, ...] | None,
) -> dict[str, Any]:
    """Return a result in the format; a view has the accounts and currencies that were chosen, the whole has None."""
    notice = describe_notice(accounts, failures)
    shown = {snapshot.account: snapshot for snapshot in accounts}
    return {
        "format": FORMAT,
        "version": VERSION,
        "complete": notice is None,
        "notice": notice,
        "chosen_accounts": None if chosen_accounts is None else [*chosen_accounts],
        "chosen_currencies": None if chosen_currencies is None else [*chosen_currencies],
        "as_of": _write_moment(min((snapshot.as_of for snapshot in accounts), default=None)),
        "totals": [_write_total(total) for total in totals],
        "accounts": [write_snapshot(snapshot) for snapshot in accounts],
        "failures": [_write_failure(failure, shown.get(failure.account)) for failure in failures],
    }


def parse(text: str | bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Parse JSON in which no key is given twice; ValueError for anything else."""
    try:
        return json.loads(text, object_pairs_hook=_to_object)
    except RecursionError:
        raise ValueError("not a merged result: nested too deeply") from None


def _to_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("not a merged result: a key is given twice")
    return made


def read_result(data: object, make: Callable[..., _Result]) -> _Result:
    """Make a result of its fields, in the format or in the one that had no version yet.

    Raises ValueError for anything else, for a later version, and if the totals are not those of the accounts.
    """
    _check_version(data)
    written = from_dict(data, _WrittenResult, "a merged result")
    _check_is_whole(data)
    shown = {snapshot.account: snapshot for snapshot in written.accounts}
    failures = tuple(_to_failure(failure, shown) for failure in written.failures)
    notice = describe_notice(written.accounts, failures)
    if written.complete not in {None, notice is None}:
        raise StructureError("a merged result", "complete", "its accounts and failures say something else")
    try:
        check_distinct(written.accounts, failures)
        totals = restore_totals(written.totals, written.accounts, notice)
        return make(totals, written.accounts, failures, written.chosen_accounts, written.chosen_currencies)
    except (ConfigError, ValueError) as error:
        reason = str(error)
    raise StructureError("a merged result", "", reason)


def write_snapshot(snapshot: AccountBalances) -> dict[str, Any]:
    """Return the snapshot of one account."""
    written = {
        "account": snapshot.account,
        "provider": snapshot.provider,
        "fetched_at": snapshot.fetched_at.isoformat(),
        "reported_at": _write_moment(snapshot.reported_at),
        "stale": snapshot.stale,
        "balances": [_write_balance(balance) for balance in snapshot.balances],
    }
    if snapshot.reported_at is None:
        del written["reported_at"]
    return written


def _write_balance(balance: Balance) -> dict[str, str]:
    written = {
        "currency": balance.currency,
        "asset_type": str(balance.asset_type),
        "amount": format_amount(balance.amount),
        "code": balance.code,
    }
    if balance.chain is not None:
        written["chain"] = balance.chain
    if balance.reference is not None:
        written["reference"] = balance.reference
    return written | _write_parts(balance)


def _write_parts(value: Balance | CurrencyTotal) -> dict[str, str]:
    parts = {"available": value.available, "pending": value.pending}
    return {name: format_amount(part) for name, part in parts.items() if part is not None}


def _write_total(total: CurrencyTotal) -> dict[str, Any]:
    return {
        "currency": total.currency,
        "asset_type": str(total.asset_type),
        "amount": format_amount(total.amount),
        **_write_parts(total),
        "as_of": _write_moment(total.as_of),
        "stale": total.stale,
    }


def _write_failure(failure: AccountFailure, shown: AccountBalances | None) -> dict[str, Any]:
    last = failure.last_known
    is_shown = last is not None and last == shown
    return {
        "account": failure.account,
        "provider": failure.provider,
        "error": _write_error(failure.error),
        "last_known": None if last is None or is_shown else write_snapshot(last),
        "last_known_in_accounts": is_shown,
    }


def _write_error(error: BalancekitError) -> dict[str, Any]:
    kind = type(error).__name__
    if not isinstance(error, ProviderError):
        return {"type": kind, "message": str(error)}
    seconds = error.retry_after
    return {
        "type": kind,
        "message": str(error.message),
        "status": None if error.status is None else int(error.status),
        "code": None if error.code is None else str(error.code),
        "retryable": bool(error.retryable),
        "hint": None if error.hint is None else str(error.hint),
        "retry_after": float(seconds) if seconds is not None and math.isfinite(seconds) else None,
        "account": str(error.account),
        "provider": str(error.provider),
    }


def _write_moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _label(value: str | None) -> str | None:
    return check_label(value) if value else None


def _line(value: str) -> str:
    # Names in it may be isolated. What can be shown stays as it is, so that what was written is read again.
    return value if value.isprintable() else one_line(value, kept=ISOLATES)


@attrs.frozen
class _WrittenError:
    type: str
    message: str = attrs.field(converter=_line)
    status: int | None = None
    code: str | None = attrs.field(default=None, converter=attrs.converters.optional(_line))
    retryable: bool = False
    hint: str | None = attrs.field(default=None, converter=attrs.converters.optional(_line))
    retry_after: float | None = None
    account: str | None = attrs.field(default=None, converter=_label)
    provider: str | None = attrs.field(default=None, converter=_label)


@attrs.frozen
class _WrittenFailure:
    account: str
    provider: str
    error: _WrittenError
    last_known: AccountBalances | None = None
    last_known_in_accounts: bool = False


@attrs.frozen
class _WrittenResult:
    totals: tuple[WrittenTotal, ...]
    accounts: tuple[AccountBalances, ...]
    failures: tuple[_WrittenFailure, ...] = ()
    chosen_accounts: tuple[str, ...] | None = None
    chosen_currencies: tuple[str, ...] | None = None
    complete: bool | None = None


def _check_version(data: object) -> None:
    fields = cast("dict[str, object]", data) if isinstance(data, dict) else {}
    if "format" not in fields and "version" not in fields:
        return
    if fields.get("format") != FORMAT:
        raise StructureError("a merged result", "format", f"expected {FORMAT!r}")
    version = fields.get("version")
    if type(version) is not int or version < 1:
        raise StructureError("a merged result", "version", "expected a whole number from 1 on")
    if version > VERSION:
        raise StructureError(
            "a merged result", "version", f"{version} is later than {VERSION}: read it with a later release"
        )


def _check_is_whole(data: object) -> None:
    """Raise StructureError if a result with a version lacks what would say that something is missing in it."""
    fields = cast("dict[str, object]", data)
    for name in ("complete", "failures", "chosen_accounts", "chosen_currencies"):
        if "version" in fields and name not in fields:
            raise StructureError("a merged result", name, "it is missing")


def _to_failure(written: _WrittenFailure, shown: Mapping[str, AccountBalances]) -> AccountFailure:
    last = written.last_known
    if written.last_known_in_accounts:
        last = shown.get(written.account)
        if last is None:
            raise StructureError("a merged result", "accounts", f"the last snapshot of {written.account!r} is missing")
    if last is not None and last.account != written.account:
        problem = f"the last snapshot of {written.account!r} is that of {last.account!r}"
        raise StructureError("a merged result", "failures", problem)
    error = _to_error(written.error, written.account, written.provider)
    return AccountFailure(written.account, written.provider, error, last)


def _to_error(written: _WrittenError, account: str, provider: str) -> BalancekitError:
    # The writer may have a class of its own, which is not known here.
    kind = errors.BY_NAME.get(written.type, ProviderError)
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
