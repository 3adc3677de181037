"""Exact decimals: reading them from text, adding them and writing them.

Nothing here depends on the caller's decimal context, and nothing rounds: what cannot be done exactly raises an error.
Digits and exponents are bounded so that every sum stays exact and cheap; `Decimal` alone would add `1e999999` to `1`
with a gigabyte of memory.
"""

import contextvars
import re
from collections.abc import Iterable, Sequence
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    localcontext,
    setcontext,
)
from typing import Any, Final, cast

from balancekit.money.exact_json import json_type_name

MAX_DIGITS: Final = 100
"""How many digits an amount may have."""

MAX_EXPONENT: Final = 100
"""How far an exponent, and the number of decimals that a provider reports, may be from zero."""

ZERO: Final = Decimal(0)

# Between the highest digit of the largest admitted amount (10^200) and the lowest of the smallest (10^-200) lie 400
# digits; the rest is room for carries. `Rounded` is trapped too, so that not even a trailing zero is lost.
_EXACT: Final = Context(prec=1000, rounding=ROUND_HALF_EVEN, traps=[Inexact, Rounded, InvalidOperation, Overflow])
_ADAPTER_CONTEXT: Final = Context(
    prec=1000, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
"""In which adapters calculate: a result with more digits than an amount may have is refused later, and not rounded."""

_FARTHEST_PLACE: Final = MAX_DIGITS + MAX_EXPONENT

# `[0-9]`, not `\d`, which would match other scripts' digits too.
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,4}))?", re.ASCII)
# What may stand beside the digits of an amount: sign, point, the letter and sign of an exponent, and its four digits.
_LONGEST_REST: Final = 8
_EXPONENTS: Final = tuple(f"E-{decimals}" for decimals in range(MAX_EXPONENT + 1))
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)


def parse_amount(value: object, *, max_digits: int = MAX_DIGITS) -> Decimal:
    """Read an amount from decimal text or an integer, keeping the scale; minus zero becomes zero.

    Raises ValueError for anything but a plain ASCII decimal (optional sign, optional exponent) of at most
    `max_digits` digits with an exponent within plus or minus `MAX_EXPONENT`.
    """
    text = value if isinstance(value, str) else _to_text(value)
    # Nearly every amount is digits with at most one point. This check costs a tenth of the expression and the counting
    # below, which would make a fetch 8 % longer.
    if len(text) <= max_digits and text.isascii() and text.replace(".", "", 1).isdigit():
        return Decimal(text)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("not a plain decimal number")
    # Before the digits are counted one by one, so that a million of them are not.
    _check_digits(len(text) - _LONGEST_REST, max_digits)
    exponent = match[1]
    mantissa = text if exponent is None else text[: match.start(1)]
    if exponent is not None and abs(int(exponent)) > MAX_EXPONENT:
        raise ValueError(f"an exponent beyond {MAX_EXPONENT}")
    _check_digits(sum(map(str.isdigit, mantissa)), max_digits)
    return _positive_zero(Decimal(text))


def parse_plain_amounts(texts: Sequence[Any]) -> Sequence[Decimal | None]:
    """Read many amounts at once if each is a text of digits with at most one point; return None for each otherwise.

    Nearly all responses have only such, and `parse_amount` says what is wrong with the others. To read the amounts one
    by one would take 8 % longer for a whole response.
    """
    try:
        digits = "".join(texts).replace(".", "")
        # Bytes find out three times as fast as a text does.
        if digits.encode("ascii").isdigit() and max(map(len, texts)) <= MAX_DIGITS:
            return [*map(_EXACT.create_decimal, texts)]
    except (TypeError, UnicodeEncodeError, InvalidOperation):
        # One is no text, or is not ASCII, or is empty, or has a second point.
        pass
    return [None] * len(texts)


def check_units(value: object) -> str:
    """Return a whole number of smallest units as text, minus zero as zero.

    Raises ValueError for anything but ASCII digits with a sign or none.
    """
    text = value if isinstance(value, str) else _to_text(value)
    # As in `parse_amount`, this check saves most of the time.
    if len(text) <= MAX_DIGITS and text.isascii() and text.isdigit():
        return text
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("not a whole number of smallest units")
    digits = text.lstrip("+-")
    _check_digits(len(digits), MAX_DIGITS)
    return text if digits.strip("0") else digits


