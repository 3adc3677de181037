"""Merging the snapshots of many accounts by currency: pure, exact, in any order and in any parts."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from balancekit.errors import AmbiguousCurrencyError, IncompleteError
from balancekit.money.aliases import check_aliases
from balancekit.money.amounts import ZERO, add_exactly, check_total
from balancekit.money.balances import AccountBalances, AccountFailure, Balance
from balancekit.money.currencies import AssetType, check_code, currency_of


@attrs.frozen
class CurrencyTotal:
    """One currency summed over accounts, with the balances it was summed from."""

    currency: str = attrs.field(converter=check_code)
    asset_type: AssetType = attrs.field(converter=AssetType)
    amount: Decimal = attrs.field(converter=check_total)
    balances: tuple[Balance, ...] = attrs.field(converter=tuple[Balance, ...])


@attrs.frozen
class MergedBalances:
    """What all accounts hold together, by currency, and which accounts could not be read.

    Made by `merge`, and by `|` from parts. `totals` are sorted by currency, `accounts` and `failures` by label, so that
    results are equal whatever the order in which accounts answered. Iterating gives the totals.
    """

    totals: tuple[CurrencyTotal, ...] = attrs.field(converter=tuple[CurrencyTotal, ...])
    accounts: tuple[AccountBalances, ...] = attrs.field(converter=tuple[AccountBalances, ...])
    failures: tuple[AccountFailure, ...] = attrs.field(default=(), converter=tuple[AccountFailure, ...])

    def __attrs_post_init__(self) -> None:
        _refuse_repeated(self.accounts, self.failures)

    @property
    def complete(self) -> bool:
        """Whether the totals hold a fresh balance of every account."""
        return not self.failures and not any(snapshot.stale for snapshot in self.accounts)

    @property
    def as_of(self) -> datetime | None:
        """The moment of the oldest snapshot: no total is fresher than this; None without any snapshot."""
        return min((snapshot.fetched_at for snapshot in self.accounts), default=None)

    def __getitem__(self, key: str | tuple[str, AssetType]) -> CurrencyTotal:
        """Return the total of a currency by its code, or by code and type of asset.

        Raises KeyError if it is not held, AmbiguousCurrencyError if the code alone names more than one type of asset.
        """
        found = self._find(key)
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return key in self.totals if isinstance(key, CurrencyTotal) else bool(self._named(key))

    def __iter__(self) -> Iterator[CurrencyTotal]:
        return iter(self.totals)

    def __len__(self) -> int:
        return len(self.totals)

    def __or__(self, other: object) -> "MergedBalances":
        """Merge two results; ValueError if an account is in both, since it would be counted twice."""
        if not isinstance(other, MergedBalances):
            return NotImplemented
        return merge(self.accounts + other.accounts, self.failures + other.failures)

    def amount(self, currency: str, asset_type: AssetType | None = None) -> Decimal:
        """Return how much of a currency is held, zero if none.

        Raises AmbiguousCurrencyError if no type is given and the code names more than one type of asset.
        """
        found = self._find(currency if asset_type is None else (currency, asset_type))
        return ZERO if found is None else found.amount

    def nonzero(self) -> "MergedBalances":
        """Return the same result without the totals that are zero.

        Balances of opposite signs that cancel each other out are a total of zero; `accounts` still shows them.
        """
        return attrs.evolve(self, totals=tuple(total for total in self.totals if total.amount))

    def raise_for_failures(self) -> None:
        """Raise IncompleteError, which carries this result as `partial`, if any account could not be read."""
        if self.failures:
            names = ", ".join(failure.account for failure in self.failures)
            count = len(self.accounts) + len(self.failures)
            message = f"{len(self.failures)} of {count} accounts could not be read: {names}"
            raise IncompleteError(message, [failure.error for failure in self.failures], self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dicts, lists and strings ready for JSON; amounts are strings in plain notation."""
        from balancekit.money import serialization

        return serialization.to_dict(self)

    def to_json(self) -> str:
        """Return the result as JSON text; amounts are strings in plain notation."""
        from balancekit.money import serialization

        return serialization.to_json(self)

    def to_text(self, *, now: datetime | None = None) -> str:
        """Return the result as a few plain lines, for a chat: `BTC 1.5`, `EUR 20 (as of 14:02 UTC, 3 h old)`.

        A total with a `stale` balance in it tells the age of the oldest. A line for each account that is old or missing
        follows, and a last one that says INCOMPLETE, unless the result is `complete`. `now` is this moment by default.
        """
        from balancekit.money import text

        return text.to_text(self, now)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "MergedBalances":
        """Read back what `to_dict` made; ValueError if it is anything else, or if its totals do not add up."""
        from balancekit.money import serialization

        return serialization.from_dict(data)

    @classmethod
    def from_json(cls, text: str | bytes) -> "MergedBalances":
        """Read back what `to_json` made; ValueError if it is anything else, or if its totals do not add up."""
        from balancekit.money import serialization

        return serialization.from_json(text)

    def _find(self, key: object) -> CurrencyTotal | None:
        found = self._named(key)
        if len(found) > 1:
            types = " and ".join(total.asset_type for total in found)
            raise AmbiguousCurrencyError(
                f"{found[0].currency} is held as {types}: say which, for example "
                f"[{found[0].currency!r}, AssetType.{found[0].asset_type.name}]"
            )
        return found[0] if found else None

    def _named(self, key: object) -> list[CurrencyTotal]:
        match key:
            case str(code):
                currency, asset_type = currency_of(code), None
            case (str(code), str(asset_type)):
                currency = currency_of(code)
            case _:
                return []
        return [total for total in self.totals if total.currency == currency and asset_type in {None, total.asset_type}]


