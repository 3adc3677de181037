"""Exact decimals."""

import re
from decimal import Decimal, Inexact, Rounded, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from balancekit.money.amounts import (
    add_exactly,
    check_amount,
    check_units,
    format_amount,
    from_units,
    json_type_name,
    parse_amount,
    parse_plain_amounts,
    subtract_exactly,
    sum_exactly,
)

PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]{1,4}))?", re.ASCII)
NEARLY_PLAIN = (
    st.from_regex(PLAIN, fullmatch=True) | st.text("19.+-eE_ \n", max_size=12) | st.text("1.\u0661\u00b2", max_size=3)
)
DIGITS = re.compile(r"(?=.{1,100}$)([0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
ODD = ("", ".", "1e3", "-1", " 1", "1_0", "\uff11", "9" * 101, "1.2.3", 7, None, [])
INTEGERS = st.integers(min_value=-(10**100) + 1, max_value=10**100 - 1)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.04", "0.04"),
        ("10000", "10000"),
        ("-1.50", "-1.50"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        ("1e3", "1E+3"),
        ("1E-8", "1E-8"),
        ("1.5e+2", "1.5E+2"),
        ("9" * 100, "9" * 100),
        ("1e100", "1E+100"),
        ("1e-100", "1E-100"),
        (12, "12"),
        (-(10**99), "-1" + "0" * 99),
    ],
)
def test_a_plain_decimal_is_read_with_its_scale(text, amount):
    """Plain ASCII decimals are read digit by digit, at the scale in which they were written."""
    assert parse_amount(text).as_tuple() == Decimal(amount).as_tuple()


@given(st.lists(st.text("0123456789.", min_size=1, max_size=12) | st.sampled_from(ODD), max_size=4))
def test_plain_amounts_are_read_together_as_one_by_one(texts):
    """Many at once are what each by itself is, to the last zero; if one is odd, none is read."""
    together = parse_plain_amounts(texts)

    if all(type(text) is str and DIGITS.fullmatch(text) for text in texts):
        assert [one.as_tuple() for one in together] == [parse_amount(text).as_tuple() for text in texts]
    else:
        assert together == [None] * len(texts)


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "nan", "sNaN", "Infinity", "-inf", "1_000", " 1", "1 ", "1\n", "\u00a01", "", ".", "+", "-", "e5",
        "1e", "--1", "1.2.3", "1,5", "0x10", "\uff11\uff12", "\u0661", "1e1_0", "1e\u0661", "\u22121", "1\x00", "null",
    ],
)  # fmt: skip
def test_what_is_no_plain_decimal_is_refused(text):
    """Special values, blanks, underscores and other scripts' digits are no amounts."""
    with pytest.raises(ValueError, match="not a plain decimal number"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1" * 101, "more than 100 digits"),
        ("0." + "0" * 100, "more than 100 digits"),
        ("1" * 10_000_000, "more than 100 digits"),
        (10**100, "more than 100 digits"),
        (10**5000, "more than 100 digits"),
        ("1e101", "an exponent beyond 100"),
        ("1e-101", "an exponent beyond 100"),
        ("1e9999", "an exponent beyond 100"),
        ("1e999999999", "not a plain decimal number"),
    ],
    ids=lambda value: str(value)[:12] if not isinstance(value, int) else "int",
)
def test_an_amount_out_of_bounds_is_refused(text, reason):
    """No amount may be so large or so fine that adding it costs more than a moment."""
    with pytest.raises(ValueError, match=reason):
        parse_amount(text)


@given(NEARLY_PLAIN, st.integers(1, 8))
def test_any_text_is_its_decimal_or_refused(text, most):
    """Plain decimals within the bounds are read as they are written, and nothing else is read at all."""
    plain = PLAIN.fullmatch(text)
    digits = sum(character.isdigit() for character in re.split("[eE]", text)[0])

    if plain and digits <= most and abs(int(plain["exponent"] or 0)) <= 100:
        amount = parse_amount(text, max_digits=most)
        assert (abs(amount).as_tuple(), amount) == (abs(Decimal(text)).as_tuple(), Decimal(text))
        assert amount or not amount.is_signed()
    else:
        with pytest.raises(ValueError, match=r"plain decimal|digits|exponent"):
            parse_amount(text, max_digits=most)


@given(NEARLY_PLAIN)
def test_any_text_is_whole_units_or_refused(text):
    """Units are ASCII digits with a sign or none, as they are written, but minus zero is zero."""
    if re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        assert check_units(text) == (text if int(text) else text.lstrip("+-"))
    else:
        with pytest.raises(ValueError, match=r"whole number|digits"):
            check_units(text)


@pytest.mark.parametrize("value", [None, True, False, 1.5, [], {}, b"1", Decimal(1)], ids=repr)
def test_what_is_neither_text_nor_an_integer_is_refused(value):
    """A float has already lost digits, and a boolean is no amount although Python counts it as an integer."""
    with pytest.raises(ValueError, match="expected a decimal string, got"):
        parse_amount(value)


@pytest.mark.parametrize("text", ["-0", "-0.00", "-0e5"])
def test_minus_zero_becomes_zero(text):
    """An account never shows minus nothing."""
    amount = parse_amount(text)

    assert not amount.is_signed()
    assert amount.as_tuple().exponent == Decimal(text).as_tuple().exponent


@given(INTEGERS, st.integers(min_value=0, max_value=100))
def test_units_are_scaled_exactly_in_any_context(units, decimals):
    """Smallest units at some decimals are the amount itself, digit by digit, even where the caller rounds."""
    with localcontext(prec=5):
        amount = from_units(check_units(str(units)), decimals)

    assert int(amount.as_tuple().exponent) == -decimals
    assert format_amount(amount).replace(".", "").replace("-", "").lstrip("0") == str(abs(units)).lstrip("0")


