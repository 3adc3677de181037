"""Results as a piece of HTML, for a notebook: what is missing first, and everything escaped. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Final

from balancekit.errors import ProviderError
from balancekit.money.amounts import format_amount
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal, is_zero
from balancekit.money.layout import MAX_NAMES, name_some, pluralize
from balancekit.money.notice import count_accounts, describe_notice

_PARTS: Final = ("available", "pending")

_NUMBER: Final = ' style="text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums"'
_ALARM: Final = ' style="color: #b00020; font-weight: bold"'


def to_html(
    totals: Sequence[CurrencyTotal],
    accounts: Collection[AccountBalances],
    failures: Collection[AccountFailure],
    *,
    scope: str | None,
) -> str:
    """Return the notice, the totals, and folded up the failures by error and the balances by account."""
    count = count_accounts(accounts, failures)
    notice = describe_notice(accounts, failures, names=count <= MAX_NAMES)
    read = (f"{len(accounts)} of " if failures else "") + pluralize(count, "account")
    optional = [name for name in _PARTS if any(getattr(total, name) is not None for total in totals)]
    columns = ("Currency", "Type", "Total", *map(str.capitalize, optional), "As of", "Accounts")
    parts = [
        f"<p{_ALARM}>{escape(notice)}</p>" if notice else "",
        f"<p>{escape(scope)}</p>" if scope else "",
        _table(columns, (_total_cells(total, optional) for total in totals)),
        _folded("Not read now", ("Error", "Accounts"), _error_cells(failures)),
        _folded(f"Balances of {read}", ("Account", "Provider", "Balances", "As of"), map(_account_cells, accounts)),
    ]
    return f"<div>{''.join(parts)}</div>"


def _total_cells(total: CurrencyTotal, optional: Iterable[str]) -> Iterator[str]:
    holders = dict.fromkeys(balance.account for balance in total.balances if not is_zero(balance))
    yield _cell(total.currency)
    yield _cell(total.asset_type)
    yield _cell(format_amount(total.amount), _NUMBER)
    for name in optional:
        amount = getattr(total, name)
        yield _cell("" if amount is None else format_amount(amount), _NUMBER)
    yield _moment_cell(total.as_of, stale=total.stale)
    yield _cell(name_some([*holders]))


def _account_cells(snapshot: AccountBalances) -> Iterator[str]:
    yield _cell(snapshot.account)
    yield _cell(snapshot.provider)
    yield _cell(", ".join(map(_describe, snapshot.balances)))
    yield _moment_cell(snapshot.as_of, stale=snapshot.stale)


def _describe(balance: Balance) -> str:
    amounts = ((name, getattr(balance, name)) for name in _PARTS)
    parts = ", ".join(f"{format_amount(amount)} {name}" for name, amount in amounts if amount is not None)
    return f"{balance.currency} {format_amount(balance.amount)}{f' ({parts})' if parts else ''}"


def _error_cells(failures: Iterable[AccountFailure]) -> Iterator[tuple[str, str]]:
    by_message: defaultdict[str, list[str]] = defaultdict(list)
    for failure in failures:
        error = failure.error
        by_message[error.message if isinstance(error, ProviderError) else str(error)].append(failure.account)
    for message, labels in sorted(by_message.items()):
        yield _cell(message), _cell(", ".join(labels))


def _moment_cell(moment: datetime | None, *, stale: bool) -> str:
    text = "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
    return _cell(f"{text}, stale", _ALARM) if stale else _cell(text)


def _cell(text: str, style: str = "") -> str:
    return f"<td{style}>{escape(text)}</td>"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _folded(summary: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    table = _table(columns, rows)
    return f"<details><summary>{escape(summary)}</summary>{table}</details>" if "<td" in table else ""