def merge(
    snapshots: Iterable[AccountBalances],
    failures: Iterable[AccountFailure] = (),
    *,
    aliases: Mapping[str, str] | None = None,
) -> MergedBalances:
    """Merge the snapshots of accounts by currency.

    Currencies merge when code and type of asset agree. A balance of unknown type joins the only known type of its code
    in this merge; if there are two, it stays by itself. `aliases` maps codes to the currency that they are to be
    counted as, by exact match (`{"USDCE": "USDC"}`): it sets `Balance.currency` and leaves `Balance.code` as sent.

    Raises ValueError if an account occurs twice, or if an alias leads to another alias.
    """
    table = check_aliases(aliases or {})
    renamed = (_renamed(snapshot, table) for snapshot in snapshots) if table else snapshots
    accounts = tuple(sorted(renamed, key=lambda snapshot: snapshot.account))
    failed = tuple(sorted(failures, key=lambda failure: failure.account))
    return MergedBalances(_totals(accounts), accounts, failed)


def _renamed(snapshot: AccountBalances, aliases: Mapping[str, str]) -> AccountBalances:
    if not any(balance.currency in aliases for balance in snapshot.balances):
        return snapshot
    balances = tuple(
        attrs.evolve(balance, currency=aliases.get(balance.currency, balance.currency)) for balance in snapshot.balances
    )
    return attrs.evolve(snapshot, balances=balances)


def _refuse_repeated(accounts: Iterable[AccountBalances], failures: Iterable[AccountFailure]) -> None:
    read: dict[str, AccountBalances] = {}
    for snapshot in accounts:
        if snapshot.account in read:
            raise ValueError(f"account {snapshot.account!r} would be counted twice")
        read[snapshot.account] = snapshot
    failed: set[str] = set()
    for failure in failures:
        if failure.account in failed:
            raise ValueError(f"account {failure.account!r} failed twice: merge each account once")
        failed.add(failure.account)
        # An earlier snapshot may stand in for the one that failed, but then it says so.
        if failure.account in read and not read[failure.account].stale:
            raise ValueError(f"account {failure.account!r} was both read and failed: merge each account once")


def _totals(accounts: Iterable[AccountBalances]) -> tuple[CurrencyTotal, ...]:
    # One look-up a balance: there are many of them, and few currencies.
    held: defaultdict[str, list[Balance]] = defaultdict(list)
    for snapshot in accounts:
        for balance in snapshot.balances:
            held[balance.currency].append(balance)
    return tuple(
        CurrencyTotal(currency, asset_type, add_exactly([balance.amount for balance in balances]), tuple(balances))
        for currency, together in sorted(held.items())
        for asset_type, balances in sorted(_by_type(together).items())
    )


def _by_type(together: list[Balance]) -> dict[AssetType, list[Balance]]:
    types = [balance.asset_type for balance in together]
    if types.count(types[0]) == len(types):
        return {types[0]: together}
    by_type: defaultdict[AssetType, list[Balance]] = defaultdict(list)
    for balance in together:
        by_type[balance.asset_type].append(balance)
    return _with_unknown_placed(by_type)


def _with_unknown_placed(by_type: dict[AssetType, list[Balance]]) -> dict[AssetType, list[Balance]]:
    known = [asset_type for asset_type in by_type if asset_type is not AssetType.UNKNOWN]
    if AssetType.UNKNOWN not in by_type or len(known) != 1:
        return by_type
    # Sorted again, since the order of the accounts is the order of every total's balances.
    together = sorted(by_type[known[0]] + by_type[AssetType.UNKNOWN], key=lambda balance: balance.account)
    return {known[0]: together}
