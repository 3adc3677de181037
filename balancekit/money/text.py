"""Results as a few plain lines, for a chat: amounts, and which of them are old or missing. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

from balancekit.money.amounts import format_amount
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal
from balancekit.money.notice import describe_notice

# For each unit of an age: the seconds from which on it is used, its own seconds, and its name. An age is shown as two
# units or more, since "1 day" could be nearly two.
_UNITS: Final = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (2 * 60, 60, "min"))


def to_text(
    totals: Iterable[CurrencyTotal],
    accounts: Collection[AccountBalances],
    failures: Collection[AccountFailure],
    now: datetime | None = None,
) -> str:
    """Write a result as plain lines; see `MergedBalances.to_text`."""
    moment = datetime.now(UTC) if now is None else now
    totals = tuple(totals)
    stale = stale_accounts(accounts)
    codes = Counter(total.currency for total in totals)
    lines: list[str] = []
    for total in totals:
        name = total.currency if codes[total.currency] == 1 else f"{total.currency} ({total.asset_type})"
        oldest = oldest_stale(total.balances, stale)
        age = "" if oldest is None else f" ({describe_age(oldest, moment)})"
        lines.append(f"{name} {format_amount(total.amount)}{age}")
    if not lines and (accounts or not failures):
        lines.append("Nothing held" if accounts else "No accounts")
    lines += (f"{label}: {describe_age(snapshot, moment)}" for label, snapshot in stale.items())
    lines += (f"{failure.account}: not read" for failure in failures if failure.account not in stale)
    notice = describe_notice(accounts, failures)
    if notice is not None:
        lines.append(notice)
    return "\n".join(lines)


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


def _duration(seconds: float) -> str:
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"
