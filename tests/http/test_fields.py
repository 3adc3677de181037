"""From decoded JSON to checked shapes."""

from contextlib import suppress
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, strategies as st

from balancekit.http.fields import (
    MAX_BALANCES,
    Code,
    Decimals,
    JsonNumber,
    ShapeError,
    Units,
    misfit,
    read_code,
    structure,
)
from tests.support.strategies import JSON


@attrs.frozen
class Line:
    """A shape with every kind of field that an adapter uses."""

    code: Code
    amount: Decimal
    units: Units
    decimals: Decimals
    note: str
    chain: Code | None = None


@attrs.frozen
class Entry:
    """A shape in a shape."""

    line: Line


@attrs.frozen
class Answer:
    """A list of shapes."""

    data: list[Entry]


@attrs.frozen
class Currency:
    """The smallest shape."""

    code: Code


@attrs.frozen
class Held:
    """A list of small shapes."""

    data: list[Currency]


LINE = {"code": "BTC", "amount": "0.04", "units": "12", "decimals": 6, "note": "held", "chain": "bitcoin"}

LINES = st.fixed_dictionaries({}, optional={name: JSON | st.just(good) for name, good in LINE.items()})
ANSWERS = JSON | st.fixed_dictionaries({"data": JSON | st.lists(JSON | st.fixed_dictionaries({"line": JSON | LINES}))})


def shape_of(**changes):
    """Return decoded JSON that fits but for the changes in the line at index 1."""
    return {"data": [{"line": LINE}, {"line": LINE | changes}]}


def test_the_number_of_balances_is_bounded():
    """A list of as many entries as are let in is read; of a longer one nothing is."""
    line = {"code": "BTC"}
    assert len(structure({"data": [line] * MAX_BALANCES}, Held).data) == MAX_BALANCES

    with pytest.raises(ShapeError, match=r"^data: more than 5000 entries$"):
        structure({"data": [line] * (MAX_BALANCES + 1)}, Held)


def test_a_body_that_fits_is_an_instance():
    """Each field has the type that its shape says."""
    answer = structure(shape_of(), Answer)

    assert answer.data[1].line == Line(Code("BTC"), Decimal("0.04"), Units("12"), Decimals(6), "held", Code("bitcoin"))
    assert str(answer.data[0].line.amount) == "0.04"


def test_unknown_fields_are_ignored():
    """A provider may add fields at every level."""
    data = {"data": [{"line": LINE | {"new": [{}]}, "new": None}], "new": "x"}

    assert structure(data, Answer) == structure({"data": [{"line": LINE}]}, Answer)


@pytest.mark.parametrize("missing", [{}, {"chain": None}], ids=["absent", "null"])
def test_an_optional_field_may_be_absent_or_null(missing):
    """What a shape calls optional is None either way."""
    line = {name: value for name, value in LINE.items() if name != "chain"} | missing

    assert structure({"data": [{"line": line}]}, Answer).data[0].line.chain is None


