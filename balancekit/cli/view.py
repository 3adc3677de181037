"""Which part of a result is shown."""

from collections.abc import Iterable

import attrs

from balancekit.money.balances import AccountBalances
from balancekit.money.currencies import normalize_code
from balancekit.money.merge import MergedBalances


def _to_currencies(codes: Iterable[str]) -> frozenset[str]:
    return frozenset(map(normalize_code, codes))


@attrs.frozen
class View:
    """A choice of currencies (none chosen: all of them), with zeros or without."""

    currencies: frozenset[str] = attrs.field(default=frozenset[str](), converter=_to_currencies)
    zeros: bool = False

    def apply(self, merged: MergedBalances) -> MergedBalances:
        """Return the result with no more than the totals and the balances to be shown; none of them is changed."""
        chosen = [total for total in merged.totals if self._includes(total.currency)]
        return attrs.evolve(
            merged,
            totals=tuple(total for total in chosen if self.zeros or total.amount),
            accounts=tuple(self._filter_account(snapshot) for snapshot in merged.accounts),
        )

    def count_hidden_zeros(self, merged: MergedBalances) -> tuple[int, int]:
        """Return how many of the chosen totals, and of the chosen balances, are hidden because they are zero."""
        everything, shown = attrs.evolve(self, zeros=True).apply(merged), self.apply(merged)
        return len(everything.totals) - len(shown.totals), _count_balances(everything) - _count_balances(shown)

    def not_held(self, merged: MergedBalances) -> list[str]:
        """Return the currencies that were chosen and that no account holds, not even as zero."""
        return sorted(self.currencies - {total.currency for total in merged.totals})

    def _filter_account(self, snapshot: AccountBalances) -> AccountBalances:
        chosen = [balance for balance in snapshot.balances if self._includes(balance.currency)]
        return attrs.evolve(snapshot, balances=tuple(balance for balance in chosen if self.zeros or balance.amount))

    def _includes(self, currency: str) -> bool:
        return not self.currencies or currency in self.currencies


def _count_balances(merged: MergedBalances) -> int:
    return sum(len(snapshot.balances) for snapshot in merged.accounts)
