"""Results as tables. Pure; a provider's text is never read as markup, and no digit is dropped."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from balancekit.cli.messages import describe_coverage, describe_incompleteness, name_or_count
from balancekit.cli.output import ERROR_STYLE
from balancekit.cli.table_layout import Table
from balancekit.money.amounts import ZERO, add_exactly
from balancekit.money.balances import AccountBalances, Balance, CurrencyTotal, is_zero
from balancekit.money.currencies import AssetType, normalize_code
from balancekit.money.layout import align_decimal_points
from balancekit.money.merged import MergedBalances
from balancekit.money.text import describe_age, oldest_stale, stale_accounts

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

_CHANGED_STYLE: Final = "bold green"
_EMPTY: Final = "-"
_AGE_COLUMN: Final = "Stale"
# Columns whose cells are never wrapped.
_WHOLE: Final = frozenset({"Total", "Amount", "Available", "Pending", "Change", _AGE_COLUMN})


def changed_totals(before: MergedBalances, after: MergedBalances) -> list[tuple[CurrencyTotal, Decimal]]:
    """Return the totals that changed, as they are in the later result, each with its difference.

    The accounts that could not be read are in the totals, and in no difference. What was held is counted as the later
    result counts it: a balance of unknown type is not lost when it joins another total than before. A currency that is
    not held any more has a total of zero.
    """
    compared = {*after.changes_since(before).compared}
    totals: defaultdict[str, dict[AssetType, CurrencyTotal]] = defaultdict(dict)
    amounts: defaultdict[tuple[str, AssetType], list[Decimal]] = defaultdict(list)
    for total in after:
        totals[total.currency][total.asset_type] = total
        name = total.currency, total.asset_type
        amounts[name] += [each.amount for each in total.balances if each.account in compared]
    for total in before:
        types = totals[total.currency].keys()
        known = tuple(types - {AssetType.UNKNOWN})
        for each in total.balances:
            asset_type = total.asset_type
            if each.asset_type is AssetType.UNKNOWN and types:
                asset_type = known[0] if len(known) == 1 else AssetType.UNKNOWN
            if each.account in compared:
                amounts[total.currency, asset_type].append(each.amount.copy_negate())
    differences = {name: add_exactly(amounts[name]) for name in sorted(amounts)}
    return [
        (totals[code].get(asset_type) or CurrencyTotal(code, asset_type, ZERO, ()), difference)
        for (code, asset_type), difference in differences.items()
        if difference
    ]


def render_totals(
    merged: MergedBalances,
    *,
    note: str = "",
    changes: Iterable[tuple[CurrencyTotal, Decimal]] = (),
    now: datetime | None = None,
) -> "Group":
    """Return the totals as a table, one row for each currency; an incomplete result has its notice above it.

    With `changes` a column holds the change of each total. They are the `changed_totals` of the whole result: a view
    does not show enough to compare it. A total that is not there any more, or is hidden as zero, has a row as well.

    If a snapshot is stale, a column holds the age of each total that it is in, as of `now` (by default the present).
    """
    from rich.text import Text

    moment = datetime.now(UTC) if now is None else now
    stale = stale_accounts(merged.accounts)
    chosen = merged.chosen_currencies
    changed = {
        (total.currency, total.asset_type): (total, difference)
        for total, difference in changes
        if chosen is None or total.currency in chosen
    }
    shown = {(total.currency, total.asset_type) for total in merged}
    hidden = [total for name, (total, _) in changed.items() if name not in shown]
    totals = sorted((*merged, *hidden), key=lambda total: total.currency) if hidden else merged.totals
    amounts = _amount_columns("Total", totals)
    found = (changed.get((total.currency, total.asset_type)) for total in totals)
    signed = ["" if change is None else f"{change[1]:+f}" for change in found]
    more = [("Change", signed)] if any(signed) else []
    numbers = [name for name, _ in (*amounts, *more)]
    age_column = [_AGE_COLUMN] if stale else []
    trailing = len(more) + len(age_column) + 1
    table = Table("Currency", "Type", *numbers, *age_column, "Accounts", whole=_WHOLE, trailing=trailing)
    for index, (total, held) in enumerate(zip(totals, _lines(amounts), strict=True)):
        cells = map(Text, (total.asset_type, *held, *(cells[index] for _, cells in more)))
        ages = [_age_cell(oldest_stale(total.balances, stale), moment)] if stale else []
        accounts = Text(_holders(total.balances))
        style = _CHANGED_STYLE if signed[index] else ""
        table.add_row(Text(total.currency, "bold"), *cells, *ages, accounts, style=style)
    return _with_heading("Totals of", merged, table, note)


def render_accounts(merged: MergedBalances, *, note: str = "", now: datetime | None = None) -> "Group":
    """Return the balances as a table by account; an account that could not be read has a row, too.

    If a snapshot is stale, a column holds the age of its balances as of `now` (by default the present).
    """
    from rich.text import Text

    moment = datetime.now(UTC) if now is None else now
    stale = stale_accounts(merged.accounts)
    balances = [balance for snapshot in merged.accounts for balance in snapshot.balances]
    amounts = _amount_columns("Amount", balances)
    chains = any(balance.chain for balance in balances)
    codes = any(map(_sent_as, balances))
    optional = [name for name, used in (("Sent as", codes), ("Chain", chains)) if used]
    numbers = [name for name, _ in amounts]
    age_column = [_AGE_COLUMN] if stale else []
    table = Table("Account", "Provider", "Currency", *optional, *numbers, *age_column, whole=_WHOLE, leading=2)
    remaining = _lines(amounts)
    for snapshot in merged.accounts:
        # Only the first row names the account, so that one sees where an account begins.
        head = (Text(snapshot.account, "bold"), Text(snapshot.provider))
        ages = [_age_cell(stale.get(snapshot.account), moment)] if stale else []
        for balance in snapshot.balances:
            extra = [cell for cell, used in ((_sent_as(balance), codes), (balance.chain or "", chains)) if used]
            table.add_row(*head, *map(Text, (balance.currency, *extra, *next(remaining))), *ages)
            head = (Text(), Text())
        if not snapshot.balances:
            table.add_row(*head, Text(_EMPTY), *[Text()] * (len(optional) + len(amounts)), *ages)
        table.add_section()
    for failure in merged.failures:
        if failure.account not in stale:
            table.add_row(Text(failure.account, ERROR_STYLE), Text(failure.provider), Text("not read", ERROR_STYLE))
    return _with_heading("Balances of", merged, table, note)


def render_providers(merged: MergedBalances, *, note: str = "", now: datetime | None = None) -> "Group":
    """Return the totals at each provider as a table; a column holds the age of what is stale, as in `render_totals`."""
    from rich.text import Text

    moment = datetime.now(UTC) if now is None else now
    stale = stale_accounts(merged.accounts)
    groups = sorted(merged.totals_by(lambda balance: balance.provider, partial=True).items())
    amounts = _amount_columns("Total", [part for _, parts in groups for part in parts])
    numbers = [name for name, _ in amounts]
    age_column = [_AGE_COLUMN] if stale else []
    names = ("Provider", "Currency", "Type", *numbers, *age_column, "Accounts")
    table = Table(*names, whole=_WHOLE, leading=1, trailing=1 + len(age_column))
    remaining = _lines(amounts)
    for provider, parts in groups:
        head = Text(provider, "bold")
        for part in parts:
            accounts = Text(_holders(part.balances))
            cells = map(Text, (part.currency, part.asset_type, *next(remaining)))
            ages = [_age_cell(oldest_stale(part.balances, stale), moment)] if stale else []
            table.add_row(head, *cells, *ages, accounts)
            head = Text()
        table.add_section()
    return _with_heading("Totals at each provider of", merged, table, note)


def _amount_columns(name: str, held: Sequence[Balance | CurrencyTotal]) -> list[tuple[str, list[str]]]:
    """Return a column of the amounts, and of what is available and pending where a provider reports any."""
    columns = [(name, align_decimal_points(each.amount for each in held))]
    for part, amounts in (
        ("Available", [each.available for each in held]),
        ("Pending", [each.pending for each in held]),
    ):
        reported = iter(align_decimal_points(amount for amount in amounts if amount is not None))
        cells = ["" if amount is None else next(reported) for amount in amounts]
        columns += [(part, cells)] if any(cells) else []
    return columns


def _lines(columns: Iterable[tuple[str, Iterable[str]]]) -> Iterator[tuple[str, ...]]:
    return zip(*(cells for _, cells in columns), strict=True)


def _with_heading(what: str, merged: MergedBalances, table: "Table", note: str) -> "Group":
    from rich.console import Group
    from rich.text import Text

    optional = ((merged.scope, ""), (describe_incompleteness(merged), ERROR_STYLE))
    above = (Text(line, style) for line, style in optional if line)
    heading = Text(f"{what} {describe_coverage(merged)}", "bold")
    return Group(heading, *above, table, *([Text(note, "dim")] if note else []))


def _holders(balances: Iterable[Balance]) -> str:
    """Return the accounts that hold anything, or how many they are."""
    return name_or_count(dict.fromkeys(each.account for each in balances if not is_zero(each))) or _EMPTY


def _age_cell(snapshot: AccountBalances | None, now: datetime) -> "Text":
    from rich.text import Text

    return Text() if snapshot is None else Text(describe_age(snapshot, now), ERROR_STYLE)


def _sent_as(balance: Balance) -> str:
    return "" if normalize_code(balance.code) == balance.currency else balance.code
