"""What many accounts hold together, and what of it is missing or old: the result of every read."""

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import attrs

from balancekit.errors import BalancekitError
from balancekit.money import text, views
from balancekit.money.amounts import ZERO
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal
from balancekit.money.chat import Bounds, TextStyle
from balancekit.money.currencies import AssetType
from balancekit.money.groups import Key, group_totals
from balancekit.money.lookup import Lookup
from balancekit.money.notice import all_labels, describe_notice
from balancekit.money.repeated import refuse_repeated
from balancekit.money.totals import check_distinct, sum_by_currency

if TYPE_CHECKING:
    from balancekit.money.changes import Changes
    from balancekit.money.rates import Rates
    from balancekit.money.valuation import Valuation


@attrs.frozen(repr=False)
class MergedBalances:
    """What all accounts hold together, by currency, and which accounts could not be read.

    Made by `merge`, and by `|` from parts. `totals` are sorted by currency, `accounts` and `failures` by label, so that
    results are equal whatever the order in which accounts were read. Iterating gives the totals.

    A view has a part of the whole and says which: `chosen_accounts` are the labels that were asked for, sorted, and
    `chosen_currencies` the codes, in the order in which they were; None stands for all. `totals` are in that order.
    """

    totals: tuple[CurrencyTotal, ...] = attrs.field(converter=tuple[CurrencyTotal, ...])
    accounts: tuple[AccountBalances, ...] = attrs.field(converter=tuple[AccountBalances, ...])
    failures: tuple[AccountFailure, ...] = attrs.field(default=(), converter=tuple[AccountFailure, ...])
    chosen_accounts: tuple[str, ...] | None = attrs.field(default=None, converter=views.chosen_labels)
    chosen_currencies: tuple[str, ...] | None = attrs.field(default=None, converter=views.chosen_codes)

    def __attrs_post_init__(self) -> None:
        check_distinct(self.accounts, self.failures)
        views.check_chosen(self.totals, self.accounts, self.failures, self.chosen_accounts, self.chosen_currencies)

    @property
    def complete(self) -> bool:
        """Whether the totals hold a fresh balance of every account; of a view, of every account that was chosen."""
        return self._complete

    @property
    def as_of(self) -> datetime | None:
        """The moment of the oldest snapshot, so that no total is older than this; None without any snapshot."""
        return min((snapshot.as_of for snapshot in self.accounts), default=None)

    @property
    def notice(self) -> str | None:
        """One line that says which accounts are missing and which balances are old, by account; None if complete.

        It begins with INCOMPLETE, or with NOTHING READ where there is no snapshot at all.
        """
        return describe_notice(self.accounts, self.failures)

    @property
    def scope(self) -> str | None:
        """One line that says which accounts and currencies a view has; None for the whole result."""
        return views.describe_scope(self.chosen_accounts, self.chosen_currencies)

    def __getitem__(self, key: str | tuple[str, AssetType]) -> CurrencyTotal:
        """Return the total of a currency by its code, or by code and type of asset.

        Raises KeyError if it is not held, AmbiguousCurrencyError if the code alone names more than one type of asset.
        """
        found = self._lookup.find(key)
        if found is None:
            self._lookup.check_is_no_alias(key)
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return key in self.totals if isinstance(key, CurrencyTotal) else bool(self._lookup.matching(key))

    def __iter__(self) -> Iterator[CurrencyTotal]:
        return iter(self.totals)

    def __len__(self) -> int:
        return len(self.totals)

    def __repr__(self) -> str:
        # One line, whatever is held: all of it is in `to_json()`.
        facts = (self.scope, self.notice)
        held = f"{len(self.totals)} totals, {len(self.accounts)} accounts"
        return f"<{'; '.join((f'MergedBalances: {held}', *filter(None, facts)))}>"

    def __str__(self) -> str:
        """Return `to_text()`: what is old or missing shows wherever the result is printed."""
        return self.to_text()

    def __or__(self, other: object) -> "MergedBalances":
        """Merge two results; ValueError if an account is in both, since it would be counted twice."""
        if not isinstance(other, MergedBalances):
            return NotImplemented
        codes = views.same_currencies(self.chosen_currencies, other.chosen_currencies)
        accounts = self.accounts + other.accounts
        refuse_repeated(accounts)
        merged = add_up(accounts, self.failures + other.failures)
        labels = views.both_accounts(self.chosen_accounts, other.chosen_accounts, merged._labels)
        totals = views.in_order(merged.totals, codes)
        return attrs.evolve(merged, totals=totals, chosen_accounts=labels, chosen_currencies=codes)

    def amount(self, currency: str, asset_type: AssetType | None = None, *, partial: bool = False) -> Decimal:
        """Return how much of a currency is held in all accounts, zero if none.

        Raises IncompleteError if the result is not `complete`: what is missing may be large. With `partial` the sum of
        what was read is returned, however old. Raises AmbiguousCurrencyError if no type is given and the code names
        more than one type of asset, or if some of it is of unknown type and may be of the one that is given; KeyError
        if the result is a view of other currencies, or counts the code as another one, by an alias; TypeError or
        ValueError for what is no code, or no type.
        """
        found = self._lookup.find_currency(currency, asset_type)
        if not partial:
            self._check_complete(f"the amount of {currency}")
        if found is None:
            self._lookup.check_is_no_alias(currency)
        return ZERO if found is None else found.amount

    def only(self, *currencies: str) -> "MergedBalances":
        """Return a view of some currencies, in the order given, with every account and failure.

        What is not held is not in it. Raises ConfigError for a currency that is given twice, KeyError for one that
        this view lacks itself, and for a code that is counted as another currency.
        """
        codes = views.chosen_codes(currencies) or ()
        for code in codes:
            self._lookup.check_may_be_chosen(code)
        accounts = views.with_currencies(self.accounts, codes)
        totals, failures = views.in_order(self.totals, codes), views.as_shown(self.failures, accounts)
        return attrs.evolve(self, totals=totals, accounts=accounts, failures=failures, chosen_currencies=codes)

    def of(self, account: str) -> "MergedBalances":
        """Return a view of one account: its balances summed, and its failure if it has one.

        Raises LookupError for a label that the result does not have.
        """
        if account not in self._labels:
            raise LookupError(f"the result has no account {account!r}")
        accounts = tuple(snapshot for snapshot in self.accounts if snapshot.account == account)
        failures = tuple(failure for failure in self.failures if failure.account == account)
        summed = sum_by_currency(accounts, describe_notice(accounts, failures))
        totals = views.in_order(summed, self.chosen_currencies)
        return MergedBalances(totals, accounts, failures, (account,), self.chosen_currencies)

    def nonzero(self) -> "MergedBalances":
        """Return the same result without the totals that are zero, with every account and failure.

        One with something available or pending stays.
        Balances of opposite signs that cancel each other out are a total of zero; `accounts` still shows them.
        """
        return attrs.evolve(self, totals=tuple(total for total in self.totals if not total.is_zero))

    def raise_for_failures(self) -> None:
        """Raise IncompleteError, which carries this result as `partial`, unless it is complete.

        It holds the error of each account that could not be read, or whose balances may have changed since they were.
        """
        if not self.complete:
            raise IncompleteError(self.notice or "", views.why_incomplete(self.accounts, self.failures), self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dicts, lists and strings ready for JSON; amounts are strings in plain notation."""
        from balancekit.money import json_format

        return json_format.write_result(
            self.totals, self.accounts, self.failures, self.chosen_accounts, self.chosen_currencies
        )

    def to_json(self) -> str:
        """Return the result as JSON text; amounts are strings in plain notation."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def to_text(
        self,
        *,
        by_value: "Valuation | None" = None,
        keep: Iterable[str] = (),
        align: bool = False,
        max_lines: int | None = None,
        now: datetime | None = None,
    ) -> str:
        """Return the result as a few plain lines, for a chat: `BTC 1.5`, `EUR 20 (as of 14:02 UTC, 3 h old)`.

        The first line of a view says which accounts and currencies it has. A total with a `stale` balance in it shows
        the age of the oldest. Lines on the accounts that are old or missing follow, and the last one is the `notice`,
        unless the result is `complete`. `now` is this moment by default; the others are parameters of `to_texts`.
        """
        (message,) = self.to_texts(by_value=by_value, keep=keep, align=align, max_lines=max_lines, now=now)
        return message

    def to_texts(
        self,
        limit: int | None = None,
        *,
        style: TextStyle = "plain",
        by_value: "Valuation | None" = None,
        keep: Iterable[str] = (),
        align: bool | None = None,
        max_parts: int | None = None,
        max_total: int | None = None,
        max_lines: int | None = None,
        now: datetime | None = None,
    ) -> list[str]:
        """Return the result as messages for a chat: the lines of `to_text`, each whole, in texts of at most `limit`.

        `style` is "plain", "telegram" (HTML), "discord" or "discord_embed" (a block of code), with a limit of its own:
        none, 4096, 2000 and 4096. Lengths are in UTF-16 units, mark-up included, never less than `len`. Codes and
        labels are escaped. Amounts are aligned, by default where there is mark-up. An incomplete result has its notice
        in each message, with numbers of accounts where there is no room for names. The largest value comes first with
        `by_value=merged.value_in("EUR", rates)`, a debt counted as what is held, and what has no rate comes last.

        Every currency is in a message unless all together have a bound: `max_parts` messages, `max_total` UTF-16 units,
        or `max_lines` lines about currencies. Then there are as many as there is room for, and a line such as `and 97
        more currencies`; those in `keep`, such as `("EUR", "USDC")`, are never left out. Raises ConfigError, which says
        the least that is possible, if a bound has no room for a line or for what is kept.
        """
        totals = self.totals if by_value is None else text.largest_first(self.totals, by_value)
        bounds = Bounds(style, limit, max_parts, max_total, max_lines)
        align = style != "plain" if align is None else align
        return text.to_texts(
            totals, self.accounts, self.failures, bounds, keep=keep, align=align, scope=self.scope, now=now
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat dict for each balance, for data frames and reports; `as_of` is a moment in UTC.

        The keys are account, provider, currency, asset_type (as text), amount, available and pending (each a Decimal;
        None where it is not known), code, chain, reference, as_of and stale. Those of an incomplete result have a last
        key `notice`: their sum would lack something.
        """
        from balancekit.money import rows

        return rows.balance_rows(self.accounts, notice=self.notice)

    def to_csv(self, by: str = "balance", *, separator: str = ",", bom: bool = False, decimal: str = ".") -> str:
        """Return the result as CSV: a row for each balance, with the columns of `rows()`, or each total.

        Amounts are in plain notation with every digit. A text that a spreadsheet would take for a formula has a `'` in
        front. An incomplete result has a last column `notice`, filled in every row, and one row for it if there is no
        other; the totals of a view have a column `scope`. For Excel write a byte order mark (`bom`), and the
        `separator` (one of `,` `;` tab `|`) and `decimal` mark of its language. Raises ConfigError for others.
        """
        from balancekit.money import csv_text

        return csv_text.to_csv(
            self.totals,
            self.accounts,
            by=by,
            scope=self.scope,
            notice=self.notice,
            separator=separator,
            bom=bom,
            decimal=decimal,
        )

    def _repr_html_(self) -> str:
        from balancekit.money import html_text

        return html_text.to_html(self.totals, self.accounts, self.failures, scope=self.scope)

    def totals_by(self, key: Callable[[Balance], Key], *, partial: bool = False) -> dict[Key, list[CurrencyTotal]]:
        """Return exact totals by `key(balance)`. Raises IncompleteError unless the result is complete or `partial`.

        A total that `nonzero()` has left out may have parts that are not zero.
        """
        if not partial:
            self._check_complete("the totals by a key")
        every = views.in_order(sum_by_currency(self.accounts, self.notice), self.chosen_currencies)
        return group_totals(self.totals, key, of_all=every)

    def changes_since(self, earlier: "MergedBalances") -> "Changes":
        """Return the exact differences from an earlier result, by currency and by account; see `Changes`.

        Raises ValueError if the results were merged with different aliases, or are not of the same currencies.
        """
        from balancekit.money.changes import Side, compare

        return compare(*(Side(one.accounts, one.failures, one.chosen_currencies, one.scope) for one in (earlier, self)))

    def value_in(
        self, target: str | tuple[str, AssetType], rates: "Rates | Sequence[Rates]", *, places: int | None = None
    ) -> "Valuation":
        """Return the value of the totals in one currency; a total without a rate is in `not_valued`, and in no sum.

        `rates` is a `RateSource`, a mapping of a code (or code and type) to what one unit of it is worth, or several in
        a list (the first that has a rate counts). `Valuation` says what is rounded. ConfigError names a wrong rate.
        """
        from balancekit.money.valuation import value_totals

        valued = value_totals(self.totals, target, rates, places=places)
        whole = self.complete and valued.complete
        return attrs.evolve(valued, complete=whole, notice=self.notice, scope=self.scope, as_of=self.as_of)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` made; ValueError if it is anything else, or if its totals do not add up."""
        from balancekit.money import json_format

        return json_format.read_result(data, cls)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read back what `to_json` made; ValueError if it is anything else, or if its totals do not add up."""
        from balancekit.money import json_format

        return cls.from_dict(json_format.parse(text))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of what `to_dict` and `to_json` make."""
        from balancekit.money import json_schema

        return json_schema.read_schema()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        """Return how pydantic reads and writes results, so that FastAPI takes the class as a response model."""
        from balancekit.money import json_schema

        return json_schema.pydantic_schema(cls, cls.from_dict, cls.to_dict)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, Any]:
        """Return the JSON Schema, for the description of an API."""
        from balancekit.money import json_schema

        return json_schema.read_inline_schema()

    def _check_complete(self, what: str) -> None:
        if not self.complete:
            message = f"{what} is not known: {self.notice}. With partial=True it is that of what was read"
            raise IncompleteError(message, views.why_incomplete(self.accounts, self.failures), self)

    @functools.cached_property
    def _complete(self) -> bool:
        return not self.failures and True not in {snapshot.stale for snapshot in self.accounts}

    @functools.cached_property
    def _labels(self) -> frozenset[str]:
        return all_labels(self.accounts, self.failures)

    @functools.cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.totals, self.accounts, self.chosen_currencies)


