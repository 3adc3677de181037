"""What changed between two results: exact differences, by currency and by account. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs

from balancekit.money.amounts import ZERO, add_exactly, format_amount, subtract_exactly
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.currencies import AssetType, normalize_code
from balancekit.money.layout import isolate, name_some
from balancekit.money.notice import all_labels
from balancekit.money.totals import sum_by_currency


@attrs.frozen
class TotalChange:
    """The total of one currency that differs: its amounts before and after, and `after` less `before`."""

    currency: str
    asset_type: AssetType
    before: Decimal
    after: Decimal
    difference: Decimal

    @property
    def plain(self) -> str:
        """The difference as text, with its sign and never with an exponent: `+0.5`."""
        return f"{self.difference:+f}"


@attrs.frozen
class AccountChange:
    """One currency that differs in one account: its amounts before and after, and `after` less `before`."""

    account: str
    provider: str
    currency: str
    asset_type: AssetType
    before: Decimal
    after: Decimal
    difference: Decimal

    @property
    def plain(self) -> str:
        """The difference as text, with its sign and never with an exponent: `+0.5`."""
        return f"{self.difference:+f}"


@attrs.frozen
class Changes:
    """What changed from one result to a later one, as if the accounts compared had been merged by themselves.

    `totals` and `accounts` have only what differs; the differences of the accounts add up to those of the totals.
    `compared` are the labels of the accounts that both results have read fresh; `unknown` those of all others, which
    one of the results lacks, could not read or has stale: they are in no difference, so that a failure is no loss.
    `scope` says which currencies and accounts were asked for, None for all.
    """

    totals: tuple[TotalChange, ...]
    accounts: tuple[AccountChange, ...]
    unknown: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    scope: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every account of both results was compared."""
        return not self.unknown

    def __str__(self) -> str:
        """Return a line for each total that changed, and a last one that says INCOMPLETE if accounts are unknown."""
        codes = Counter(change.currency for change in self.totals)
        lines = [] if self.scope is None else [self.scope]
        for change in self.totals:
            name = isolate(change.currency) + ("" if codes[change.currency] == 1 else f" ({change.asset_type})")
            before, after = format_amount(change.before), format_amount(change.after)
            lines.append(f"{name} {change.plain} (from {before} to {after})")
        if not self.totals:
            lines.append("No change" if self.compared else "Nothing to compare")
        if self.unknown:
            count = len(self.unknown) + len(self.compared)
            named = name_some(self.unknown)
            lines.append(f"INCOMPLETE: {len(self.unknown)} of {count} accounts not compared: {named}")
        return "\n".join(lines)


@attrs.frozen
class Side:
    """What is compared of a result; `chosen_currencies` are those of a view, and `scope` says which it has."""

    accounts: tuple[AccountBalances, ...]
    failures: tuple[AccountFailure, ...]
    chosen_currencies: tuple[str, ...] | None
    scope: str | None


def compare(earlier: Side, later: Side) -> Changes:
    """Return what changed between the accounts of two results; see `MergedBalances.changes_since`."""
    _check_currencies(earlier, later)
    before, after = _fresh(earlier.accounts), _fresh(later.accounts)
    # A label that another provider has now is another account.
    common = before.keys() & after.keys()
    compared = sorted(label for label in common if before[label].provider == after[label].provider)
    accounts_before, accounts_after = [before[label] for label in compared], [after[label] for label in compared]
    _check_aliases(accounts_before, accounts_after, are_views=earlier.chosen_currencies is not None)
    labels = all_labels(earlier.accounts, earlier.failures) | all_labels(later.accounts, later.failures)
    amounts_before, amounts_after = _amounts(accounts_before), _amounts(accounts_after)
    totals: list[TotalChange] = []
    accounts: list[AccountChange] = []
    for currency in sorted(amounts_before.keys() | amounts_after.keys()):
        was, now = amounts_before[currency], amounts_after[currency]
        all_was, all_now = add_exactly(was.values()), add_exactly(now.values())
        if all_was != all_now:
            totals.append(TotalChange(*currency, all_was, all_now, subtract_exactly(all_now, all_was)))
        for label in was.keys() | now.keys():
            one_was, one_now = was.get(label, ZERO), now.get(label, ZERO)
            if one_was != one_now:
                provider, difference = after[label].provider, subtract_exactly(one_now, one_was)
                accounts.append(AccountChange(label, provider, *currency, one_was, one_now, difference))
    accounts.sort(key=lambda change: (change.account, change.currency, change.asset_type))
    unknown, scope = sorted(labels.difference(compared)), earlier.scope if later.scope is None else later.scope
    return Changes(tuple(totals), tuple(accounts), tuple(unknown), tuple(compared), scope)


def _amounts(accounts: Iterable[AccountBalances]) -> Mapping[tuple[str, AssetType], Mapping[str, Decimal]]:
    """Return what each account has in each total of these accounts, by currency and type."""
    held: defaultdict[tuple[str, AssetType], Mapping[str, Decimal]] = defaultdict(dict)
    for total in sum_by_currency(accounts):
        by_account: defaultdict[str, list[Decimal]] = defaultdict(list)
        for balance in total.balances:
            by_account[balance.account].append(balance.amount)
        held[total.currency, total.asset_type] = {label: add_exactly(each) for label, each in by_account.items()}
    return held


def _fresh(accounts: Iterable[AccountBalances]) -> dict[str, AccountBalances]:
    return {snapshot.account: snapshot for snapshot in accounts if not snapshot.stale}


def _check_currencies(earlier: Side, later: Side) -> None:
    """Raise ValueError if one result has a currency that the other leaves out: it would look like a loss or a gain."""
    before, after = earlier.chosen_currencies, later.chosen_currencies
    if (None if before is None else {*before}) != (None if after is None else {*after}):
        raise ValueError(
            f"only results of the same currencies can be compared: the earlier one is {_view(earlier)}, the later one "
            f"{_view(later)}"
        )


def _view(side: Side) -> str:
    return "of all currencies" if side.chosen_currencies is None else f"a view: {side.scope}"


def _check_aliases(before: Iterable[AccountBalances], after: Iterable[AccountBalances], *, are_views: bool) -> None:
    """Raise ValueError if an account's code is counted as one currency in one result and as another in the other.

    Another account may well count it as another currency, by aliases of its own.
    """
    earlier, later = _currencies(before), _currencies(after)
    for name in sorted(earlier.keys() | later.keys()):
        account, code = name
        was, now = earlier.get(name), later.get(name)
        if was is None or now is None:
            # A view of some currencies would not show what the code is counted as without the alias.
            if are_views and (was or now) != {normalize_code(code)}:
                raise ValueError(
                    f"{code} of {account} is counted as another currency in one of the views, and is not in the "
                    "other, perhaps by its aliases: compare the results that the views are of"
                )
        elif was.isdisjoint(now):
            raise ValueError(
                f"{code} of {account} is {' and '.join(sorted(was))} in the earlier result and "
                f"{' and '.join(sorted(now))} in the later one: merge both with the same aliases"
            )


def _currencies(accounts: Iterable[AccountBalances]) -> dict[tuple[str, str], set[str]]:
    """Return what each code of each account is counted as."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for snapshot in accounts:
        for balance in snapshot.balances:
            found[balance.account, balance.code].add(balance.currency)
    return found
