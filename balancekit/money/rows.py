"""Results as flat rows, one for each balance or for each total: for data frames, CSV and reports. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from balancekit.money.balances import AccountBalances, Balance, CurrencyTotal

_FIELDS: Final = (
    "account",
    "provider",
    "currency",
    "asset_type",
    "amount",
    "available",
    "pending",
    "code",
    "chain",
    "reference",
)
BALANCE_COLUMNS: Final = (*_FIELDS, "as_of", "stale")
TOTAL_COLUMNS: Final = ("currency", "asset_type", "amount", "available", "pending", "as_of", "stale")


def balance_rows(accounts: Iterable[AccountBalances], **more: str | None) -> list[dict[str, Any]]:
    """Return a dict for each balance, with `BALANCE_COLUMNS` and whatever of `more` is not None."""
    last = _present(more)
    return [
        _row(balance, _FIELDS) | {"as_of": snapshot.as_of, "stale": snapshot.stale} | last
        for snapshot in accounts
        for balance in snapshot.balances
    ]


def total_rows(totals: Iterable[CurrencyTotal], **more: str | None) -> list[dict[str, Any]]:
    """Return a dict for each total, with `TOTAL_COLUMNS` and whatever of `more` is not None."""
    last = _present(more)
    return [_row(total, TOTAL_COLUMNS) | last for total in totals]


def _row(held: Balance | CurrencyTotal, fields: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(held, name) for name in fields} | {"asset_type": held.asset_type.value}


def _present(more: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in more.items() if value is not None}
