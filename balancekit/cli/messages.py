"""Sentences about a result: which accounts it covers, which it lacks, and why."""

from collections.abc import Collection, Sequence

from balancekit.errors import NotReadError, ProviderError, with_hint
from balancekit.money.balances import AccountFailure
from balancekit.money.layout import isolate, pluralize
from balancekit.money.merged import MergedBalances
from balancekit.money.notice import count_accounts, describe_notice
from balancekit.money.reasons import MAX_LISTED, group_by_reason


def describe_coverage(merged: MergedBalances) -> str:
    """Return how many accounts were read, and as of when: `2 of 3 accounts, as of 2026-01-01 12:00:00 UTC`."""
    count = count_accounts(merged.accounts, merged.failures)
    part = "" if count == len(merged.accounts) else f"{len(merged.accounts)} of "
    accounts = f"{part}{pluralize(count, 'account')}"
    return accounts if merged.as_of is None else f"{accounts}, as of {merged.as_of:%Y-%m-%d %H:%M:%S} UTC"


def describe_incompleteness(merged: MergedBalances) -> str | None:
    """Return the notice of a result, without the names of the accounts if they are more than five."""
    lacking = {failure.account for failure in merged.failures} | {
        each.account for each in merged.accounts if each.stale
    }
    return describe_notice(merged.accounts, merged.failures, names=len(lacking) <= MAX_LISTED)


def describe_failure(failure: AccountFailure) -> str:
    """Return the account, the provider's error code, the message and the hint of a failure."""
    error = failure.error
    head = f"{isolate(failure.account)} ({failure.provider})"
    if not isinstance(error, ProviderError):
        return f"{head}: {error}"
    code = f"{error.code}: " if error.code and error.code not in error.message else ""
    # What to do about an account that is not read yet is for programs: a command reads it.
    hint = "" if isinstance(error, NotReadError) else error.hint
    return with_hint(f"{head}: {code}{error.message}", hint)


def describe_failures(failures: Sequence[AccountFailure]) -> list[str]:
    """Return a line for each failure; of more than five, one for each reason, with the first account as its example."""
    if len(failures) <= MAX_LISTED:
        return [*map(describe_failure, failures)]
    lines: list[str] = []
    for reason, group in group_by_reason(failures).items():
        head = "" if len(group) == 1 else f"{len(group)} accounts: {reason}. First "
        lines.append(head + describe_failure(group[0]))
    return lines


def name_or_count(labels: Collection[str]) -> str:
    """Return the labels of accounts, or how many they are if they are more than five."""
    return ", ".join(map(isolate, labels)) if len(labels) <= MAX_LISTED else pluralize(len(labels), "account")


def describe_hidden_zeros(count: int, remedy: str = "") -> str:
    """Return how many zeros are hidden, followed by the remedy; empty text if none is."""
    return f"{pluralize(count, 'zero')} not shown{remedy}" if count else ""