@pytest.mark.parametrize("name", ["code", "amount", "units", "decimals", "note"])
def test_a_missing_field_is_named_by_its_path(name):
    """The path leads through lists and objects to the field that is not there."""
    data = shape_of()
    del data["data"][1]["line"][name]

    with pytest.raises(ShapeError, match=rf"^data\[1\]\.line\.{name}: missing$"):
        structure(data, Answer)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("code", 1, "expected a string, got a number"),
        ("code", JsonNumber("1.5"), "expected a string, got a number"),
        ("code", None, "expected a string, got null"),
        ("code", "", "an empty code"),
        ("code", "X" * 33, "a code longer than 32 characters"),
        ("code", "B\x00TC", "a code with characters that are not printable"),
        ("code", "BTC\u202e", "a code with characters that are not printable"),
        ("code", "\ud800", "a code with characters that are not printable"),
        ("code", " BTC", "a code with blanks around it"),
        ("amount", True, "expected a decimal string, got a boolean"),
        ("amount", None, "expected a decimal string, got null"),
        ("amount", [], "expected a decimal string, got a list"),
        ("amount", {}, "expected a decimal string, got an object"),
        ("amount", "1_000", "not a plain decimal number"),
        ("amount", JsonNumber("1e101"), "an exponent beyond 100"),
        ("units", JsonNumber("1.0"), "not a whole number of smallest units"),
        ("units", {}, "expected a decimal string, got an object"),
        ("decimals", "6", "expected a whole number from 0 to 100"),
        ("decimals", JsonNumber("6.0"), "expected a whole number from 0 to 100"),
        ("note", False, "expected a string, got a boolean"),
        ("note", ["x"], "expected a string, got a list"),
        ("note", {"x": 1}, "expected a string, got an object"),
        ("chain", 7, "expected a string, got a number"),
        ("chain", "", "an empty code"),
    ],
    ids=lambda value: ascii(value)[:16],
)
def test_a_field_of_the_wrong_type_is_named_by_its_path(field, value, reason):
    """The message says where and what, in the words of JSON, without showing the datum."""
    with pytest.raises(ShapeError) as caught:
        structure(shape_of(**{field: value}), Answer)

    assert str(caught.value) == f"data[1].line.{field}: {reason}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "data: missing"),
        ({"data": {}}, "data: expected a list, got an object"),
        ({"data": {"line": LINE}}, "data: expected a list, got an object"),
        ({"data": ""}, "data: expected a list, got a string"),
        ({"data": "abc"}, "data: expected a list, got a string"),
        ({"data": None}, "data: expected a list, got null"),
        ({"data": 0}, "data: expected a list, got a number"),
        ({"data": [[]]}, "data[0]: expected an object, got a list"),
        ({"data": [None]}, "data[0]: expected an object, got null"),
        ({"data": [{}]}, "data[0].line: missing"),
        ({"data": [{"line": "code"}]}, "data[0].line: expected an object, got a string"),
        ([], "expected an object, got a list"),
        (None, "expected an object, got null"),
        ("data", "expected an object, got a string"),
        (JsonNumber("1.5"), "expected an object, got a number"),
    ],
    ids=str,
)
def test_what_is_no_list_or_object_is_named_by_its_path(data, message):
    """An object is no empty list, and a string is no list of letters."""
    with pytest.raises(ShapeError) as caught:
        structure(data, Answer)

    assert str(caught.value) == message


def test_a_list_may_be_the_whole_body():
    """The path of an item of a bare list begins with its index."""
    assert structure([], list[Line]) == []
    with pytest.raises(ShapeError, match=r"^\[1\]\.code: missing$"):
        structure([LINE, {}], list[Line])


def test_a_shape_error_keeps_nothing_of_the_body():
    """Neither cause nor context hold what came, which may be anything."""
    with pytest.raises(ShapeError) as caught:
        structure(shape_of(amount="canary"), Answer)

    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(ANSWERS)
def test_any_value_is_an_instance_or_a_shape_error(value):
    """Whatever stands in the JSON, nothing else comes of it."""
    with suppress(ShapeError):
        assert isinstance(structure(value, Answer), Answer)


def test_data_that_fits_is_not_blamed():
    """Should reading fail where the shape finds nothing wrong, that is an error all the same."""
    assert str(misfit(shape_of(), Answer)) == "expected something else"
    assert str(misfit(shape_of(units=None), Answer)) == "data[1].line.units: expected a decimal string, got null"


def test_codes_are_remembered_within_a_bound():
    """One string stands for a code in all answers, and a provider that makes up codes fills no memory."""
    assert read_code("btc".upper())[0] is read_code("btc".upper())[0]
    assert read_code("usdc") == ("usdc", "USDC")

    for number in range(5000):
        read_code(f"C{number}")

    assert read_code.cache_info().currsize < 5000
