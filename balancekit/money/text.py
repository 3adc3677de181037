"""Results as a few plain lines, for a chat: amounts, and which of them are old or missing. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from balancekit.errors import ConfigError
from balancekit.money.amounts import format_amount
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal
from balancekit.money.chat import Bounds, CurrencyLine, Frame, make_messages
from balancekit.money.currencies import check_code, normalize_code
from balancekit.money.layout import align_decimal_points, align_names, isolate, pluralize
from balancekit.money.notice import MAX_NAMED, describe_notice
from balancekit.money.reasons import MAX_LISTED, describe_reasons

if TYPE_CHECKING:
    from balancekit.money.valuation import Valuation

_NO_VALUE: Final = Decimal(-1)

# A longer name, or more digits on one side of the point, may stand out, so that one does not make all lines long.
_MAX_ALIGNED: Final = 12

# For each unit of an age: the seconds from which on it is used, its own seconds, and its name. An age is shown as two
# units or more, since "1 day" could be nearly two.
_UNITS: Final = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (2 * 60, 60, "min"))


def to_texts(
    totals: Iterable[CurrencyTotal],
    accounts: Collection[AccountBalances],
    failures: Collection[AccountFailure],
    bounds: Bounds,
    *,
    keep: Iterable[str],
    align: bool,
    scope: str | None,
    now: datetime | None,
) -> list[str]:
    """Write a result as messages; see `MergedBalances.to_texts`.

    `scope` says what a view is of, and is the first line of each message.
    """
    moment = datetime.now(UTC) if now is None else now
    stale = stale_accounts(accounts)
    lines = _currency_lines(tuple(totals), stale, _check_codes(keep), moment, align=align)
    if not lines and (accounts or not failures):
        lines = [CurrencyLine("Nothing held" if accounts else "No accounts", kept=True)]
    return make_messages(lines, _details(failures, stale, moment), _frames(accounts, failures, scope or ""), bounds)


def largest_first(totals: Iterable[CurrencyTotal], valuation: "Valuation") -> Sequence[CurrencyTotal]:
    """Return totals by their value, a debt counted as what is held; those without a value are the last."""
    values = {(line.currency, line.asset_type): line.value.copy_abs() for line in valuation.valued}
    # In reverse, equal ones stay in the order that they have.
    return sorted(totals, key=lambda total: values.get((total.currency, total.asset_type), _NO_VALUE), reverse=True)


def describe_age(snapshot: AccountBalances, now: datetime) -> str:
    """Return the moment of a snapshot and how long ago that is: `as of 14:02 UTC, 3 h old`."""
    then, today = snapshot.as_of, now.astimezone(UTC).date()
    date = "" if then.date() == today else f"{then:%Y-%m-%d} "
    return f"as of {date}{then:%H:%M} UTC, {_duration(snapshot.age(now))} old"


def stale_accounts(accounts: Iterable[AccountBalances]) -> dict[str, AccountBalances]:
    """Return the snapshots that stand in for later ones that could not, or are still to, be read, by account."""
    return {snapshot.account: snapshot for snapshot in accounts if snapshot.stale}


def oldest_stale(balances: Iterable[Balance], stale: dict[str, AccountBalances]) -> AccountBalances | None:
    """Return the oldest of the stale snapshots that balances are from, zeros included; None if all are fresh."""
    found = [stale[balance.account] for balance in balances if balance.account in stale]
    return min(found, key=lambda snapshot: snapshot.as_of, default=None)


def _check_codes(keep: Iterable[str]) -> set[str]:
    if isinstance(keep, str):
        raise ConfigError(f"keep must be a collection of codes such as ({keep!r},), not a text")
    return {normalize_code(check_code(code)) for code in keep}


def _currency_lines(
    totals: Sequence[CurrencyTotal],
    stale: dict[str, AccountBalances],
    keep: Collection[str],
    now: datetime,
    *,
    align: bool,
) -> list[CurrencyLine]:
    codes = Counter(total.currency for total in totals)
    names = [
        isolate(total.currency) + ("" if codes[total.currency] == 1 else f" ({total.asset_type})") for total in totals
    ]
    amounts = [format_amount(total.amount) for total in totals]
    if align:
        names = align_names(names, _MAX_ALIGNED)
        amounts = align_decimal_points((total.amount for total in totals), _MAX_ALIGNED)
    lines: list[CurrencyLine] = []
    for total, name, amount in zip(totals, names, amounts, strict=True):
        oldest = oldest_stale(total.balances, stale)
        age = "" if oldest is None else f" ({describe_age(oldest, now)})"
        # What is padded on its right would make a line with an age longer than a telephone is wide.
        lines.append(CurrencyLine(f"{name} {amount.rstrip()}{age}", total.currency in keep))
    return lines


def _details(failures: Collection[AccountFailure], stale: dict[str, AccountBalances], now: datetime) -> list[list[str]]:
    """Return alternatives of lines on the accounts that are old or missing: a line for each, numbers of them, none."""
    listed = [f"{isolate(label)}: {describe_age(snapshot, now)}" for label, snapshot in stale.items()]
    listed += [f"{isolate(failure.account)}: not read" for failure in failures if failure.account not in stale]
    grouped = [describe_reasons(failures)] if failures else []
    if stale:
        oldest = min(stale.values(), key=lambda snapshot: snapshot.as_of)
        verb = "is" if len(stale) == 1 else "are"
        grouped.append(f"{pluralize(len(stale), 'account')} {verb} stale: the oldest {describe_age(oldest, now)}")
    return [grouped, []] if len(listed) > MAX_LISTED else [listed, grouped, []]


def _frames(accounts: Collection[AccountBalances], failures: Collection[AccountFailure], scope: str) -> list[Frame]:
    """Return alternatives of what is around the lines of each message: with names, with numbers, and in a word."""
    named, counted = (describe_notice(accounts, failures, names=names) or "" for names in (True, False))
    word = counted.partition(":")[0]
    frames = [Frame(scope, counted), Frame(scope and "Only a part", word)]
    affected = len(stale_accounts(accounts).keys() | {failure.account for failure in failures})
    return frames if affected > MAX_NAMED else [Frame(scope, named), *frames]


def _duration(seconds: float) -> str:
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"