def test_zero_decimals_keep_the_whole_number():
    """A value at 0 decimals is the amount itself."""
    assert from_units("42", 0).as_tuple() == Decimal(42).as_tuple()


@pytest.mark.parametrize("units", ["-0", "+0", "-000"])
def test_no_units_at_all_are_zero_without_a_sign(units):
    """Minus zero becomes zero in smallest units too, at the scale that was reported."""
    assert str(from_units(check_units(units), 2)) == "0.00"


@pytest.mark.parametrize(
    "value", ["1.5", "1e3", "", " 1", "0x1", "1" * 101, "\uff11", "-", None, True, 1.0, []], ids=repr
)
def test_what_is_no_whole_number_of_units_is_refused(value):
    """A smallest unit has no fraction, and no notation but digits."""
    with pytest.raises(ValueError, match=r"whole number|expected a decimal string|100 digits"):
        check_units(value)


@pytest.mark.parametrize("value", [-1, 101, True, "6", 6.0, None], ids=repr)
def test_decimals_are_an_integer_from_0_to_100(value):
    """The number of decimals is never guessed from something else."""
    with pytest.raises(ValueError, match="expected a whole number from 0 to 100"):
        from_units("1", value)


@given(st.lists(INTEGERS))
def test_sums_equal_those_of_integers_in_any_context(numbers):
    """Addition loses no digit, whatever the caller's decimal context is."""
    with localcontext(prec=5):
        total = add_exactly(Decimal(number) for number in numbers)

    assert int(total) == sum(numbers)


def test_sums_of_the_largest_and_the_smallest_amount_are_exact():
    """What lies four hundred digits apart is added without rounding."""
    largest, smallest = parse_amount("9" * 100 + "e100"), parse_amount("1e-100") * Decimal("1e-100")

    total = add_exactly([largest, smallest, largest.copy_negate()])

    assert total == smallest


def test_addition_raises_rather_than_rounds():
    """What cannot be exact is an error, never a nearby number."""
    with pytest.raises((Inexact, Rounded)):
        add_exactly([Decimal("1e999"), Decimal("1e-999")])


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (Decimal("NaN"), "finite"),
        (Decimal("-Infinity"), "finite"),
        (Decimal("1e201"), "200 places"),
        (Decimal("1e-201"), "200 places"),
    ],
    ids=str,
)
def test_a_decimal_that_cannot_be_added_is_refused(amount, reason):
    """Amounts made by hand keep the bounds, too."""
    with pytest.raises(ValueError, match=reason):
        check_amount(amount)


def test_a_float_is_no_amount():
    """A float is a TypeError even where it looks exact."""
    with pytest.raises(TypeError, match="must be a Decimal, not float"):
        check_amount(1.0)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0E-8", "0.00000000"), ("1E+3", "1000"), ("-0.040", "-0.040"), ("123456789.123456789", "123456789.123456789")],
)
def test_amounts_are_written_in_plain_notation(amount, text):
    """Written amounts have no exponent and all their decimals, even where the caller rounds."""
    with localcontext(prec=5):
        assert format_amount(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        ("", "a string"),
        ([], "a list"),
        ({}, "an object"),
        (b"", "bytes"),
    ],
    ids=repr,
)
def test_values_are_named_by_their_json_type(value, name):
    """Messages name what came in the words of JSON, without showing it."""
    assert json_type_name(value) == name


@given(st.lists(st.integers(-(10**80), 10**80)), st.integers(-(10**80), 10**80))
def test_sums_and_differences_for_users_do_not_round(units, subtracted):
    """Where `+` and `-` would round by the caller's decimal context, these keep every digit."""
    amounts = [Decimal(f"{number}E-18") for number in units]

    with localcontext(prec=3):
        total = sum_exactly(amounts)
        difference = subtract_exactly(total, Decimal(f"{subtracted}E-18"))

    assert Fraction(total) == Fraction(sum(units), 10**18)
    assert Fraction(difference) == Fraction(sum(units) - subtracted, 10**18)


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        (1.5, TypeError),
        (1, TypeError),
        ("1", TypeError),
        (Decimal("NaN"), ValueError),
        (Decimal("-Infinity"), ValueError),
    ],
)
def test_sums_for_users_refuse_what_is_no_amount(amount, error):
    """A float has lost digits already, and NaN would spread to every sum that it is in."""
    with pytest.raises(error, match="an amount must be"):
        sum_exactly([Decimal(1), amount])
    with pytest.raises(error, match="an amount must be"):
        subtract_exactly(amount, Decimal(1))
    with pytest.raises(error, match="an amount must be"):
        subtract_exactly(Decimal(1), amount)


def test_a_sum_that_cannot_be_written_raises():
    """A sum of a million digits is an error at once, not a gigabyte of memory."""
    with pytest.raises(ArithmeticError):
        sum_exactly([Decimal("1e999999"), Decimal(1)])
    with pytest.raises(ArithmeticError):
        subtract_exactly(Decimal("1e999999"), Decimal(1))


class Cents(Decimal):
    """An amount that is rounded whenever it is added."""

    def __add__(self, other):
        return Decimal.__add__(self, other).quantize(Decimal("0.01"))

    __radd__ = __add__


def test_an_amount_of_a_subclass_becomes_a_plain_decimal():
    """What a subclass does when it is added, rounding for one, is no part of an amount."""
    assert type(check_amount(Cents("0.005"))) is Decimal
    assert sum_exactly([Cents("0.005")] * 3) == Decimal("0.015")
