"""The totals of several accounts by currency: pure and exact."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from balancekit.money.amounts import add_exactly
from balancekit.money.balances import AccountBalances, Balance, CurrencyTotal
from balancekit.money.currencies import AssetType

_amount_of: Final = attrgetter("amount")
_asset_type_of: Final = attrgetter("asset_type")


def sum_by_currency(accounts: Iterable[AccountBalances]) -> tuple[CurrencyTotal, ...]:
    """Return the totals of all accounts, sorted by currency, each with its balances in the order of the accounts."""
    # By code first: one look-up for each balance, of which there are many, and types only for each code.
    held: defaultdict[str, list[Balance]] = defaultdict(list)
    snapshots: dict[str, AccountBalances] = {}
    for snapshot in accounts:
        snapshots[snapshot.account] = snapshot
        for balance in snapshot.balances:
            held[balance.currency].append(balance)
    return tuple(
        CurrencyTotal(currency, asset_type, add_exactly([*map(_amount_of, balances)]), tuple(balances), snapshots)
        for currency, together in sorted(held.items())
        for asset_type, balances in sorted(_by_type(together).items())
    )


def check_totals(totals: Iterable[CurrencyTotal], accounts: Iterable[AccountBalances]) -> None:
    """Raise ValueError unless the totals are those of the accounts; a view may lack totals that are zero."""
    expected = {(total.currency, total.asset_type): total for total in sum_by_currency(accounts)}
    for total in totals:
        whole = expected.pop((total.currency, total.asset_type), None)
        if add_exactly(balance.amount for balance in total.balances) != total.amount:
            problem = "do not add up to its total"
        elif whole is not None and Counter(total.balances) == Counter(whole.balances):
            continue
        elif any(
            balance.currency != total.currency or balance.asset_type not in {total.asset_type, AssetType.UNKNOWN}
            for balance in total.balances
        ):
            problem = "are of another currency or type"
        else:
            problem = "are not those of the accounts"
        raise ValueError(f"not a merged result: the balances of {total.currency} {problem}")
    for missing in expected.values():
        if missing.amount:
            raise ValueError(f"not a merged result: the total of {missing.currency} is missing")


def _by_type(together: list[Balance]) -> dict[AssetType, list[Balance]]:
    types = [*map(_asset_type_of, together)]
    if types.count(types[0]) == len(types):
        return {types[0]: together}
    by_type: defaultdict[AssetType, list[Balance]] = defaultdict(list)
    for balance in together:
        by_type[balance.asset_type].append(balance)
    return _place_unknown(by_type)


def _place_unknown(by_type: dict[AssetType, list[Balance]]) -> dict[AssetType, list[Balance]]:
    known = [asset_type for asset_type in by_type if asset_type is not AssetType.UNKNOWN]
    if AssetType.UNKNOWN not in by_type or len(known) != 1:
        return by_type
    # Every total's balances are in the order of the accounts.
    together = sorted(by_type[known[0]] + by_type[AssetType.UNKNOWN], key=lambda balance: balance.account)
    return {known[0]: together}
