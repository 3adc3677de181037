"""Results as flat rows, one for each balance or for each total: for data frames, CSV and reports. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from balancekit.money.balances import AccountBalances, CurrencyTotal

BALANCE_COLUMNS: Final = (
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
    "as_of",
    "stale",
)
TOTAL_COLUMNS: Final = ("currency", "asset_type", "amount", "available", "pending", "as_of", "stale")


def balance_rows(accounts: Iterable[AccountBalances], **more: str | None) -> list[dict[str, Any]]:
    """Return a dict for each balance, with `BALANCE_COLUMNS` and whatever of `more` is not None."""
    last = _present(more)
    return [
        {
            "account": balance.account,
            "provider": balance.provider,
            "currency": balance.currency,
            "asset_type": balance.asset_type.value,
            "amount": balance.amount,
            "available": balance.available,
            "pending": balance.pending,
            "code": balance.code,
            "chain": balance.chain,
            "reference": balance.reference,
            "as_of": snapshot.as_of,
            "stale": snapshot.stale,
            **last,
        }
        for snapshot in accounts
        for balance in snapshot.balances
    ]


def total_rows(totals: Iterable[CurrencyTotal], **more: str | None) -> list[dict[str, Any]]:
    """Return a dict for each total, with `TOTAL_COLUMNS` and whatever of `more` is not None."""
    last = _present(more)
    return [
        {
            "currency": total.currency,
            "asset_type": total.asset_type.value,
            "amount": total.amount,
            "available": total.available,
            "pending": total.pending,
            "as_of": total.as_of,
            "stale": total.stale,
            **last,
        }
        for total in totals
    ]


def _present(more: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in more.items() if value is not None}
