"""Results as tables and as CSV. Pure; what comes from a provider is never read as markup, and no digit is dropped."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from balancekit.amounts import add_exactly, format_amount
from balancekit.balances import Balance
from balancekit.cli.words import describe_gap, describe_result
from balancekit.merged import CurrencyTotal, MergedBalances
from balancekit.names import currency_of

# Imported where a table is made, since CSV needs none of it.
if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_LOUD: Final = "bold red"
_CHANGED: Final = "bold green"
_NOTHING: Final = "-"

# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA: Final = ("=", "+", "-", "@")


def align(amounts: Iterable[Decimal]) -> list[str]:
    """Write amounts in plain notation with every digit, padded so that their decimal points stand in one column."""
    halves = [format_amount(amount).partition(".") for amount in amounts]
    before = max((len(whole) for whole, _, _ in halves), default=0)
    after = max((len(point + rest) for _, point, rest in halves), default=0)
    return [f"{whole:>{before}}{point + rest:<{after}}" for whole, point, rest in halves]


def render_totals(merged: MergedBalances, *, note: str = "", before: MergedBalances | None = None) -> "Group":
    """Return the totals as a table, one row for each currency, with what the result lacks above it.

    With an earlier result, a column says how much each total has changed since.
    """
    from rich.text import Text

    amounts = align(total.amount for total in merged.totals)
    changes = [] if before is None else [_change(total, before) for total in merged.totals]
    table = _table("Currency", "Type", ("Total", amounts), *([("Change", changes)] if changes else []), "Accounts")
    for index, (total, amount) in enumerate(zip(merged.totals, amounts, strict=True)):
        holders = dict.fromkeys(balance.account for balance in total.balances if balance.amount)
        cells = (total.asset_type, amount, *changes[index : index + 1], ", ".join(holders) or _NOTHING)
        changed = bool(changes and changes[index])
        table.add_row(Text(total.currency, "bold"), *map(Text, cells), style=_CHANGED if changed else "")
    return _framed("Totals of", merged, table, note)


def render_accounts(merged: MergedBalances, *, note: str = "") -> "Group":
    """Return the balances as a table, account by account, those that could not be read included."""
    from rich.text import Text

    balances = [balance for snapshot in merged.accounts for balance in snapshot.balances]
    amounts = align(balance.amount for balance in balances)
    chains = any(balance.chain for balance in balances)
    codes = any(map(_sent_as, balances))
    optional = [name for name, used in (("Sent as", codes), ("Chain", chains)) if used]
    table = _table("Account", "Provider", "Currency", *optional, ("Amount", amounts))
    remaining = iter(amounts)
    for snapshot in merged.accounts:
        # Named in its first row only, so that it is seen where an account begins.
        head = (Text(snapshot.account, "bold"), Text(snapshot.provider))
        for balance in snapshot.balances:
            extra = [cell for cell, used in ((_sent_as(balance), codes), (balance.chain or "", chains)) if used]
            table.add_row(*head, *map(Text, (balance.currency, *extra, next(remaining))))
            head = (Text(), Text())
        if not snapshot.balances:
            table.add_row(*head, Text(_NOTHING))
        table.add_section()
    for failure in merged.failures:
        table.add_row(Text(failure.account, _LOUD), Text(failure.provider), Text("not read", _LOUD))
    return _framed("Balances of", merged, table, note)


def totals_csv(merged: MergedBalances) -> str:
    """Return the totals as CSV: currency, type of asset, amount."""
    rows = ([*_cells(total.currency, total.asset_type), format_amount(total.amount)] for total in merged.totals)
    return _csv(("currency", "asset_type", "amount"), rows)


def accounts_csv(merged: MergedBalances) -> str:
    """Return the balances as CSV, one row for each in each account; `fetched_at` is in UTC."""
    rows = (
        [
            *_cells(snapshot.account, snapshot.provider, balance.currency, balance.asset_type),
            format_amount(balance.amount),
            *_cells(balance.chain or "", balance.code),
            snapshot.fetched_at.isoformat(),
        ]
        for snapshot in merged.accounts
        for balance in snapshot.balances
    )
    return _csv(("account", "provider", "currency", "asset_type", "amount", "chain", "code", "fetched_at"), rows)


def _table(*columns: str | tuple[str, Sequence[str]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        if isinstance(column, str):
            table.add_column(Text(column), overflow="fold")
        else:
            # Never narrower than the longest amount: its digits are neither wrapped nor cut off.
            name, amounts = column
            width = max(map(len, (name, *amounts)))
            table.add_column(Text(name), no_wrap=True, min_width=width, overflow="ignore")
    return table


def _framed(what: str, merged: MergedBalances, table: "Table", note: str) -> "Group":
    from rich.console import Group
    from rich.text import Text

    gap = describe_gap(merged)
    above = (Text(f"{what} {describe_result(merged)}", "bold"), *([Text(gap, _LOUD)] if gap else []))
    return Group(*above, table, *([Text(note, "dim")] if note else []))


def _change(total: CurrencyTotal, before: MergedBalances) -> str:
    was = before.amount(total.currency, total.asset_type)
    change = add_exactly((total.amount, was.copy_negate()))
    return f"{'+' if change > 0 else ''}{format_amount(change)}" if change else ""


def _sent_as(balance: Balance) -> str:
    return "" if currency_of(balance.code) == balance.currency else balance.code


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _cells(*texts: str) -> list[str]:
    return [f"'{text}" if text.startswith(_FORMULA) else text for text in texts]
