"""Which part of a result is shown."""

from collections.abc import Iterable, Iterator

import attrs

from balancekit.errors import ConfigError
from balancekit.money.balances import Balance, CurrencyTotal
from balancekit.money.currencies import normalize_code
from balancekit.money.merged import MergedBalances


def _to_currencies(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(normalize_code, codes)))


def is_nothing(held: Balance | CurrencyTotal) -> bool:
    """Whether there is no amount, nothing available, and nothing pending."""
    return not (held.amount or held.available or held.pending)


@attrs.frozen
class View:
    """A choice of currencies (all if none is named), with zeros or without."""

    currencies: tuple[str, ...] = attrs.field(default=(), converter=_to_currencies)
    zeros: bool = False

    def apply(self, merged: MergedBalances, *, keeps_sums: bool = False) -> MergedBalances:
        """Return the result with only the totals and balances to be shown, each of them unchanged.

        With `keeps_sums` a zero stays if its currency is held elsewhere, so that the balances that are shown add up
        to the totals in every part: a zero may keep two types of asset apart, or lack what is available.

        Raises ConfigError for a code that is counted as another currency.
        """
        try:
            chosen = merged.only(*self.currencies) if self.currencies else merged
        except KeyError as error:
            raise ConfigError(f"--currency: {error.args[0]}") from None
        if self.zeros:
            return chosen
        held = {each.currency for each in _balances(chosen) if not is_nothing(each)} if keeps_sums else frozenset[str]()
        accounts = tuple(
            attrs.evolve(
                snapshot,
                balances=tuple(each for each in snapshot.balances if not is_nothing(each) or each.currency in held),
            )
            for snapshot in chosen.accounts
        )
        return attrs.evolve(chosen.nonzero(), accounts=accounts)

    def hidden_totals(self, merged: MergedBalances) -> int:
        """Return how many totals of the chosen currencies are hidden because they are zero."""
        return sum(map(self._hides, merged))

    def hidden_balances(self, merged: MergedBalances) -> int:
        """Return how many balances of the chosen currencies are hidden because they are zero."""
        return sum(map(self._hides, _balances(merged)))

    def not_held(self, merged: MergedBalances) -> list[str]:
        """Return the chosen currencies that no account holds, not even as zero."""
        return sorted({*self.currencies} - {total.currency for total in merged})

    def _hides(self, held: Balance | CurrencyTotal) -> bool:
        return not self.zeros and is_nothing(held) and (not self.currencies or held.currency in self.currencies)


def _balances(merged: MergedBalances) -> Iterator[Balance]:
    return (balance for snapshot in merged.accounts for balance in snapshot.balances)
