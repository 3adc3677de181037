"""Sentences about a result: which accounts it covers, which it lacks, and why."""

from datetime import UTC, datetime

from balancekit.errors import ProviderError
from balancekit.money.balances import AccountFailure
from balancekit.money.merge import MergedBalances
from balancekit.money.text import count_accounts, describe_age, stale_accounts


def pluralize(count: int, noun: str) -> str:
    """Return a number with its noun: `1 account`, `3 accounts`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def describe_coverage(merged: MergedBalances) -> str:
    """Return how many accounts were read, and as of when: `2 of 3 accounts, as of 2026-01-01 12:00:00 UTC`."""
    count = count_accounts(merged.accounts, merged.failures)
    accounts = pluralize(count, "account") if count == len(merged.accounts) else _share(len(merged.accounts), count)
    return accounts if merged.as_of is None else f"{accounts}, as of {merged.as_of:%Y-%m-%d %H:%M:%S} UTC"


def describe_failure(failure: AccountFailure) -> str:
    """Return the account, the provider's error code, the message and the hint of a failure."""
    error = failure.error
    head = f"{failure.account} ({failure.provider})"
    if not isinstance(error, ProviderError):
        return f"{head}: {error}"
    code = f"{error.code}: " if error.code and error.code not in error.message else ""
    hint = f". {error.hint}" if error.hint else ""
    return f"{head}: {code}{error.message}{hint}"


def describe_hidden_zeros(count: int, remedy: str = "") -> str:
    """Return how many zeros are hidden, followed by the remedy; empty text if none is."""
    return f"{pluralize(count, 'zero')} not shown{remedy}" if count else ""


def incomplete_notice(merged: MergedBalances, now: datetime | None = None) -> str | None:
    """Return one line that says which accounts a result lacks and which are stale; None if it is complete."""
    if merged.complete:
        return None
    moment = datetime.now(UTC) if now is None else now
    stale = stale_accounts(merged.accounts)
    failed = {failure.account for failure in merged.failures}
    lacking = [failure.account for failure in merged.failures if failure.account not in stale]
    count = count_accounts(merged.accounts, merged.failures)
    if not merged.accounts:
        return f"NOTHING READ: {_share(count, count)} could not be read"
    parts: list[str] = []
    if lacking:
        parts.append(f"{_share(len(lacking), count)} could not be read; the totals lack {', '.join(lacking)}")
    for is_failure, what in ((True, "could not be read anew"), (False, "may have changed since")):
        old = [snapshot for label, snapshot in stale.items() if (label in failed) is is_failure]
        if old:
            held = ", ".join(f"{snapshot.account} ({describe_age(snapshot, moment)})" for snapshot in old)
            parts.append(f"{_share(len(old), count)} {what}; the totals hold an earlier {held}")
    return f"INCOMPLETE: {'; '.join(parts)}"


def _share(part: int, whole: int) -> str:
    return f"{part} of {pluralize(whole, 'account')}"
