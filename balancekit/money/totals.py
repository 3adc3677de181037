"""The totals of several accounts by currency: pure and exact."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal

import attrs

from balancekit.money.amounts import add_exactly
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal
from balancekit.money.currencies import AssetType


def sum_by_currency(accounts: Iterable[AccountBalances], notice: str | None = None) -> tuple[CurrencyTotal, ...]:
    """Return the totals of all accounts, sorted by currency, each with its balances in the order of the accounts.

    `notice` is what their result says of itself.
    """
    # By code first: one look-up for each balance, of which there are many, and types only for each code.
    held: defaultdict[str, list[Balance]] = defaultdict(list)
    snapshots: dict[str, AccountBalances] = {}
    for snapshot in accounts:
        snapshots[snapshot.account] = snapshot
        for balance in snapshot.balances:
            held[balance.currency].append(balance)
    return tuple(
        CurrencyTotal(
            currency,
            asset_type,
            add_exactly([balance.amount for balance in balances]),
            tuple(balances),
            snapshots,
            notice,
        )
        for currency, together in sorted(held.items())
        for asset_type, balances in sorted(_by_type(together).items())
    )


def check_distinct(accounts: Iterable[AccountBalances], failures: Iterable[AccountFailure]) -> None:
    """Raise ValueError if an account is in a result twice."""
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
        # An earlier snapshot may stand in for one that could not be read, but then it is marked as stale.
        if failure.account in read and not read[failure.account].stale:
            raise ValueError(f"account {failure.account!r} was both read and failed: merge each account once")


@attrs.frozen
class WrittenTotal:
    """What was written of a total, which need not be true; `balances` are None where they were not written."""

    currency: str
    asset_type: AssetType
    amount: Decimal
    available: Decimal | None = None
    pending: Decimal | None = None
    balances: tuple[Balance, ...] | None = None


def restore_totals(
    written: Iterable[WrittenTotal], accounts: Iterable[AccountBalances], notice: str | None
) -> tuple[CurrencyTotal, ...]:
    """Return the totals that were written, summed anew; a view may lack totals that are zero.

    Raises ValueError unless they are those of the accounts.
    """
    summed = {(total.currency, total.asset_type): total for total in sum_by_currency(accounts, notice)}
    restored: list[CurrencyTotal] = []
    for total in written:
        whole = summed.pop((total.currency, total.asset_type), None)
        if whole is None:
            problem = "are not those of the accounts, or are of another currency or type"
        elif _parts_of(whole) != _parts_of(total):
            problem = "do not add up to its total"
        elif total.balances is not None and Counter(total.balances) != Counter(whole.balances):
            problem = "are not those of the accounts"
        else:
            restored.append(whole)
            continue
        raise ValueError(f"the balances of {total.currency} {problem}")
    for missing in summed.values():
        if not missing.is_zero:
            raise ValueError(f"the total of {missing.currency} is missing")
    return tuple(restored)


def _parts_of(total: CurrencyTotal | WrittenTotal) -> tuple[Decimal | None, ...]:
    return total.amount, total.available, total.pending


def _by_type(together: list[Balance]) -> dict[AssetType, list[Balance]]:
    types = [balance.asset_type for balance in together]
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
