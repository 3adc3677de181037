"""Accounts that list a balance of another account: its amount must not be added twice."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from balancekit.errors import MalformedResponseError
from balancekit.http.hints import HINTS
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.repeated import has_repeated_ids, repeated_balances

_HINT: Final = "Both may be one account with two keys: remove one of them"


def count_once(
    snapshots: Sequence[AccountBalances],
    failures: Sequence[AccountFailure],
    *,
    origin_of: Callable[[str], str],
    labels: Iterable[str],
) -> tuple[Sequence[AccountBalances], Sequence[AccountFailure]]:
    """Make a failure of each account that lists a balance twice, or one of another account; the first is counted.

    Balances are the same if provider, origin, id, code and chain are; the origin does not count where the id is long
    enough to be unique, since one account may be at two addresses. `origin_of` gives an account's origin by its label,
    and `labels` are in the order that says which account is the first; a fresh snapshot comes before a stale one.
    """
    if not has_repeated_ids(snapshots):
        return snapshots, failures
    order = {label: number for number, label in enumerate(labels)}
    in_order = sorted(snapshots, key=lambda snapshot: (snapshot.stale, order.get(snapshot.account, len(order))))
    repeated = repeated_balances(in_order, lambda snapshot: origin_of(snapshot.account))
    failed = {failure.account for failure in failures}
    new: list[AccountFailure] = []
    for snapshot in in_order:
        label, provider = snapshot.account, snapshot.provider
        # One that failed already is left as it is.
        if label in repeated and label not in failed:
            hint = HINTS[MalformedResponseError] if repeated[label].other is None else _HINT
            error = MalformedResponseError(str(repeated[label]), account=label, provider=provider, hint=hint)
            new.append(AccountFailure(label, provider, error))
    return [snapshot for snapshot in snapshots if snapshot.account not in repeated], [*failures, *new]
