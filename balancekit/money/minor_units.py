"""Amounts in smallest units, such as cents, by a provider's own table of decimals."""

from collections.abc import Mapping
from decimal import Decimal

import attrs

from balancekit.money.amounts import MAX_EXPONENT, check_units, from_units
from balancekit.money.currencies import check_code, normalize_code
from balancekit.money.exact_json import ShapeError, is_text, json_type_name


def _to_table(decimals: Mapping[str, int]) -> Mapping[str, int]:
    table: dict[str, int] = {}
    for code, places in decimals.items():
        currency = normalize_code(check_code(code))
        if type(places) is not int or not 0 <= places <= MAX_EXPONENT:
            raise ValueError(f"decimals of {code}: expected a whole number from 0 to {MAX_EXPONENT}")
        if table.setdefault(currency, places) != places:
            raise ValueError(f"decimals of {code}: given twice, and not alike")
    return table


@attrs.frozen
class MinorUnits:
    """How many decimals each currency has at one provider, whose API sends whole numbers of smallest units.

    `MinorUnits({"USD": 2, "JPY": 0}).amount("USD", 1050)` is `Decimal("10.50")`. The table is the provider's own, from
    its documentation, and never ISO 4217: providers differ from it, and from each other, on CLP, ISK, HUF, COP and
    others. Codes are in any case. Raises ValueError for decimals that are not a whole number from 0 to 100.
    """

    decimals: Mapping[str, int] = attrs.field(converter=_to_table, hash=False)

    def amount(self, currency: str, units: int | str) -> Decimal:
        """Return a whole number of smallest units, as an `int` or as text, as an exact amount of the currency.

        Raises ValueError for a currency that is not in the table, with its code, since a guess could be wrong by a
        factor of a hundred, and for units that are anything else, such as a float. In `HttpProvider.read_response`,
        that becomes a MalformedResponseError of the same words.
        """
        if not is_text(currency):
            raise ShapeError(f"currency: expected a string, got {json_type_name(currency)}")
        try:
            places = self.decimals.get(normalize_code(check_code(currency)))
        except ValueError as error:
            raise ShapeError(f"currency: {error}") from None
        if places is None:
            raise ShapeError(f"{currency}: not in the table of decimals of the provider")
        try:
            return from_units(check_units(units), places)
        except ValueError as error:
            reason = "expected a whole number, got a float" if isinstance(units, float) else error
            raise ShapeError(f"amount of {currency}: {reason}") from None