class IncompleteError(BalancekitError, ExceptionGroup[BalancekitError]):
    """Some accounts could not be read: a group of their errors, with what was read in `partial`."""

    partial: MergedBalances

    def __new__(cls, message: str, errors: Sequence[BalancekitError], partial: MergedBalances) -> Self:
        """Group the errors; at least one is needed."""
        self = super().__new__(cls, message, errors)
        self.partial = partial
        return self

    def __init__(self, message: str, errors: Sequence[BalancekitError], partial: MergedBalances) -> None:
        del partial
        super().__init__(message, errors)

    # `split`, `subgroup` and `except*` make their groups by this method, and would lose `partial` without it. typeshed
    # types it for groups of any exceptions, which this group does not take.
    def derive(self, excs: Sequence[Any], /) -> "IncompleteError":  # type: ignore[override]
        """Return a group of some of the errors with the same `partial`."""
        return IncompleteError(self.message, excs, self.partial)

    def __reduce__(self) -> tuple[type["IncompleteError"], tuple[object, ...]]:
        return type(self), (self.message, self.exceptions, self.partial)


def add_up(
    snapshots: Iterable[AccountBalances],
    failures: Iterable[AccountFailure],
    chosen_accounts: Iterable[str] | None = None,
) -> MergedBalances:
    """Return the totals of snapshots in any order, with what is missing; no balance may be listed twice.

    Raises ValueError if an account occurs twice.
    """
    accounts = tuple(sorted(snapshots, key=lambda snapshot: snapshot.account))
    failed = views.as_shown(sorted(failures, key=lambda failure: failure.account), accounts)
    totals = sum_by_currency(accounts, describe_notice(accounts, failed))
    return MergedBalances(totals, accounts, failed, chosen_accounts)
