"""The parts of totals whose balances have something in common: a chain, a provider, an account. Pure and exact."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import attrs

from balancekit.money.amounts import add_exactly
from balancekit.money.balances import Balance, CurrencyTotal

Key = TypeVar("Key", bound=Hashable)


def group_totals(totals: Iterable[CurrencyTotal], key: Callable[[Balance], Key]) -> dict[Key, list[CurrencyTotal]]:
    """Return the parts of totals whose balances have the same key, in the order in which keys are met."""
    groups: defaultdict[Key, list[CurrencyTotal]] = defaultdict(list)
    for total in totals:
        parts: defaultdict[Key, list[Balance]] = defaultdict(list)
        for balance in total.balances:
            parts[key(balance)].append(balance)
        for group, balances in parts.items():
            amount = add_exactly(balance.amount for balance in balances)
            groups[group].append(attrs.evolve(total, amount=amount, balances=tuple(balances)))
    return dict(groups)
