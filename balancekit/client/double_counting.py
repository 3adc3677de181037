"""Balances that are listed twice, mostly by two accounts: they are one balance, and must not be added twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

from balancekit.errors import MalformedResponseError
from balancekit.http.hints import HINTS
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.merge import is_unique

_balances_of: Final = attrgetter("balances")
_reference_of: Final = attrgetter("reference")

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
    # Without a step of Python for each of ten thousands of balances, and with strings alone, so that the garbage
    # collector has nothing to do.
    ids: list[str] = list(filter(None, map(_reference_of, chain.from_iterable(map(_balances_of, snapshots)))))
    if len(set(ids)) == len(ids):
        return snapshots, failures
    order = {label: number for number, label in enumerate(labels)}
    first: dict[tuple[str, str, str, str, str | None], str] = {}
    errors: dict[str, MalformedResponseError] = {}
    for snapshot in sorted(snapshots, key=lambda snapshot: (snapshot.stale, order.get(snapshot.account, len(order)))):
        label, provider = snapshot.account, snapshot.provider
        origin = origin_of(label)
        listed = [
            (provider, "" if is_unique(one.reference) else origin, one.reference, one.code, one.chain)
            for one in snapshot.balances
            if one.reference
        ]
        counts = Counter(listed)
        repeated = next((key for key in counts if key in first or counts[key] > 1), None)
        if repeated is None:
            first |= dict.fromkeys(listed, label)
            continue
        place, hint = "listed twice", HINTS[MalformedResponseError]
        if repeated in first:
            place, hint = f"in account {first[repeated]!r} too", _HINT
        message = f"the {repeated[3]} balance with the id {repeated[2]!r} is {place}, and would be counted twice"
        errors[label] = MalformedResponseError(message, account=label, provider=provider, hint=hint)
    failed = {failure.account for failure in failures}
    # One that failed already is left as it is.
    new = [AccountFailure(label, error.provider, error) for label, error in errors.items() if label not in failed]
    return [snapshot for snapshot in snapshots if snapshot.account not in errors], [*failures, *new]
