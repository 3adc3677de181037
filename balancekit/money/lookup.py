"""Finding the totals of a result by code, or by code and type of asset; what cannot be found is never zero. Pure."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping

import attrs

from balancekit.errors import AmbiguousCurrencyError
from balancekit.money.balances import AccountBalances, CurrencyTotal
from balancekit.money.currencies import AssetType, check_code, normalize_code
from balancekit.money.layout import name_some


@attrs.frozen
class Lookup:
    """Finds totals of `accounts`; `chosen` are the codes of a view, None for all."""

    totals: tuple[CurrencyTotal, ...]
    accounts: tuple[AccountBalances, ...]
    chosen: tuple[str, ...] | None

    def find(self, key: object) -> CurrencyTotal | None:
        """Return the total of a code, or of a code and a type; AmbiguousCurrencyError if there is more than one."""
        found = self.matching(key)
        if len(found) > 1:
            types = " and ".join(total.asset_type for total in found)
            raise AmbiguousCurrencyError(
                f"{found[0].currency} is held as {types}: say which, for example "
                f"[{found[0].currency!r}, AssetType.{found[0].asset_type.name}]"
            )
        return found[0] if found else None

    def find_currency(self, code: str, asset_type: AssetType | None) -> CurrencyTotal | None:
        """Return the total of a currency, of any type for None; None if it is not held.

        Raises TypeError or ValueError for what is the name of no currency, AmbiguousCurrencyError if another total may
        be a part of it, and KeyError for a code that this view lacks.
        """
        check_code(code)
        if asset_type is None:
            found = self.find(code)
        else:
            found = self.find((code, AssetType(asset_type)))
            self._check_no_other_type_is_unknown(code, asset_type)
        if found is None:
            self._check_is_chosen(code)
        return found

    def matching(self, key: object) -> tuple[CurrencyTotal, ...]:
        """Return the totals of a code, or of a code and a type; none for a key of another kind."""
        match key:
            case str(code):
                return self._by_code.get(normalize_code(code), ())
            case (str(code), str(asset_type)):
                return tuple(total for total in self.matching(code) if total.asset_type == asset_type)
            case _:
                return ()

    def check_may_be_chosen(self, code: str) -> None:
        """Raise KeyError for a code that this view lacks, or that is counted as another currency."""
        self._check_is_chosen(code)
        if not self.matching(code):
            self.check_is_no_alias(code)

    def check_is_no_alias(self, key: object) -> None:
        """Raise KeyError for a code of which nothing is found, but that is counted as another currency: it is held."""
        match key:
            case str(code) | (str(code), str()) if currencies := self._aliased.get(normalize_code(code)):
                names = " and ".join(sorted(currencies))
                raise KeyError(f"{code} is an alias of {names} here: ask for {names}")
            case _:
                pass

    def _check_is_chosen(self, code: str) -> None:
        if self.chosen is not None and normalize_code(code) not in self.chosen:
            raise KeyError(f"{code} is not in this view of {name_some(self.chosen) or 'none'}")

    def _check_no_other_type_is_unknown(self, code: str, asset_type: AssetType) -> None:
        unknown = self.matching((code, AssetType.UNKNOWN))
        if unknown and asset_type != AssetType.UNKNOWN:
            raise AmbiguousCurrencyError(
                f"{unknown[0].plain} {unknown[0].currency} is of unknown type, and may be {asset_type}: see "
                f"[{unknown[0].currency!r}, AssetType.UNKNOWN]"
            )

    @functools.cached_property
    def _by_code(self) -> Mapping[str, tuple[CurrencyTotal, ...]]:
        return index_by_code(self.totals)

    @functools.cached_property
    def _aliased(self) -> Mapping[str, set[str]]:
        aliased: defaultdict[str, set[str]] = defaultdict(set)
        for snapshot in self.accounts:
            for balance in snapshot.balances:
                if balance.code is not balance.currency and (code := normalize_code(balance.code)) != balance.currency:
                    aliased[code].add(balance.currency)
        return aliased


def index_by_code(totals: Iterable[CurrencyTotal]) -> Mapping[str, tuple[CurrencyTotal, ...]]:
    """Return the totals of each code, of which there are as many as types of asset."""
    index: dict[str, tuple[CurrencyTotal, ...]] = {}
    for total in totals:
        index[total.currency] = (*index.get(total.currency, ()), total)
    return index
