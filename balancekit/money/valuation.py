"""The value of a result in one currency, by rates that are given; what has no rate is listed. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, cast

import attrs

from balancekit.errors import ConfigError
from balancekit.money.amounts import (
    MAX_EXPONENT,
    add_exactly,
    divide,
    format_amount,
    multiply_exactly,
)
from balancekit.money.balances import CurrencyTotal
from balancekit.money.currencies import ISO_4217_CODES, AssetType
from balancekit.money.layout import isolate
from balancekit.money.rates import Rate, Rates, RateSource, RateTable, check_currency, check_pair

_ONE: Final = Decimal(1)
_QUOTIENT_PLACES: Final = 18
"""How many decimals a value has that is the result of a division, unless the caller says how many."""


@attrs.frozen
class ValuedTotal:
    """The value of one total: `rate` units of the valuation's currency for each `per` units of this one.

    `source` and `as_of` are those of the rate; both are None for the valuation's currency itself, whose rate is 1.
    """

    currency: str
    asset_type: AssetType
    amount: Decimal
    rate: Decimal
    value: Decimal
    source: str | None = None
    as_of: datetime | None = None
    per: Decimal = _ONE

    @property
    def plain(self) -> str:
        """The value as text, never with an exponent."""
        return format_amount(self.value)


@attrs.frozen(repr=False)
class Valuation:
    """The value in one currency of what has a rate, and what has none; see `MergedBalances.value_in`.

    `amount` is the exact sum of the values in `valued`. The one rounding is in the `value` of each line, half to even:
    to `places` decimals, or, if that is None, to 18 and only where a rate is the wrong way round and has to be divided
    by. `not_valued` are the totals without a rate: they are in no sum. `notice`, `scope` and `as_of` are those of the
    result: what it lacks, of which part it is, and how old. `complete` is whether the amount is the value of
    everything: the result is complete, and every total has a rate.
    """

    currency: str
    amount: Decimal
    valued: tuple[ValuedTotal, ...]
    not_valued: tuple[CurrencyTotal, ...] = ()
    complete: bool = True
    notice: str | None = None
    scope: str | None = None
    as_of: datetime | None = None

    @property
    def plain(self) -> str:
        """The amount as text, never with an exponent."""
        return format_amount(self.amount)

    def __str__(self) -> str:
        """Return the amount, a line for each currency with its rate, and what the amount lacks."""
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'; '.join([self._summary(), *self._warnings()])}>"

    def _lines(self) -> Iterator[str]:
        yield self._summary()
        for line in self.valued:
            dated = "" if line.as_of is None else f" of {line.as_of:%Y-%m-%d %H:%M} UTC"
            per = "" if line.per == _ONE else f" / {format_amount(line.per)}"
            rate = "" if line.source is None else f" at {format_amount(line.rate)}{per} ({line.source}{dated})"
            yield f"{isolate(line.currency)} {format_amount(line.amount)}{rate} = {self.currency} {line.plain}"
        yield from self._warnings()

    def _summary(self) -> str:
        return f"{self.currency} {self.plain}{'' if self.complete else ' (INCOMPLETE)'}"

    def _warnings(self) -> Iterator[str]:
        yield from filter(None, (describe_not_valued(self.not_valued), self.scope, self.notice))


def describe_not_valued(totals: Iterable[CurrencyTotal]) -> str | None:
    """Return one line that says which totals have no rate; None if there are none."""
    held = ", ".join(f"{isolate(total.currency)} {format_amount(total.amount)}" for total in totals)
    return f"NOT VALUED, without a rate: {held}" if held else None


def value_totals(
    totals: Iterable[CurrencyTotal],
    target: str | tuple[str, AssetType],
    rates: Rates | Sequence[Rates],
    *,
    places: int | None,
) -> Valuation:
    """Return the value of totals in one currency, as of a complete result; see `MergedBalances.value_in`."""
    if places is not None and (type(places) is not int or not 0 <= places <= MAX_EXPONENT):
        raise ConfigError(f"places: expected a whole number from 0 to {MAX_EXPONENT}")
    totals = tuple(totals)
    held: defaultdict[str, list[AssetType]] = defaultdict(list)
    for total in totals:
        held[total.currency].append(total.asset_type)
    currency, asset_type = _read_target(target)
    sources = tuple(_sources(rates, currency, asset_type, held))
    valued: list[ValuedTotal] = []
    not_valued: list[CurrencyTotal] = []
    for total in totals:
        if total.currency == currency and _is_of_type(total, asset_type, held[currency]):
            value = total.amount if places is None else divide(total.amount, _ONE, places=places)
            valued.append(ValuedTotal(currency, total.asset_type, total.amount, _ONE, value))
        elif (rate := _find_rate(total, currency, sources)) is not None:
            valued.append(_value(total, rate, places))
        else:
            not_valued.append(total)
    amount = add_exactly(line.value for line in valued)
    return Valuation(currency, amount, tuple(valued), tuple(not_valued), complete=not not_valued)


def _read_target(target: str | tuple[str, AssetType]) -> tuple[str, AssetType]:
    if isinstance(target, tuple):
        try:
            code, asset_type = target[0], AssetType(target[1])
        except (IndexError, ValueError):
            raise ConfigError("value_in: expected a code and its type, such as ('EUR', AssetType.FIAT)") from None
        return check_currency(code, "value_in"), asset_type
    currency = check_currency(target, "value_in")
    return currency, AssetType.FIAT if currency in ISO_4217_CODES else AssetType.CRYPTO


def _is_of_type(total: CurrencyTotal, asset_type: AssetType, held: Sequence[AssetType]) -> bool:
    """Whether a total with the target's code is the target: its type says so, or is unknown and the only one held."""
    return total.asset_type == asset_type or (total.asset_type is AssetType.UNKNOWN and len(held) == 1)


def _sources(
    rates: object, target: str, target_type: AssetType, held: Mapping[str, Sequence[AssetType]]
) -> Iterator[RateSource]:
    if isinstance(rates, Mapping):
        yield RateTable(cast("Mapping[object, object]", rates), target, target_type, held)
    elif callable(getattr(rates, "rate", None)):
        yield cast("RateSource", rates)
    elif isinstance(rates, list | tuple):
        for each in cast("Sequence[object]", rates):
            yield from _sources(each, target, target_type, held)
    else:
        raise ConfigError(f"rates: expected a mapping, a RateSource or a list of them, got {type(rates).__name__}")


def _find_rate(total: CurrencyTotal, target: str, sources: Iterable[RateSource]) -> Rate | None:
    for source in sources:
        rate = cast("object", source.rate(total.currency, total.asset_type, target))
        if rate is None:
            continue
        where = f"{type(source).__name__}.rate({total.currency!r}, ...)"
        if not isinstance(rate, Rate):
            raise ConfigError(f"{where}: expected a balancekit.Rate or None, got {type(rate).__name__}")
        check_pair(rate, total.currency, target, where)
        return rate
    return None


def _value(total: CurrencyTotal, rate: Rate, places: int | None) -> ValuedTotal:
    value = multiply_exactly(total.amount, rate.rate)
    if places is not None or rate.per != _ONE:
        value = divide(value, rate.per, places=_QUOTIENT_PLACES if places is None else places)
    return ValuedTotal(
        total.currency, total.asset_type, total.amount, rate.rate, value, rate.source, rate.as_of, rate.per
    )
