"""Which part of a result is shown."""

from collections.abc import Callable, Iterable, Iterator

import attrs

from balancekit.errors import ConfigError
from balancekit.money.balances import Balance, CurrencyTotal, is_zero
from balancekit.money.currencies import normalize_code
from balancekit.money.merged import MergedBalances


def _to_currencies(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(normalize_code, codes)))


@attrs.frozen
class View:
    """A choice of currencies (all if none is named), with zeros or without."""

    currencies: tuple[str, ...] = attrs.field(default=(), converter=_to_currencies)
    zeros: bool = False

    def apply(self, merged: MergedBalances) -> MergedBalances:
        """Return the result with only the totals to be shown, each of them unchanged, and the balances of them.

        A balance of zero stays if its currency is held elsewhere, so that the balances add up to the totals in every
        part: a zero may decide of what type of asset they are, or lack what is available.

        Raises ConfigError for a code that is counted as another currency.
        """
        chosen = self._choose(merged)
        if self.zeros:
            return chosen
        held = {each.currency for each in _balances(chosen) if not is_zero(each)}
        return _keep_balances(chosen.nonzero(), lambda each: each.currency in held)

    def apply_to_balances(self, merged: MergedBalances) -> MergedBalances:
        """Return the result for a list of its balances: as `apply`, without those of zero.

        What is left need not add up to the totals in every part.
        """
        chosen = self._choose(merged)
        return chosen if self.zeros else _keep_balances(chosen.nonzero(), lambda each: not is_zero(each))

    def hidden_totals(self, merged: MergedBalances) -> int:
        """Return how many totals of the chosen currencies are hidden because they are zero."""
        return sum(total.is_zero and self._hides_zeros_of(total) for total in merged)

    def hidden_balances(self, merged: MergedBalances) -> int:
        """Return how many balances of the chosen currencies are hidden because they are zero."""
        return sum(is_zero(balance) and self._hides_zeros_of(balance) for balance in _balances(merged))

    def not_held(self, merged: MergedBalances) -> list[str]:
        """Return the chosen currencies that no account holds, not even as zero."""
        return sorted({*self.currencies} - {total.currency for total in merged})

    def _choose(self, merged: MergedBalances) -> MergedBalances:
        try:
            return merged.only(*self.currencies) if self.currencies else merged
        except KeyError as error:
            raise ConfigError(f"--currency: {error.args[0]}") from None

    def _hides_zeros_of(self, held: Balance | CurrencyTotal) -> bool:
        return not self.zeros and (not self.currencies or held.currency in self.currencies)


def _keep_balances(merged: MergedBalances, is_kept: Callable[[Balance], bool]) -> MergedBalances:
    accounts = (
        attrs.evolve(snapshot, balances=tuple(filter(is_kept, snapshot.balances))) for snapshot in merged.accounts
    )
    return attrs.evolve(merged, accounts=accounts)


def _balances(merged: MergedBalances) -> Iterator[Balance]:
    return (balance for snapshot in merged.accounts for balance in snapshot.balances)
