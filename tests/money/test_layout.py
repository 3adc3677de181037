"""Names and amounts in columns."""

from decimal import Decimal

import pytest

from balancekit.money.layout import align_decimal_points, align_names, isolate


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ([], []),
        (["1", "250"], ["  1", "250"]),
        (["1.50", "250", "0.125"], ["  1.50 ", "250    ", "  0.125"]),
        (["-3.5", "10"], ["-3.5", "10  "]),
        (["1E+3", "1E-3"], ["1000    ", "   0.001"]),
    ],
    ids=["none", "whole", "decimals", "negative", "exponents"],
)
def test_decimal_points_stand_in_one_column(amounts, expected):
    """Amounts are in plain notation, padded on both sides."""
    assert align_decimal_points(map(Decimal, amounts)) == expected


def test_names_take_the_columns_that_are_seen():
    """An ideograph takes two columns, an accent none; a name that is too wide is not padded for."""
    assert align_names(["A", "好", "e\u0301", "WIDE-NAME"], 4) == ["A ", "好", "e\u0301 ", "WIDE-NAME"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("shop", "shop"), ("Café 好", "Café 好"), ("a     b", "a b"), ("אב", "\u2068אב\u2069")],
    ids=["ascii", "left to right", "many blanks", "right to left"],
)
def test_a_name_reorders_nothing_around_it(name, expected):
    """What is written from right to left is isolated, and many blanks do not look like a new line."""
    assert isolate(name) == expected