def from_units(units: str, decimals: object) -> Decimal:
    """Turn smallest units into the currency's: `250000000` at 6 decimals is `Decimal("250.000000")`.

    Takes what `check_units` returns. Raises ValueError for decimals that are no integer from 0 to `MAX_EXPONENT`.
    """
    if type(decimals) is int and 0 <= decimals <= MAX_EXPONENT:
        # Appending an exponent to the text is faster than shifting the decimal afterwards.
        return Decimal(units + _EXPONENTS[decimals])
    raise ValueError(f"expected a whole number from 0 to {MAX_EXPONENT}")


def use_adapter_decimals() -> None:
    """Set the decimal context that adapters calculate in, whatever the caller's is."""
    setcontext(_ADAPTER_CONTEXT.copy())


def isolated_context() -> contextvars.Context:
    """Return a copy of the current context, with the decimals of adapters: what an adapter sets in it stays in it."""
    context = contextvars.copy_context()
    context.run(use_adapter_decimals)
    return context


def check_amount(amount: Decimal) -> Decimal:
    """Return a `Decimal` that can be added exactly, with minus zero made zero.

    Raises TypeError for anything but a `Decimal` (a float has already lost digits), ValueError for one that is not
    finite or has a digit more than `MAX_DIGITS` + `MAX_EXPONENT` places from the point; no amount that `parse_amount`
    admits has.
    """
    checked = check_total(amount)
    exponent = cast("int", checked.as_tuple().exponent)
    if checked.adjusted() > _FARTHEST_PLACE or exponent < -_FARTHEST_PLACE:
        raise ValueError(f"a digit more than {_FARTHEST_PLACE} places from the point: quantize what was divided")
    return _positive_zero(checked)


def check_total(amount: Decimal) -> Decimal:
    """Return a `Decimal` that can be a sum: TypeError for anything else, ValueError for one that is not finite."""
    if not isinstance(amount, Decimal):  # pyright: ignore[reportUnnecessaryIsInstance] - not everybody checks types
        raise TypeError(f"an amount must be a Decimal, not {type(amount).__name__}")
    # One of a subclass would be added, and written, as that does it.
    exact = amount if type(amount) is Decimal else Decimal(amount)
    if not exact.is_finite():
        raise ValueError("an amount must be finite")
    return exact


def add_exactly(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts exactly, whatever the caller's decimal context is; the sum has the finest scale among them.

    Raises `decimal.Inexact` rather than rounds, which amounts that `check_amount` admits cannot reach.
    """
    # One context for the whole sum: one for each addition would cost more than ten times as much.
    with localcontext(_EXACT):
        return sum(amounts, ZERO)


def sum_exactly(amounts: Iterable[Decimal]) -> Decimal:
    """Return the sum of amounts with all their digits, zero for none, whatever the caller's decimal context is.

    The sum has the finest scale among them. Raises TypeError for anything but a `Decimal`, ValueError for one that is
    not finite, and ArithmeticError for a sum of more than a thousand digits, which no amounts of a result have.
    """
    return add_exactly([*map(check_total, amounts)])


def subtract_exactly(amount: Decimal, subtracted: Decimal) -> Decimal:
    """Return the difference of two amounts with all their digits; raises as `sum_exactly` does."""
    with localcontext(_EXACT):
        return check_total(amount) - check_total(subtracted)


def multiply_exactly(amount: Decimal, factor: Decimal) -> Decimal:
    """Return the product of two amounts with all their digits; raises as `add_exactly` does."""
    with localcontext(_EXACT):
        return amount * factor


def divide(amount: Decimal, divisor: Decimal, *, places: int) -> Decimal:
    """Return a quotient that is rounded once, half to even, to so many decimals."""
    from fractions import Fraction

    scaled = Fraction(amount) / Fraction(divisor) * 10**places
    # From an integer, not its text: the interpreter bounds how long an integer it writes as text.
    return Decimal(round(scaled)).scaleb(-places, _EXACT)


def format_amount(amount: Decimal) -> str:
    """Write an amount in plain notation with all its decimals, never with an exponent."""
    return format(amount, "f")


def _to_text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        # `str` raises an error with another message for an integer of thousands of digits.
        _check_digits(value.bit_length() // 4, MAX_DIGITS)
        return str(value)
    raise ValueError(f"expected a decimal string, got {json_type_name(value)}")


def _check_digits(count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"more than {most} digits")


def _positive_zero(amount: Decimal) -> Decimal:
    return amount or amount.copy_abs()
