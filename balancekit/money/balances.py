"""What accounts hold, as frozen values that are checked when made: balances, snapshots, failures and totals."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final, Self, cast

import attrs

from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.amounts import add_exactly, check_amount, check_total, format_amount
from balancekit.money.currencies import AssetType, check_chain, check_code, check_label, normalize_code
from balancekit.money.exact_json import ShapeError


# The parameters of a constructor have the types of their converters' parameters. The converters check at run time as
# well, for callers without a type checker: they reject a float, for example.
def _currency(value: str) -> str:
    return normalize_code(check_code(value))


def _asset_type(value: AssetType | str) -> AssetType:
    return AssetType(value)


def _optional_chain(value: str | None) -> str | None:
    return None if value is None else check_chain(value)


def _optional_label(value: str | None) -> str | None:
    return None if value is None else check_label(value)


def _optional_amount(value: Decimal | None) -> Decimal | None:
    return None if value is None else check_amount(value)


def utc_moment(value: datetime) -> datetime:
    """Return a moment in UTC.

    TypeError for anything else, ValueError without a time zone, or outside the years 1 to 9999 in UTC.
    """
    if not isinstance(value, datetime):  # pyright: ignore[reportUnnecessaryIsInstance] - an adapter may return anything
        raise TypeError(f"a moment must be a datetime, not {type(value).__name__}")
    if value.tzinfo is None:
        raise ValueError("a moment must say its time zone")
    if value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment must be in the years 1 to 9999 in UTC, too") from None


@attrs.frozen(weakref_slot=False)
class Balance:
    """One currency held in one account, as one provider reported it.

    `currency` is the code in upper case, after aliases; `code` is the code as it was sent. `amount` is in units of the
    currency (never in cents or satoshi), at the scale that the provider reported. `chain` names the blockchain where
    the provider says it, and `reference` is the provider's own id of the balance.

    `amount` is what the ledger holds. `available` is what can be used of it now, and `pending` what is on its way and
    not in `amount` yet; each is None where the provider does not say it.
    """

    currency: str = attrs.field(converter=_currency)
    amount: Decimal = attrs.field(converter=check_amount)
    asset_type: AssetType = attrs.field(converter=_asset_type)
    account: str = attrs.field(converter=check_label)
    provider: str = attrs.field(converter=check_label)
    code: str = attrs.field(converter=check_code)
    chain: str | None = attrs.field(default=None, converter=_optional_chain)
    reference: str | None = attrs.field(default=None, converter=_optional_label)
    available: Decimal | None = attrs.field(default=None, converter=_optional_amount)
    pending: Decimal | None = attrs.field(default=None, converter=_optional_amount)

    @property
    def plain(self) -> str:
        """The amount as text with all its decimals, never with an exponent."""
        return format_amount(self.amount)


def is_zero(balance: Balance) -> bool:
    """Whether there is no amount, nothing available, and nothing pending."""
    return not (balance.amount or balance.available or balance.pending)


class BalanceDraft:
    """A balance whose fields are being set, one after another, and not checked: `finish_balances` makes it a `Balance`.

    It has the same slots, of which an adapter sets those that a provider reports.
    """

    # Only a class with exactly the same slots can be assigned to `__class__`: therefore `Balance` is made with
    # `weakref_slot=False`.
    __slots__ = tuple(field.name for field in attrs.fields(Balance))

    currency: str
    amount: Decimal
    asset_type: AssetType
    account: str
    provider: str
    code: str
    chain: str | None
    reference: str | None
    available: Decimal | None
    pending: Decimal | None


# There are few of them. A cache of labels would hit only if it were larger than there are accounts, and keep them all.
_checked_provider: Final = lru_cache(maxsize=64)(check_label)


def finish_balances(account: str, provider: str, drafts: Iterable[BalanceDraft]) -> tuple[Balance, ...]:
    """Return the drafts as the balances of one account, without checking or converting any of their fields.

    It is for adapters that have read every field by a function of `balancekit.http.fields`, of APIs that report neither
    what is available nor what is pending. The constructor would check all fields again, and a fetch would take 40 %
    longer. Raises ValueError or TypeError for an account or a provider that is no label: these two alone are checked.
    """
    account, provider = check_label(account), _checked_provider(provider)
    balances: tuple[Any, ...] = tuple(drafts)
    for draft in balances:
        draft.account = account
        draft.provider = provider
        draft.available = draft.pending = None
        # Setting the slots and then the class takes less than half the time of setting the fields of a frozen object.
        draft.__class__ = Balance
    return balances


def set_back(moment: datetime, seconds: float) -> datetime:
    """Return a moment set back by so many seconds, at most to the year 1: some APIs report that for 'never'."""
    shift = timedelta(seconds=seconds)
    return max(moment, datetime.min.replace(tzinfo=UTC) + shift) - shift


def check_ends_by_itself(balances: object) -> None:
    """Raise ShapeError for an iterator, such as `map`, that just ends if what it calls raises StopIteration.

    A generator raises RuntimeError then.
    """
    if isinstance(balances, Iterator) and not isinstance(balances, Generator):
        raise ShapeError(f"expected a list of balances, got {type(cast('object', balances)).__name__}")


class ReportedBalances(tuple[Balance, ...]):  # noqa: SLOT001 - a tuple with attributes has no slots
    """Balances of one account with the moment of which the provider reports them; an adapter may return them.

    Raises ValueError if `reported_at` is no `datetime`, or has no time zone.
    """

    reported_at: datetime

    def __new__(cls, balances: Iterable[Balance], *, reported_at: datetime) -> Self:
        """Make them of balances in a list or another iterable, or by a generator."""
        check_ends_by_itself(balances)
        self = super().__new__(cls, balances)
        try:
            self.reported_at = utc_moment(reported_at)
        except (TypeError, ValueError) as error:
            raise ShapeError(f"reported_at: {error}") from None
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return partial(ReportedBalances, reported_at=self.reported_at), (tuple(self),)


@attrs.frozen
class AccountBalances:
    """All balances of one account, read at one moment.

    `fetched_at` is the moment (in UTC) at which the request was sent, so that the balances are never older than that,
    unless the provider says so: `reported_at` is the moment of which it reports them, None where it says none. A
    `stale` snapshot is an earlier one, shown because a newer one could not be read, or is still to be.
    """

    account: str = attrs.field(converter=check_label)
    provider: str = attrs.field(converter=check_label)
    balances: tuple[Balance, ...] = attrs.field(converter=tuple[Balance, ...])
    fetched_at: datetime = attrs.field(converter=utc_moment)
    stale: bool = False
    reported_at: datetime | None = None

    @property
    def as_of(self) -> datetime:
        """The moment of the balances: the older of `fetched_at` and `reported_at`."""
        return self.fetched_at if self.reported_at is None else min(self.fetched_at, self.reported_at)

    def age(self, now: datetime | None = None) -> float:
        """Return how many seconds ago `as_of` was; `now` is this moment by default. It is never negative."""
        return max(0.0, ((datetime.now(UTC) if now is None else now) - self.as_of).total_seconds())

    def __attrs_post_init__(self) -> None:
        # A validator and a converter would be called for each of many accounts.
        if type(self.stale) is not bool:
            raise TypeError(f"stale must be a bool, not {type(self.stale).__name__}")
        if self.reported_at is not None:
            object.__setattr__(self, "reported_at", utc_moment(self.reported_at))
        account, provider = self.account, self.provider
        for balance in self.balances:
            # Nearly all balances have the very labels of the snapshot, and comparing strings takes three times as long.
            if balance.__class__ is not Balance or balance.account is not account or balance.provider is not provider:
                self._check_balances()
                return

    def _check_balances(self) -> None:
        for index, balance in enumerate(self.balances):
            if not isinstance(balance, Balance):  # pyright: ignore[reportUnnecessaryIsInstance] - an adapter may return anything
                raise TypeError(f"balances[{index}] must be a Balance, not {type(balance).__name__}")
            if balance.account != self.account or balance.provider != self.provider:
                raise ValueError(f"balances[{index}] belongs to another account than {self.account!r}")


def comparable_error(error: BalancekitError | None) -> tuple[object, ...]:
    """Return what is equal for errors that say the same: exceptions themselves are equal only to themselves."""
    comparable: tuple[object, ...] = (type(error), str(error))
    if isinstance(error, ProviderError):
        comparable += (error.account, error.provider, error.status, error.code, error.retryable)
        comparable += (error.hint, error.retry_after)
    return comparable


@attrs.frozen
class AccountFailure:
    """One account that could not be read, why, and what was last known of it.

    Two failures are equal if their errors have the same class, message and attributes; exceptions themselves are equal
    only to themselves.
    """

    account: str = attrs.field(converter=check_label)
    provider: str = attrs.field(converter=check_label)
    error: BalancekitError = attrs.field(eq=comparable_error, validator=attrs.validators.instance_of(BalancekitError))
    last_known: AccountBalances | None = None


_NO_SNAPSHOTS: Final[Mapping[str, AccountBalances]] = MappingProxyType({})


@attrs.frozen
class CurrencyTotal:
    """One currency summed over accounts, with the balances it was summed from.

    `snapshots`, by account, are what the balances are from; the total's age is theirs. `notice` is that of the result
    which the total is from: one line that says what is missing or old there, None if nothing is.
    """

    currency: str = attrs.field(converter=check_code)
    asset_type: AssetType = attrs.field(converter=_asset_type)
    amount: Decimal = attrs.field(converter=check_total)
    balances: tuple[Balance, ...] = attrs.field(converter=tuple[Balance, ...])
    _snapshots: Mapping[str, AccountBalances] = attrs.field(default=_NO_SNAPSHOTS, eq=False, repr=False)
    notice: str | None = attrs.field(default=None, eq=False)

    def __str__(self) -> str:
        """Return the currency and the amount, with the notice: what is missing or old shows wherever it is printed."""
        return f"{self.currency} {self.plain}{f' ({self.notice})' if self.notice else ''}"

    @property
    def plain(self) -> str:
        """The amount as text with all its decimals, never with an exponent."""
        return format_amount(self.amount)

    @property
    def available(self) -> Decimal | None:
        """What can be used of the amount now, exactly summed; None unless the provider says it of every balance."""
        return _sum_if_all([balance.available for balance in self.balances])

    @property
    def pending(self) -> Decimal | None:
        """What is on its way and not in the amount; None unless the provider says it of every balance."""
        return _sum_if_all([balance.pending for balance in self.balances])

    @property
    def is_zero(self) -> bool:
        """Whether it is of nothing: no amount, nothing available, and nothing pending, in the accounts that say it."""
        return not (
            self.amount
            or _sum_of_said([balance.available for balance in self.balances])
            or _sum_of_said([balance.pending for balance in self.balances])
        )

    @property
    def as_of(self) -> datetime | None:
        """The moment of the oldest balance in it; None if there is none, or in a total that `merge` has not made."""
        return min((snapshot.as_of for snapshot in self._sources()), default=None)

    @property
    def stale(self) -> bool:
        """Whether a balance in it is from a stale snapshot."""
        return any(snapshot.stale for snapshot in self._sources())

    def _sources(self) -> Iterator[AccountBalances]:
        # In the order of the balances, so that a total is written alike each time.
        accounts = dict.fromkeys(balance.account for balance in self.balances)
        return (self._snapshots[account] for account in accounts if account in self._snapshots)

    def __reduce__(self) -> tuple[object, ...]:
        # A total that is sent elsewhere takes along its ages, but nothing that its accounts hold of other currencies.
        ages = [(one.account, one.provider, one.as_of, one.stale) for one in self._sources()]
        return _total_as_of, ((self.currency, self.asset_type, self.amount, self.balances), ages, self.notice)


def _total_as_of(
    total: tuple[str, AssetType, Decimal, tuple[Balance, ...]],
    ages: Iterable[tuple[str, str, datetime, bool]],
    notice: str | None,
) -> CurrencyTotal:
    snapshots = {
        account: AccountBalances(account, provider, (), as_of, stale) for account, provider, as_of, stale in ages
    }
    return CurrencyTotal(*total, snapshots, notice)


def _sum_if_all(parts: list[Decimal | None]) -> Decimal | None:
    return None if None in parts or not parts else _sum_of_said(parts)


def _sum_of_said(parts: list[Decimal | None]) -> Decimal:
    return add_exactly(part for part in parts if part is not None)
