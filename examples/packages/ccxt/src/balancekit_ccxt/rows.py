"""The rows of a balance of ccxt: free, used, total and debt of each currency, as they were sent."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from balancekit_ccxt.sans_io import PARTS, Row

_NO_CODES: Final = frozenset({"info", "timestamp", "datetime", "free", "used", "total", "debt"})


def rows_of(balance: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the code and the row of each currency; those of a margin account for each market are one after another."""
    for code, row in balance.items():
        if code in _NO_CODES or not isinstance(row, Mapping):
            continue
        if isinstance(row, Row) and not row.is_used:
            # Of a currency that the exchange has, and the response does not.
            continue
        if any(name in row for name in PARTS) and not any(isinstance(row.get(name), Mapping) for name in PARTS):
            yield code, row
        else:
            yield from rows_of(row)


def check_rows(balance: Mapping[str, Any], made: list[Row]) -> None:
    """Raise ValueError unless all rows that ccxt has made are in the balance, and no page is missing.

    It drops a row without a code, and of two with one code the first.
    """
    kept = {id(row) for _, row in rows_of(balance)}
    for row in made:
        if row.is_used and id(row) not in kept:
            raise ValueError("a balance has no code, or the code of another")
    info = balance.get("info")
    if isinstance(info, Mapping) and info.get("has_next") is True:
        raise ValueError("has_next: there is another page that ccxt has not read")
