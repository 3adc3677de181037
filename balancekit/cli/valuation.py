"""The value of a result in one currency: loading rates, and the value as a table."""

from typing import TYPE_CHECKING, Final

import aiohttp

from balancekit.cli.output import ERROR_STYLE
from balancekit.cli.table_layout import Table
from balancekit.http.connections import Proxy
from balancekit.http.resolver import DaemonResolver
from balancekit.money.amounts import format_amount
from balancekit.money.currencies import ISO_4217_CODES, normalize_code
from balancekit.money.layout import align_decimal_points
from balancekit.money.merged import MergedBalances
from balancekit.money.valuation import Valuation, describe_not_valued
from balancekit.rates import EcbRates, ReferenceRates

if TYPE_CHECKING:
    from rich.console import Group

_FIAT_PLACES: Final = 2
_OTHER_PLACES: Final = 8


async def load_rates(proxy: Proxy) -> ReferenceRates:
    """Return the latest reference rates; raises ProviderError if they cannot be loaded."""
    connector = aiohttp.TCPConnector(resolver=DaemonResolver())
    async with aiohttp.ClientSession(
        connector=connector, proxy=proxy.address, trust_env=proxy.uses_environment
    ) as session:
        return await EcbRates(session).load()


def value_of(merged: MergedBalances, target: str, rates: ReferenceRates) -> Valuation:
    """Return the value of a result; a line is rounded to the cent, or to 8 decimals for what is no fiat money.

    Raises ConfigError if there is no rate for the target.
    """
    places = _FIAT_PLACES if normalize_code(target) in ISO_4217_CODES else _OTHER_PLACES
    return merged.value_in(target, rates.crossed(), places=places)


def render_value(valuation: Valuation) -> "Group":
    """Return the value as a table: a row for each currency that has a rate, and below it what the value lacks."""
    from rich.console import Group
    from rich.text import Text

    held = align_decimal_points(line.amount for line in valuation.valued)
    values = align_decimal_points([*(line.value for line in valuation.valued), valuation.amount])
    columns = ("Currency", "Total", "Rate", f"In {valuation.currency}")
    table = Table(*columns, whole=columns[1:], leading=1)
    for line, amount, value in zip(valuation.valued, held, values, strict=False):
        per = "" if line.per == 1 else f" / {format_amount(line.per)}"
        rate = "" if line.source is None else f"{format_amount(line.rate)}{per}"
        table.add_row(Text(line.currency, "bold"), Text(amount), Text(rate), Text(value))
    table.add_section()
    total = "Value" if valuation.complete else "Value (INCOMPLETE)"
    table.add_row(Text(total, "bold"), Text(), Text(), Text(values[-1], "bold"))
    sources = dict.fromkeys(
        f"Rates: {line.source}{'' if line.as_of is None else f', {line.as_of:%Y-%m-%d}'}"
        for line in valuation.valued
        if line.source is not None
    )
    below = [Text(source, "dim") for source in sources]
    warnings = (describe_not_valued(valuation.not_valued), valuation.notice)
    below += [Text(warning, ERROR_STYLE) for warning in warnings if warning is not None]
    return Group(table, *below)
