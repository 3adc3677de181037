"""Which part of a result is shown."""

from collections.abc import Iterable

import attrs

from balancekit.money.balances import AccountBalances, Balance, CurrencyTotal
from balancekit.money.currencies import normalize_code
from balancekit.money.merge import MergedBalances


def _to_currencies(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(normalize_code, codes)))


@attrs.frozen
class View:
    """A choice of currencies (all if none is named), with zeros or without."""

    currencies: tuple[str, ...] = attrs.field(default=(), converter=_to_currencies)
    zeros: bool = False

    def apply(self, merged: MergedBalances) -> MergedBalances:
        """Return the result with only the totals and balances to be shown, each of them unchanged."""
        chosen = merged.only(*self.currencies) if self.currencies else merged
        if self.zeros:
            return chosen
        accounts = tuple(map(_without_zeros, chosen.accounts))
        return attrs.evolve(chosen.nonzero(), accounts=accounts)

    def hidden_totals(self, merged: MergedBalances) -> int:
        """Return how many totals of the chosen currencies are hidden because they are zero."""
        return sum(map(self._hides, merged))

    def hidden_balances(self, merged: MergedBalances) -> int:
        """Return how many balances of the chosen currencies are hidden because they are zero."""
        return sum(self._hides(balance) for snapshot in merged.accounts for balance in snapshot.balances)

    def not_held(self, merged: MergedBalances) -> list[str]:
        """Return the chosen currencies that no account holds, not even as zero."""
        return sorted({*self.currencies} - {total.currency for total in merged})

    def _hides(self, held: Balance | CurrencyTotal) -> bool:
        return not (self.zeros or held.amount) and (not self.currencies or held.currency in self.currencies)


def _without_zeros(snapshot: AccountBalances) -> AccountBalances:
    return attrs.evolve(snapshot, balances=tuple(balance for balance in snapshot.balances if balance.amount))
