"""Balances that are listed twice, mostly by two accounts: they are one balance, and must not be added twice."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Final

import attrs

from balancekit.money.balances import AccountBalances

MIN_UNIQUE_LENGTH: Final = 16
"""How many characters an id has that is given out once; a shorter one may be a mere number."""


@attrs.frozen
class RepeatedBalance:
    """A balance that is listed again; `other` is the account that lists it first, None if that is the same one."""

    code: str
    reference: str
    other: str | None

    def __str__(self) -> str:
        place = "listed twice" if self.other is None else f"in account {self.other!r} too"
        return f"the {self.code} balance with the id {self.reference!r} is {place}, and would be counted twice"


def has_repeated_ids(snapshots: Iterable[AccountBalances]) -> bool:
    """Return whether any id occurs twice; only then may a balance be listed twice."""
    # Strings alone, so that the garbage collector has nothing to do.
    ids = [balance.reference for snapshot in snapshots for balance in snapshot.balances if balance.reference]
    return len(set(ids)) != len(ids)


def repeated_balances(
    snapshots: Iterable[AccountBalances], scope_of: Callable[[AccountBalances], str]
) -> dict[str, RepeatedBalance]:
    """Return, by label, the first balance that an account lists twice, or that an earlier account lists as well.

    Balances are the same if provider, id, code and chain are, and, for an id that is too short to be unique, the scope
    of the snapshot within which it is.
    """
    first: dict[tuple[str, str, str, str, str | None], str] = {}
    repeated: dict[str, RepeatedBalance] = {}
    for snapshot in snapshots:
        label, scope = snapshot.account, scope_of(snapshot)
        listed = [
            (snapshot.provider, "" if len(reference) >= MIN_UNIQUE_LENGTH else scope, reference, one.code, one.chain)
            for one in snapshot.balances
            if (reference := one.reference)
        ]
        counts = Counter(listed)
        again = next((key for key in counts if counts[key] > 1 or first.get(key, label) != label), None)
        if again is None:
            first |= dict.fromkeys(listed, label)
        else:
            repeated[label] = RepeatedBalance(again[3], again[2], first.get(again))
    return repeated


def refuse_repeated(snapshots: Collection[AccountBalances]) -> None:
    """Raise ValueError if an account lists a balance twice, or two of one provider list the same one."""
    if has_repeated_ids(snapshots):
        # A short id says nothing beyond its own account.
        for label, repeated in repeated_balances(snapshots, attrgetter("account")).items():
            raise ValueError(f"{label!r}: {repeated}")
