"""Results as tables and as CSV. Pure; what comes from a provider is never read as markup, and no digit is dropped."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import attrs

from balancekit.cli.messages import describe_gap, describe_result
from balancekit.money.amounts import add_exactly, format_amount
from balancekit.money.balances import AccountBalances, Balance
from balancekit.money.currencies import currency_of
from balancekit.money.merge import CurrencyTotal, MergedBalances
from balancekit.money.text import describe_age, oldest_stale, stale_accounts

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text


def _currencies(codes: Iterable[str]) -> frozenset[str]:
    return frozenset(map(currency_of, codes))


@attrs.frozen
class View:
    """A choice of currencies (none chosen: all of them), with zeros or without."""

    currencies: frozenset[str] = attrs.field(default=frozenset[str](), converter=_currencies)
    zeros: bool = False

    def of(self, merged: MergedBalances) -> MergedBalances:
        """Return the result with no more than the totals and the balances to be shown; none of them is changed."""
        chosen = [total for total in merged.totals if self._chosen(total.currency)]
        return attrs.evolve(
            merged,
            totals=tuple(total for total in chosen if self.zeros or total.amount),
            accounts=tuple(self._of_account(snapshot) for snapshot in merged.accounts),
        )

    def hidden(self, merged: MergedBalances) -> tuple[int, int]:
        """Return how many of the chosen totals, and of the chosen balances, are hidden because they are zero."""
        everything, shown = attrs.evolve(self, zeros=True).of(merged), self.of(merged)
        return len(everything.totals) - len(shown.totals), _count(everything) - _count(shown)

    def not_held(self, merged: MergedBalances) -> list[str]:
        """Return the currencies that were chosen and that no account holds, not even as zero."""
        return sorted(self.currencies - {total.currency for total in merged.totals})

    def _of_account(self, snapshot: AccountBalances) -> AccountBalances:
        chosen = [balance for balance in snapshot.balances if self._chosen(balance.currency)]
        return attrs.evolve(snapshot, balances=tuple(balance for balance in chosen if self.zeros or balance.amount))

    def _chosen(self, currency: str) -> bool:
        return not self.currencies or currency in self.currencies


def _count(merged: MergedBalances) -> int:
    return sum(len(snapshot.balances) for snapshot in merged.accounts)


_LOUD: Final = "bold red"
_CHANGED: Final = "bold green"
_NOTHING: Final = "-"
_AGE: Final = "Not fresh"
_STALE: Final = "stale_as_of"

# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA: Final = ("=", "+", "-", "@")


def align(amounts: Iterable[Decimal]) -> list[str]:
    """Write amounts in plain notation with every digit, padded so that their decimal points stand in one column."""
    halves = [format_amount(amount).partition(".") for amount in amounts]
    before = max((len(whole) for whole, _, _ in halves), default=0)
    after = max((len(point + rest) for _, point, rest in halves), default=0)
    return [f"{whole:>{before}}{point + rest:<{after}}" for whole, point, rest in halves]


def render_totals(
    merged: MergedBalances, *, note: str = "", before: MergedBalances | None = None, now: datetime | None = None
) -> "Group":
    """Return the totals as a table, one row for each currency, with what the result lacks above it.

    With an earlier result, a column says how much each total has changed since. A total that is not fresh says how old
    it is at the moment `now`, by default this one.
    """
    from rich.text import Text

    moment = datetime.now(UTC) if now is None else now
    stale = stale_accounts(merged)
    amounts = align(total.amount for total in merged.totals)
    changes = [] if before is None else [_change(total, before) for total in merged.totals]
    more = [("Change", changes)] if changes else []
    table = _table("Currency", "Type", ("Total", amounts), *more, *([_AGE] if stale else []), "Accounts")
    for index, (total, amount) in enumerate(zip(merged.totals, amounts, strict=True)):
        holders = dict.fromkeys(balance.account for balance in total.balances if balance.amount)
        cells = map(Text, (total.asset_type, amount, *changes[index : index + 1]))
        ages = [_age(oldest_stale(total.balances, stale), moment)] if stale else []
        accounts = Text(", ".join(holders) or _NOTHING)
        changed = bool(changes and changes[index])
        table.add_row(Text(total.currency, "bold"), *cells, *ages, accounts, style=_CHANGED if changed else "")
    return _framed("Totals of", merged, table, note, moment)


def render_accounts(merged: MergedBalances, *, note: str = "", now: datetime | None = None) -> "Group":
    """Return the balances as a table, account by account, those that could not be read included.

    A balance that is not fresh says how old it is at the moment `now`, by default this one.
    """
    from rich.text import Text

    moment = datetime.now(UTC) if now is None else now
    stale = stale_accounts(merged)
    balances = [balance for snapshot in merged.accounts for balance in snapshot.balances]
    amounts = align(balance.amount for balance in balances)
    chains = any(balance.chain for balance in balances)
    codes = any(map(_sent_as, balances))
    optional = [name for name, used in (("Sent as", codes), ("Chain", chains)) if used]
    table = _table("Account", "Provider", "Currency", *optional, ("Amount", amounts), *([_AGE] if stale else []))
    remaining = iter(amounts)
    for snapshot in merged.accounts:
        # Named in its first row only, so that it is seen where an account begins.
        head = (Text(snapshot.account, "bold"), Text(snapshot.provider))
        ages = [_age(stale.get(snapshot.account), moment)] if stale else []
        for balance in snapshot.balances:
            extra = [cell for cell, used in ((_sent_as(balance), codes), (balance.chain or "", chains)) if used]
            table.add_row(*head, *map(Text, (balance.currency, *extra, next(remaining))), *ages)
            head = (Text(), Text())
        if not snapshot.balances:
            table.add_row(*head, Text(_NOTHING), *[Text()] * (len(optional) + 1), *ages)
        table.add_section()
    for failure in merged.failures:
        if failure.account not in stale:
            table.add_row(Text(failure.account, _LOUD), Text(failure.provider), Text("not read", _LOUD))
    return _framed("Balances of", merged, table, note, moment)


def totals_csv(merged: MergedBalances) -> str:
    """Return the totals as CSV: currency, type of asset, amount.

    If any is not fresh, a last column holds the moment of the oldest balance in it that is not, in UTC.
    """
    stale = stale_accounts(merged)
    rows = (
        [
            *_cells(total.currency, total.asset_type),
            format_amount(total.amount),
            *([_moment(oldest_stale(total.balances, stale))] if stale else []),
        ]
        for total in merged.totals
    )
    return _csv(("currency", "asset_type", "amount", *([_STALE] if stale else [])), rows)


def accounts_csv(merged: MergedBalances) -> str:
    """Return the balances as CSV, one row for each in each account; `fetched_at` is in UTC.

    If any is not fresh, a last column holds the moment of those that are not.
    """
    stale = stale_accounts(merged)
    rows = (
        [
            *_cells(snapshot.account, snapshot.provider, balance.currency, balance.asset_type),
            format_amount(balance.amount),
            *_cells(balance.chain or "", balance.code),
            snapshot.fetched_at.isoformat(),
            *([_moment(stale.get(snapshot.account))] if stale else []),
        ]
        for snapshot in merged.accounts
        for balance in snapshot.balances
    )
    header = ("account", "provider", "currency", "asset_type", "amount", "chain", "code", "fetched_at")
    return _csv((*header, *([_STALE] if stale else [])), rows)


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


def _framed(what: str, merged: MergedBalances, table: "Table", note: str, now: datetime) -> "Group":
    from rich.console import Group
    from rich.text import Text

    gap = describe_gap(merged, now)
    above = (Text(f"{what} {describe_result(merged)}", "bold"), *([Text(gap, _LOUD)] if gap else []))
    return Group(*above, table, *([Text(note, "dim")] if note else []))


def _age(snapshot: AccountBalances | None, now: datetime) -> "Text":
    from rich.text import Text

    return Text() if snapshot is None else Text(describe_age(snapshot, now), _LOUD)


def _moment(snapshot: AccountBalances | None) -> str:
    return "" if snapshot is None else snapshot.fetched_at.isoformat()


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
