"""The euro reference rates of one day, as the European Central Bank publishes them. Pure.

The format is that of https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml: in an envelope, a dated `Cube` with
a `Cube` for each currency, of which `rate` says how many units one euro is.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Final
from xml.parsers import expat

import attrs

from balancekit.errors import ConfigError
from balancekit.money.amounts import parse_amount
from balancekit.money.currencies import AssetType
from balancekit.money.rates import Rate

MAX_TABLE: Final = 64 * 2**10
"""How many bytes a table may have; that of a day has less than 2 000."""

_EURO: Final = "EUR"
_CUBE: Final = "http://www.ecb.int/vocabulary/2002-08-01/eurofxref Cube"
_CODE: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

# Source: https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/html/index.en.html
_AGREED_AT: Final = time(14, 15)
_PUBLISHED_AT: Final = time(16)

_FRIDAY: Final = 4
_SUNDAY: Final = 6


def _copied(rates: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    return dict(rates)


@attrs.frozen
class ReferenceRates:
    """What one unit of `base` is in other currencies; a `RateSource` for fiat currencies.

    As published, the rates lead from the base to the others. `inverted()` also values the others in the base, and
    `crossed()` one of the others in another, by both of their rates. Each value is exact but for one rounding, since a
    `Rate` keeps both rates and not their quotient. A use that needs what was not asked for is a ConfigError.
    """

    rates: Mapping[str, Decimal] = attrs.field(converter=_copied)
    as_of: datetime
    source: str = "ECB"
    base: str = _EURO
    inverts: bool = attrs.field(default=False, kw_only=True)
    crosses: bool = attrs.field(default=False, kw_only=True)

    def inverted(self) -> "ReferenceRates":
        """Return the same rates, to be used the other way round as well: 1.0944 USD for 1 EUR."""
        return attrs.evolve(self, inverts=True)

    def crossed(self) -> "ReferenceRates":
        """Return the same rates, to be used in both directions, and between two currencies by way of the base."""
        return attrs.evolve(self, inverts=True, crosses=True)

    def rate(self, currency: str, asset_type: AssetType, target: str) -> Rate | None:
        """Return what a currency is worth in another; None for one that is not in the table, or not fiat money."""
        per, rate = self._per_base(currency), self._per_base(target)
        if rate is None:
            raise ConfigError(f"the rates of {self.source} have none for {target}")
        if per is None or asset_type is not AssetType.FIAT:
            return None
        if currency != self.base and not self.inverts:
            raise ConfigError(
                f"the rates of {self.source} say what 1 {self.base} is in {currency}: "
                f"use rates.inverted() to value {currency} in {self.base}"
            )
        if self.base not in {currency, target} and not self.crosses:
            raise ConfigError(
                f"the rates of {self.source} are for {self.base}: "
                f"use rates.crossed() to value {currency} in {target} by way of it"
            )
        return Rate(currency, target, rate, per=per, source=self.source, as_of=self.as_of)

    def _per_base(self, currency: str) -> Decimal | None:
        return Decimal(1) if currency == self.base else self.rates.get(currency)


def parse_reference_rates(body: bytes) -> ReferenceRates:
    """Read the table of one day; ValueError, which says what is wrong, for anything else."""
    if len(body) > MAX_TABLE:
        raise ValueError(f"the table is larger than {MAX_TABLE} bytes")
    days: list[str] = []
    rates: dict[str, Decimal] = {}

    def refuse_doctype(*_: object) -> None:
        # Without a document type there are no entities, and so none that grow or are read from elsewhere.
        raise ValueError("the table has a document type")

    def read_cube(name: str, attributes: Mapping[str, str]) -> None:
        if name != _CUBE:
            return
        if "time" in attributes:
            days.append(attributes["time"])
        if "currency" in attributes or "rate" in attributes:
            _add_rate(rates, attributes.get("currency", ""), attributes.get("rate", ""))

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = read_cube
    try:
        parser.Parse(body, True)  # noqa: FBT003 - it takes no keyword: this is all of the body
    except expat.ExpatError as error:
        raise ValueError(f"the table is not XML: {expat.ErrorString(error.code)}") from None
    if len(days) != 1 or not rates:
        raise ValueError(f"expected the rates of one day, got {len(rates)} rates of {len(days)} days")
    return ReferenceRates(rates, _at(_day(days[0]), _AGREED_AT))


def next_publication(day: date) -> datetime:
    """Return when the rates that follow those of a day are due; on a holiday there are none."""
    following = day + timedelta(days=3 if day.weekday() == _FRIDAY else 1)
    return _at(following + timedelta(days=1 if following.weekday() == _SUNDAY else 0), _PUBLISHED_AT)


def _add_rate(rates: dict[str, Decimal], currency: str, text: str) -> None:
    if _CODE.fullmatch(currency) is None or currency == _EURO:
        raise ValueError("the table has a rate of no currency, or of the euro itself")
    try:
        rate = parse_amount(text)
    except ValueError as error:
        raise ValueError(f"the rate of {currency}: {error}") from None
    if currency in rates or rate <= 0:
        raise ValueError(f"the rate of {currency} is {'given twice' if currency in rates else 'not above 0'}")
    rates[currency] = rate


def _day(text: str) -> date:
    if _DATE.fullmatch(text) is None:
        raise ValueError("the table's date is not like 2026-01-31")
    return date.fromisoformat(text)


def _at(day: date, hour: time) -> datetime:
    """Return an hour of a day in Frankfurt, which needs no database of time zones."""
    # Summer time, by directive 2000/84/EC: from the last Sunday of March to the last of October.
    summer = _last_sunday(day.year, 3) <= day < _last_sunday(day.year, 10)
    return datetime.combine(day, hour, timezone(timedelta(hours=2 if summer else 1))).astimezone(UTC)


def _last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)
