"""What one account holds: the balances that a provider reported, as frozen values that cannot be wrong."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import attrs

from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.amounts import check_amount, check_total
from balancekit.money.currencies import AssetType, check_code, check_label, normalize_code


def _currency(value: object) -> str:
    return normalize_code(check_code(value))


def _optional_code(value: object) -> str | None:
    return None if value is None else check_code(value)


def _optional_label(value: object) -> str | None:
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
    asset_type: AssetType = attrs.field(converter=AssetType)
    account: str = attrs.field(converter=check_label)
    provider: str = attrs.field(converter=check_label)
    code: str = attrs.field(converter=check_code)
    chain: str | None = attrs.field(default=None, converter=_optional_code)
    reference: str | None = attrs.field(default=None, converter=_optional_label)


Row = tuple[str, Decimal, AssetType, str, str | None, str | None]
"""A balance to be, of an account yet to be said: currency, amount, type of asset, code, chain, reference."""


def _draft_of(frozen: type[Any]) -> type[Any]:
    """Return a class of the same fields, which can be set; an instance is frozen by giving it the frozen class.

    Checking what is checked already, and setting the fields of a frozen object, would take several times as long; a
    constructor that sets them, half as long again.
    """
    return type(f"{frozen.__name__}Draft", (), {"__slots__": tuple(field.name for field in attrs.fields(frozen))})


_BalanceDraft = _draft_of(Balance)


def construct_balances(account: str, provider: str, rows: Iterable[Row]) -> tuple[Balance, ...]:
    """Return the balances of one account from rows in which every field is checked already.

    Nothing but the account and the provider is checked here: it is for adapters that read each field by a function of
    `balancekit.http.fields`. Raises ValueError or TypeError for a label that is refused.
    """
    account, provider = check_label(account), check_label(provider)
    balances: list[Balance] = []
    for currency, amount, asset_type, code, chain, reference in rows:
        balance = _BalanceDraft()
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


@attrs.frozen(weakref_slot=False)
class AccountBalances:
    """All balances of one account, read at one moment.

    `fetched_at` is the moment (in UTC) at which the request was sent, so that the balances are never older than it
    says. A `stale` snapshot is an earlier one, shown because a newer could not be had.
    """

    account: str = attrs.field(converter=check_label)
    provider: str = attrs.field(converter=check_label)
    balances: tuple[Balance, ...] = attrs.field(converter=tuple[Balance, ...])
    fetched_at: datetime = attrs.field(converter=_moment)
    stale: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))

    def age(self, now: datetime | None = None) -> float:
        """Return how many seconds ago the request was sent; `now` is this moment by default."""
        return ((datetime.now(UTC) if now is None else now) - self.fetched_at).total_seconds()

    def __attrs_post_init__(self) -> None:
        _check_belonging(self.account, self.provider, self.balances)


def _check_belonging(account: str, provider: str, balances: tuple[object, ...]) -> None:
    for index, balance in enumerate(balances):
        # What nearly all balances are, in one look: a thousand snapshots of twenty are checked at a time.
        if type(balance) is Balance and balance.account is account and balance.provider is provider:
            continue
        if not isinstance(balance, Balance):
            raise TypeError(f"balances[{index}] must be a Balance, not {type(balance).__name__}")
        if balance.account != account or balance.provider != provider:
            raise ValueError(f"balances[{index}] belongs to another account than {account!r}")


_AccountBalancesDraft = _draft_of(AccountBalances)


def snapshot_of(account: str, provider: str, balances: tuple[object, ...], fetched_at: datetime) -> AccountBalances:
    """Return the snapshot of an account whose label, and whose provider's name, are checked already.

    `fetched_at` is in UTC. Raises what `AccountBalances` does for balances that are not the account's.
    """
    _check_belonging(account, provider, balances)
    snapshot = _AccountBalancesDraft()
    snapshot.account = account
    snapshot.provider = provider
    snapshot.balances = balances
    snapshot.fetched_at = fetched_at
    snapshot.stale = False
    snapshot.__class__ = AccountBalances
    return cast("AccountBalances", snapshot)


def _facts(error: BalancekitError) -> tuple[object, ...]:
    facts: tuple[object, ...] = (type(error), str(error))
    if isinstance(error, ProviderError):
        facts += (error.account, error.provider, error.status, error.code, error.retryable)
        facts += (error.hint, error.retry_after)
    return facts


@attrs.frozen
class AccountFailure:
    """One account that could not be read, why, and what was last known of it.

    Two failures are equal if their errors say the same, as exceptions themselves are never equal.
    """

    account: str = attrs.field(converter=check_label)
    provider: str = attrs.field(converter=check_label)
    error: BalancekitError = attrs.field(eq=_facts, validator=attrs.validators.instance_of(BalancekitError))
    last_known: AccountBalances | None = None


@attrs.frozen
class CurrencyTotal:
    """One currency summed over accounts, with the balances it was summed from."""

    currency: str = attrs.field(converter=check_code)
    asset_type: AssetType = attrs.field(converter=AssetType)
    amount: Decimal = attrs.field(converter=check_total)
    balances: tuple[Balance, ...] = attrs.field(converter=tuple[Balance, ...])
