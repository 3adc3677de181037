"""What adapters are made with, and what they return, as far as it can be relied on."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from types import FunctionType
from typing import Final, cast

import attrs

from balancekit.http.clock_skew import MAX_OFFSET, TOLERANCE, date_of
from balancekit.http.fields import MAX_BALANCES
from balancekit.http.messages import Response, check_base_url
from balancekit.http.secret import Secret
from balancekit.money.balances import Balance, ReportedBalances, check_ends_by_itself, set_back
from balancekit.money.exact_json import ShapeError

_fields_of: Final = attrgetter(*(field.name for field in attrs.fields(Balance)))


def checked_balances(given: object) -> tuple[Balance, ...]:
    """Return the balances that an adapter gives, each made anew by its constructor: it may have been made without.

    Raises ShapeError if they are anything else or too many, and whatever an iterator of the adapter's own raises.
    """
    if not isinstance(given, Iterable):
        raise ShapeError(f"expected balances, got {type(given).__name__}")
    balances = cast("Iterable[object]", given)
    check_ends_by_itself(balances)
    made: list[Balance] = []
    for index, balance in enumerate(balances):
        if index >= MAX_BALANCES:
            raise ShapeError(f"more than {MAX_BALANCES} balances")
        if not isinstance(balance, Balance):
            raise ShapeError(f"balances[{index}] must be a Balance, not {type(balance).__name__}")
        try:
            made.append(Balance(*_fields_of(balance)))
        except Exception as error:  # noqa: BLE001 - a class that derives from it may raise anything
            raise ShapeError(f"balances[{index}]: {error}") from None
    return ReportedBalances(made, reported_at=given.reported_at) if isinstance(given, ReportedBalances) else tuple(made)


def by_local_clock(balances: tuple[Balance, ...], response: Response, now: float) -> tuple[Balance, ...]:
    """Return balances with `reported_at` set back by as much as this machine's clock is behind the provider's.

    Otherwise they would seem younger than they are. `now` is in Unix seconds.
    """
    if not isinstance(balances, ReportedBalances) or (sent_at := date_of(response)) is None:
        return balances
    ahead = sent_at - now
    if not TOLERANCE <= ahead <= MAX_OFFSET:
        return balances
    return ReportedBalances(balances, reported_at=set_back(balances.reported_at, ahead))


def is_written_in(package: str, function: object) -> bool:
    """Whether the code of a function is in a module of a package; a decorator may have copied all its names."""
    return isinstance(function, FunctionType) and str(function.__globals__.get("__name__")).startswith(f"{package}.")


def is_list_of_text(value: object) -> bool:
    """Return whether a setting is a list of texts, none of them blank."""
    return isinstance(value, list | tuple) and all(
        isinstance(item, str) and item.strip() for item in cast("Sequence[object]", value)
    )


def checked_base_url(base_url: Secret, allow_http_to: Sequence[str]) -> tuple[str, str]:
    """Return the base URL, or else what is wrong with it; raising would show it in the traceback."""
    try:
        return check_base_url(base_url.reveal(), allow_http_to=allow_http_to), ""
    except TypeError:
        return "", "expected a string"
    except ValueError as error:
        return "", str(error)
