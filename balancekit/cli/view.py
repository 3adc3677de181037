"""Which part of a result is shown."""

from collections.abc import Iterable

import attrs

from balancekit.money.balances import AccountBalances, Balance, CurrencyTotal
from balancekit.money.currencies import normalize_code
from balancekit.money.merge import MergedBalances


def _to_currencies(codes: Iterable[str]) -> frozenset[str]:
    return frozenset(map(normalize_code, codes))


@attrs.frozen
class View:
    """A choice of currencies (all if none is named), with zeros or without."""

    currencies: frozenset[str] = attrs.field(default=frozenset[str](), converter=_to_currencies)
    zeros: bool = False

    def apply(self, merged: MergedBalances) -> MergedBalances:
        """Return the result with only the totals and balances to be shown, each of them unchanged."""
        return attrs.evolve(
            merged,
            totals=tuple(filter(self._shows, merged.totals)),
            accounts=tuple(map(self._filter_account, merged.accounts)),
        )

    def hidden_totals(self, merged: MergedBalances) -> int:
        """Return how many totals of the chosen currencies are hidden because they are zero."""
        return sum(map(self._hides, merged.totals))

    def hidden_balances(self, merged: MergedBalances) -> int:
        """Return how many balances of the chosen currencies are hidden because they are zero."""
        return sum(self._hides(balance) for snapshot in merged.accounts for balance in snapshot.balances)

    def not_held(self, merged: MergedBalances) -> list[str]:
        """Return the chosen currencies that no account holds, not even as zero."""
        return sorted(self.currencies - {total.currency for total in merged.totals})

    def _filter_account(self, snapshot: AccountBalances) -> AccountBalances:
        return attrs.evolve(snapshot, balances=tuple(filter(self._shows, snapshot.balances)))

    def _shows(self, held: Balance | CurrencyTotal) -> bool:
        return self._is_chosen(held) and (self.zeros or bool(held.amount))

    def _hides(self, held: Balance | CurrencyTotal) -> bool:
        return self._is_chosen(held) and not self._shows(held)

    def _is_chosen(self, held: Balance | CurrencyTotal) -> bool:
        return not self.currencies or held.currency in self.currencies
