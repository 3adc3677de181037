"""Results as a few plain lines, for a chat: amounts, and which of them are old or missing. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

from balancekit.errors import NotReadError
from balancekit.money.amounts import format_amount
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal

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
    if stale or failures:
        lines.append(_describe_missing(accounts, failures, stale))
    return "\n".join(lines)


def describe_age(snapshot: AccountBalances, now: datetime) -> str:
    """Return the moment of a snapshot and how long ago that is: `as of 14:02 UTC, 3 h old`."""
    then, today = snapshot.fetched_at, now.astimezone(UTC).date()
    date = "" if then.date() == today else f"{then:%Y-%m-%d} "
    return f"as of {date}{then:%H:%M} UTC, {_duration(snapshot.age(now))} old"


def stale_accounts(accounts: Iterable[AccountBalances]) -> dict[str, AccountBalances]:
    """Return the snapshots that stand in for later ones that could not, or are still to, be read, by account."""
    return {snapshot.account: snapshot for snapshot in accounts if snapshot.stale}


def oldest_stale(balances: Iterable[Balance], stale: dict[str, AccountBalances]) -> AccountBalances | None:
    """Return the oldest of the stale snapshots that balances are from, zeros included; None if all are fresh."""
    found = [stale[balance.account] for balance in balances if balance.account in stale]
    return min(found, key=lambda snapshot: snapshot.fetched_at, default=None)


def count_accounts(accounts: Iterable[AccountBalances], failures: Iterable[AccountFailure]) -> int:
    """Return how many accounts a result is about; one that failed may have an earlier snapshot as well."""
    read = {snapshot.account for snapshot in accounts}
    return len(read | {failure.account for failure in failures})


def _describe_missing(
    accounts: Collection[AccountBalances], failures: Collection[AccountFailure], stale: dict[str, AccountBalances]
) -> str:
    unread = {failure.account for failure in failures if isinstance(failure.error, NotReadError)}
    failed = {failure.account for failure in failures} - unread
    count = count_accounts(accounts, failures)
    parts = (
        f"{len(labels)} of {count} account{'' if count == 1 else 's'} {what}: {', '.join(sorted(labels))}"
        for what, labels in (
            ("could not be read now", failed),
            ("not read yet", unread),
            ("may have changed since", stale.keys() - failed),
        )
        if labels
    )
    return f"{'INCOMPLETE' if accounts else 'NOTHING READ'}: {'; '.join(parts)}"


def _duration(seconds: float) -> str:
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"
