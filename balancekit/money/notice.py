"""What a result lacks, in one line: the accounts that could not be read, and those whose balances are old. Pure."""

from collections.abc import Collection, Iterable
from typing import Final

from balancekit.errors import NotReadError
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.layout import name_some, pluralize

MAX_NAMED: Final = 20
"""How many accounts are named for each thing that is wrong with them; the number of the others follows."""


def describe_notice(
    accounts: Collection[AccountBalances], failures: Iterable[AccountFailure], *, names: bool = True
) -> str | None:
    """Return one line that says which accounts a result lacks and which are old in it; None if it is complete.

    Without `names` it has the numbers of accounts alone, and is short however many there are.
    """
    failed = {failure.account: failure for failure in failures}
    stale = {snapshot.account for snapshot in accounts if snapshot.stale}
    if not failed and not stale:
        return None
    missing = failed.keys() - stale
    unread = {label for label in missing if isinstance(failed[label].error, NotReadError)}
    count = count_accounts(accounts, failed.values())
    parts: list[str] = []
    for what, labels in (
        ("could not be read", missing - unread),
        ("not read yet", unread),
        ("could not be read anew", stale & failed.keys()),
        ("may have changed since", stale - failed.keys()),
    ):
        if labels:
            part = f"{len(labels)} of {pluralize(count, 'account')} {what}"
            parts.append(f"{part}: {name_some(sorted(labels), MAX_NAMED)}" if names else part)
    return f"{'INCOMPLETE' if accounts else 'NOTHING READ'}: {'; '.join(parts)}"


def count_accounts(accounts: Iterable[AccountBalances], failures: Iterable[AccountFailure]) -> int:
    """Return how many accounts a result is about; one that failed may have an earlier snapshot as well."""
    return len(all_labels(accounts, failures))


def all_labels(accounts: Iterable[AccountBalances], failures: Iterable[AccountFailure]) -> frozenset[str]:
    """Return the labels of the accounts that a result is about."""
    return frozenset(snapshot.account for snapshot in accounts) | {failure.account for failure in failures}
