"""The parts of totals whose balances have something in common: a chain, a provider, an account. Pure and exact."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import attrs

from balancekit.money.amounts import add_exactly
from balancekit.money.balances import Balance, CurrencyTotal

Key = TypeVar("Key", bound=Hashable)


def group_totals(
    totals: Iterable[CurrencyTotal], key: Callable[[Balance], Key], *, of_all: Iterable[CurrencyTotal] = ()
) -> dict[Key, list[CurrencyTotal]]:
    """Return the parts of totals whose balances have the same key, in the order in which keys are met.

    Of those `of_all` totals that are not among them, since they are zero, the parts that are not zero are there too.
    """
    groups: defaultdict[Key, list[CurrencyTotal]] = defaultdict(list)
    given = {(total.currency, total.asset_type): total for total in totals}
    # In the order of all, where there are others.
    for name, total in ({(total.currency, total.asset_type): total for total in of_all} | given).items():
        parts: defaultdict[Key, list[Balance]] = defaultdict(list)
        for balance in total.balances:
            parts[key(balance)].append(balance)
        for group, balances in parts.items():
            amount = add_exactly(balance.amount for balance in balances)
            part = attrs.evolve(total, amount=amount, balances=tuple(balances))
            if name in given or not part.is_zero:
                groups[group].append(part)
    return dict(groups)
