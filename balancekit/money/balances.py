"""What accounts hold, as frozen values that are checked when made: balances, snapshots, failures and totals."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import attrs

from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.amounts import check_amount, check_total
from balancekit.money.currencies import AssetType, check_chain, check_code, check_label, normalize_code


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


def _moment(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a moment must say its time zone")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


@attrs.frozen(weakref_slot=False)
class Balance:
    """One currency held in one account, as one provider reported it.

    `currency` is the code in upper case, after aliases; `code` is the code as it was sent. `amount` is in units of the
    currency (never in cents or satoshi), at the scale that the provider reported. `chain` names the blockchain where
    the provider says it, and `reference` is the provider's own id of the balance.
    """

    currency: str = attrs.field(converter=_currency)
    amount: Decimal = attrs.field(converter=check_amount)
    asset_type: AssetType = attrs.field(converter=_asset_type)
    account: str = attrs.field(converter=check_label)
    provider: str = attrs.field(converter=check_label)
    code: str = attrs.field(converter=check_code)
    chain: str | None = attrs.field(default=None, converter=_optional_chain)
    reference: str | None = attrs.field(default=None, converter=_optional_label)


Row = tuple[str, Decimal, AssetType, str, str | None, str | None]
"""The fields of a balance that a provider reports: currency, amount, asset type, code, chain, reference."""

# An object with the slots of a balance, which can be set. Only a class with exactly the same slots can be assigned to
# its `__class__`: therefore `Balance` is made with `weakref_slot=False`.
_UnfrozenBalance: Final[Any] = type(
    "_UnfrozenBalance", (), {"__slots__": tuple(field.name for field in attrs.fields(Balance))}
)


# The same few labels are checked for each response.
_checked_label: Final = lru_cache(maxsize=512)(check_label)

_BALANCE: Final = frozenset({Balance})
_owner_of: Final = attrgetter("account", "provider")


def _label(value: str) -> str:
    try:
        return _checked_label(value)
    except TypeError:
        # Perhaps only since it cannot be hashed.
        return check_label(value)


def construct_balances(account: str, provider: str, rows: Iterable[Row]) -> tuple[Balance, ...]:
    """Return the balances of one account from rows, without checking or converting any of their fields.

    It is for adapters that have read every field by a function of `balancekit.http.fields`; the constructor would check
    them all again, and a fetch would take 40 % longer. Raises ValueError or TypeError for an account or a provider that
    is not a label: these two alone are checked.
    """
    account, provider = _checked_label(account), _checked_label(provider)
    balances: list[Balance] = []
    for currency, amount, asset_type, code, chain, reference in rows:
        # Setting the slots and then the class takes less than half the time of setting the fields of a frozen object.
        balance = _UnfrozenBalance()
        balance.currency = currency
        balance.amount = amount
        balance.asset_type = asset_type
        balance.account = account
        balance.provider = provider
        balance.code = code
        balance.chain = chain
        balance.reference = reference
        balance.__class__ = Balance
        balances.append(balance)
    return tuple(balances)


@attrs.frozen
class AccountBalances:
    """All balances of one account, read at one moment.

    `fetched_at` is the moment (in UTC) at which the request was sent, so that the balances are never older than that. A
    `stale` snapshot is an earlier one, shown because a newer one could not be read, or is still to be.
    """

    account: str = attrs.field(converter=_label)
    provider: str = attrs.field(converter=_label)
    balances: tuple[Balance, ...] = attrs.field(converter=tuple[Balance, ...])
    fetched_at: datetime = attrs.field(converter=_moment)
    stale: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))

    def age(self, now: datetime | None = None) -> float:
        """Return how many seconds ago the request was sent; `now` is this moment by default. It is never negative."""
        return max(0.0, ((datetime.now(UTC) if now is None else now) - self.fetched_at).total_seconds())

    def __attrs_post_init__(self) -> None:
        # The usual case without a step of Python for each of many balances.
        if {*map(type, self.balances)} <= _BALANCE and {*map(_owner_of, self.balances)} <= {
            (self.account, self.provider)
        }:
            return
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


@attrs.frozen
class CurrencyTotal:
    """One currency summed over accounts, with the balances it was summed from."""

    currency: str = attrs.field(converter=check_code)
    asset_type: AssetType = attrs.field(converter=_asset_type)
    amount: Decimal = attrs.field(converter=check_total)
    balances: tuple[Balance, ...] = attrs.field(converter=tuple[Balance, ...])
