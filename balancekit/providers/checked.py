"""Balances that an adapter gives, checked however they were made."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Final, cast

import attrs

from balancekit.money.balances import Balance, ReportedBalances
from balancekit.money.exact_json import ShapeError

_fields_of: Final = attrgetter(*(field.name for field in attrs.fields(Balance)))


def checked_balances(given: object) -> tuple[Balance, ...]:
    """Return the balances that an adapter gives, each made anew by its constructor: it may have been made without.

    Raises ShapeError if they are anything else, and whatever an iterator of the adapter's own raises.
    """
    if not isinstance(given, Iterable):
        raise ShapeError(f"expected balances, got {type(given).__name__}")
    made: list[Balance] = []
    for index, balance in enumerate(cast("Iterable[object]", given)):
        if not isinstance(balance, Balance):
            raise ShapeError(f"balances[{index}] must be a Balance, not {type(balance).__name__}")
        try:
            made.append(Balance(*_fields_of(balance)))
        except Exception as error:  # noqa: BLE001 - a class that derives from it may raise anything
            raise ShapeError(f"balances[{index}]: {error}") from None
    return ReportedBalances(made, reported_at=given.reported_at) if isinstance(given, ReportedBalances) else tuple(made)
