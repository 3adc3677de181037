"""Results as CSV. Pure; every digit is kept, and no cell can be taken for a formula."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from balancekit.errors import ConfigError
from balancekit.money.amounts import format_amount
from balancekit.money.balances import AccountBalances, CurrencyTotal
from balancekit.money.rows import BALANCE_COLUMNS, TOTAL_COLUMNS, balance_rows, total_rows

_SEPARATORS: Final = (",", ";", "\t", "|")
_BYTE_ORDER_MARK: Final = "\ufeff"

# A spreadsheet takes a text that begins with one of these for a formula, the full-width ones in some languages. It may
# take another separator than the file has, and then a cell begins after each of those, quoted or not.
_FORMULA_START: Final = re.compile("""(^|[,;\t|])(?=["' ]*[=+\\-@\uff1d\uff0b\uff0d\uff20])""")


def to_csv(
    totals: Iterable[CurrencyTotal],
    accounts: Iterable[AccountBalances],
    *,
    by: str,
    scope: str | None,
    notice: str | None,
    separator: str,
    bom: bool,
    decimal: str,
) -> str:
    """Write the balances or the totals as CSV; see `MergedBalances.to_csv`."""
    columns: tuple[str, ...]
    if by == "balance":
        more = {"notice": notice}
        columns, rows = BALANCE_COLUMNS, balance_rows(accounts, **more)
    elif by == "total":
        # A row of a balance has its account; a total does not say which accounts it is of.
        more = {"scope": scope, "notice": notice}
        columns, rows = TOTAL_COLUMNS, total_rows(totals, **more)
    else:
        raise ConfigError(f"by: expected 'balance' or 'total', got {by!r}")
    columns = (*columns, *(name for name, value in more.items() if value is not None))
    if notice is not None and not rows:
        # An incomplete result must not look like one that holds nothing.
        rows = [dict.fromkeys(columns) | more]
    return write_csv(rows, columns, separator=separator, bom=bom, decimal=decimal)


def write_csv(
    rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, separator: str, bom: bool, decimal: str
) -> str:
    """Return rows as CSV text; raises ConfigError for a separator or a decimal mark that cannot be read back."""
    if separator not in _SEPARATORS:
        raise ConfigError(f"separator: expected one of {' '.join(map(repr, _SEPARATORS))}, got {separator!r}")
    if decimal not in {".", ","} or decimal == separator:
        raise ConfigError(f"decimal: expected a point, or a comma with another separator, got {decimal!r}")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column], decimal) for column in columns] for row in rows)
    return f"{_BYTE_ORDER_MARK if bom else ''}{text.getvalue()}"


def _cell(value: object, decimal: str) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format_amount(value).replace(".", decimal)
        case datetime():
            return value.isoformat()
        case str():
            return _FORMULA_START.sub(r"\1'", value)
        case _:
            # A float, for example, which has lost digits already.
            raise TypeError(f"a cell of CSV must be text, a Decimal, a moment or a boolean, not {type(value).__name__}")
