"""Results as CSV. Pure; every digit is kept, and no cell can be taken for a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from balancekit.money.amounts import format_amount
from balancekit.money.balances import AccountBalances
from balancekit.money.merge import MergedBalances
from balancekit.money.text import oldest_stale, stale_accounts

_STALE_COLUMN: Final = "stale_as_of"

# A spreadsheet takes a text that begins with one of these for a formula, the full-width ones in some languages. Where a
# list is separated by semicolons, a cell begins after each of them, quoted or not.
_FORMULA_START: Final = re.compile("""(^|;)(?=["' ]*[=+\\-@\uff1d\uff0b\uff0d\uff20])""")


def totals_csv(merged: MergedBalances) -> str:
    """Return the totals as CSV: currency, type of asset, amount.

    If a snapshot is stale, a last column holds, in UTC, when the oldest stale balance of each total was read.
    """
    stale = stale_accounts(merged.accounts)
    rows = (
        [
            *_escape_formulas(total.currency, total.asset_type),
            format_amount(total.amount),
            *([_fetched_at(oldest_stale(total.balances, stale))] if stale else []),
        ]
        for total in merged.totals
    )
    return _write_csv(("currency", "asset_type", "amount", *([_STALE_COLUMN] if stale else [])), rows)


def accounts_csv(merged: MergedBalances) -> str:
    """Return the balances as CSV, one row for each balance of each account; `fetched_at` is in UTC.

    If a snapshot is stale, a last column repeats `fetched_at` for its balances and is empty for the others.
    """
    stale = stale_accounts(merged.accounts)
    rows = (
        [
            *_escape_formulas(snapshot.account, snapshot.provider, balance.currency, balance.asset_type),
            format_amount(balance.amount),
            *_escape_formulas(balance.chain or "", balance.code),
            snapshot.fetched_at.isoformat(),
            *([_fetched_at(stale.get(snapshot.account))] if stale else []),
        ]
        for snapshot in merged.accounts
        for balance in snapshot.balances
    )
    header = ("account", "provider", "currency", "asset_type", "amount", "chain", "code", "fetched_at")
    return _write_csv((*header, *([_STALE_COLUMN] if stale else [])), rows)


def _fetched_at(snapshot: AccountBalances | None) -> str:
    return "" if snapshot is None else snapshot.fetched_at.isoformat()


def _write_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _escape_formulas(*texts: str) -> list[str]:
    return [_FORMULA_START.sub(r"\1'", text) for text in texts]
