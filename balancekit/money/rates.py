"""What a unit of one currency is worth in another: rates, and where they come from. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol, TypeGuard, cast

import attrs

from balancekit.errors import ConfigError
from balancekit.money.amounts import check_amount, parse_amount
from balancekit.money.balances import utc_moment
from balancekit.money.currencies import AssetType, check_code, check_label, normalize_code

_GIVEN: Final = "given by the caller"
_PAIR: Final = 2


def check_rate(value: object, where: str) -> Decimal:
    """Return a rate from decimal text, an integer or a `Decimal`; ConfigError, with the place, unless it is above 0."""
    try:
        rate = check_amount(value) if isinstance(value, Decimal) else parse_amount(value)
    except ValueError as error:
        reason = "a float has lost digits: write it as text" if isinstance(value, float) else str(error)
        raise ConfigError(f"{where}: {reason}") from None
    if rate <= 0:
        raise ConfigError(f"{where}: a rate must be above 0")
    return rate


def check_currency(value: object, where: str) -> str:
    """Return the currency that a code names; ConfigError, with the place, if it is none."""
    try:
        return normalize_code(check_code(cast("str", value)))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from None


def _currency(value: str) -> str:
    return check_currency(value, "Rate")


def _rate(value: Decimal | str | int) -> Decimal:
    return check_rate(value, "Rate")


def _source(value: str) -> str:
    try:
        return check_label(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Rate: the source: {error}") from None


def _moment(value: datetime | None) -> datetime | None:
    try:
        return None if value is None else utc_moment(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Rate: as_of: {error}") from None


@attrs.frozen
class Rate:
    """So many units of `target` for `per` units of `currency`: `Rate("BTC", "EUR", "60000", source="my exchange")`.

    `source` says who the rate is from, and `as_of` of what moment it is (with a time zone; None if that is not known).
    A rate that is published the other way round is exact too: 1.0944 USD for 1 EUR is
    `Rate("USD", "EUR", 1, per="1.0944", source="ECB")`. Raises ConfigError for a float, and for a rate that is not
    above 0.
    """

    currency: str = attrs.field(converter=_currency)
    target: str = attrs.field(converter=_currency)
    rate: Decimal = attrs.field(converter=_rate)
    source: str = attrs.field(kw_only=True, converter=_source)
    as_of: datetime | None = attrs.field(default=None, kw_only=True, converter=_moment)
    per: Decimal = attrs.field(default=Decimal(1), kw_only=True, converter=_rate)


class RateSource(Protocol):
    """Where rates come from: a table, an exchange, a central bank."""

    def rate(self, currency: str, asset_type: AssetType, target: str) -> Rate | None:
        """Return what the currency is worth in the target; None if that is not known.

        A source whose rates are of no use for the target raises ConfigError.
        """
        ...


# A mapping is invariant in its keys: no other type of key fits codes, pairs of code and type, and both in one mapping.
Rates = RateSource | Mapping[Any, Rate | Decimal | str | int]
"""A source of rates, or a mapping from a code, or from a code and its type of asset, to a rate."""


class RateTable:
    """The rates of a mapping, which are into one target, each checked when the table is made."""

    def __init__(
        self,
        rates: Mapping[object, object],
        target: str,
        target_type: AssetType,
        held: Mapping[str, Sequence[AssetType]],
    ) -> None:
        self._rates: dict[tuple[str, AssetType | None], Rate] = {}
        for key, value in rates.items():
            where = f"rates[{key!r}]"
            currency, asset_type = _read_key(key, where, held)
            if currency == target and asset_type in {None, target_type}:
                raise ConfigError(f"{where}: {target} is what everything is valued in, so its rate is 1: leave it out")
            rate = value if isinstance(value, Rate) else None
            if rate is None:
                rate = Rate(currency, target, check_rate(value, where), source=_GIVEN)
            check_pair(rate, currency, target, where)
            if (currency, asset_type) in self._rates:
                raise ConfigError(f"{where}: {currency} has another rate already")
            self._rates[currency, asset_type] = rate
        for currency, asset_type in self._rates:
            types = [each for each in held.get(currency, ()) if (currency, each) not in self._rates]
            if asset_type is None and len(types) > 1:
                raise ConfigError(
                    f"rates[{currency!r}]: {currency} is held as {' and '.join(types)}: say which, for example "
                    f"({currency!r}, AssetType.{types[0].name})"
                )

    def rate(self, currency: str, asset_type: AssetType, target: str) -> Rate | None:
        """Return the rate of a currency of this type, or else of its code."""
        del target
        return self._rates.get((currency, asset_type)) or self._rates.get((currency, None))


def check_pair(rate: Rate, currency: str, target: str, where: str) -> None:
    """Raise ConfigError unless a rate is of this currency in this target."""
    if (rate.currency, rate.target) != (currency, target):
        raise ConfigError(f"{where}: a rate of {rate.currency} in {rate.target}, not of {currency} in {target}")


def _read_key(key: object, where: str, held: Mapping[str, object]) -> tuple[str, AssetType | None]:
    if _is_pair(key):
        try:
            return check_currency(key[0], where), AssetType(cast("str", key[1]))
        except ValueError:
            pass
    elif isinstance(key, str):
        currency = check_currency(key, where)
        if "/" not in key or currency in held:
            return currency, None
    raise ConfigError(f"{where}: expected a code such as 'BTC', or a code and its type: ('BTC', AssetType.CRYPTO)")


def _is_pair(key: object) -> TypeGuard[tuple[object, object]]:
    return isinstance(key, tuple) and len(cast("tuple[object, ...]", key)) == _PAIR
