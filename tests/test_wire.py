"""From bytes of JSON to checked shapes."""

import json
from contextlib import suppress
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, strategies as st

from balancekit import wire
from balancekit.json_values import describe
from balancekit.wire import (
    MAX_BALANCES,
    MAX_NESTING,
    MAX_VALUES,
    Code,
    Decimals,
    NumberText,
    ShapeError,
    Units,
    decode_json,
    misfit,
    read_code,
    structure,
)


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

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
LINES = st.fixed_dictionaries({}, optional={name: JSON | st.just(good) for name, good in LINE.items()})
ANSWERS = JSON | st.fixed_dictionaries({"data": JSON | st.lists(JSON | st.fixed_dictionaries({"line": JSON | LINES}))})
BODIES = (
    st.binary() | JSON.map(json.dumps).map(str.encode) | st.text('[]{}":,.0123456789eE+-NaInfty \ufeff').map(str.encode)
)

TRICKY = st.text('[]{}"\\\\,:é')
NESTED = st.recursive(TRICKY, lambda inner: st.lists(inner) | st.dictionaries(TRICKY, inner), max_leaves=30)


def types_in(value):
    """Return the types of a decoded value and of all values in it."""
    match value:
        case dict():
            return {dict}.union(*map(types_in, value), *map(types_in, value.values()))
        case list():
            return {list}.union(*map(types_in, value))
        case _:
            return {type(value)}


def levels_of(value):
    """Return how many lists and objects stand within each other in a decoded value."""
    match value:
        case dict():
            return 1 + max(map(levels_of, value.values()), default=0)
        case list():
            return 1 + max(map(levels_of, value), default=0)
        case _:
            return 0


def shape_of(**changes):
    """Return decoded JSON that fits but for the changes in the line at index 1."""
    return {"data": [{"line": LINE}, {"line": LINE | changes}]}


@pytest.mark.parametrize(
    "text",
    ["1.10", "-0.0", "0.1234567890123456789012345678901234567890", "1e400", "1E-7", "1e999999", "6.0"],
)
def test_a_number_with_a_fraction_or_an_exponent_keeps_its_text(text):
    """What Python would read as a float stays the digits that were sent."""
    number = decode_json(text.encode())

    assert type(number) is NumberText
    assert number == text


@pytest.mark.parametrize("number", [0, -1, 10**18, 123456789012345678901234567890], ids=str)
def test_an_integer_is_an_int(number):
    """Whole numbers are exact in Python already."""
    decoded = decode_json(str(number).encode())

    assert type(decoded) is int
    assert decoded == number


def test_everything_else_is_decoded_as_usual():
    """Text, lists, objects, booleans and null are what they are anywhere."""
    body = ' {"a": ["é\\u20ac", true, false, null], "b": {}} '.encode()

    assert decode_json(body) == {"a": ["é€", True, False, None], "b": {}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"NaN", "not JSON"),
        (b'{"a": [Infinity]}', "not JSON"),
        (b'{"a": -Infinity}', "not JSON"),
        (b"<html></html>", "not JSON"),
        (b"error code: 1015", "not JSON"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b'{"a": 0x10}', "not JSON"),
        (b'{"a": 1_0}', "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"[" * 50_000, "nested too deeply: more than 32 levels"),
        (b'{"a":' * 50_000, "nested too deeply: more than 32 levels"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else value,
)
def test_a_body_that_is_no_json_is_refused(body, reason):
    """The message says what is wrong, and the error keeps nothing of the body."""
    with pytest.raises(ShapeError, match=f"^the body is {reason}$") as caught:
        decode_json(body)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "tower",
    [
        lambda levels: b"[" * levels + b"]" * levels,
        lambda levels: b'{"a":' * levels + b"1" + b"}" * levels,
        lambda levels: b'["]",' * levels + b"1" + b',"["]' * levels,
        lambda levels: b'["\\"]",' * levels + b"1" + b"]" * levels,
        lambda levels: b'["\\\\",' * levels + b"1" + b"]" * levels,
        lambda levels: b"[[]," * (levels - 1) + b"[]" + b"]" * (levels - 1),
    ],
    ids=["lists", "objects", "brackets in strings", "escaped quotes", "escaped backslashes", "lists side by side"],
)
def test_nesting_is_counted_exactly(tower):
    """A body at the bound is decoded, one a level above it is not, whatever stands in its strings."""
    decode_json(tower(MAX_NESTING))

    with pytest.raises(ShapeError, match="more than 32 levels"):
        decode_json(tower(MAX_NESTING + 1))


@given(NESTED, st.integers(1, 6), st.booleans())
def test_nesting_is_counted_exactly_in_any_body(value, most, escaped):
    """A body is refused if it goes deeper than the bound, and for nothing else, whatever stands in its strings."""
    body = json.dumps(value, ensure_ascii=escaped).encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("balancekit.wire.MAX_NESTING", most)
        if levels_of(value) <= most:
            assert decode_json(body) == value
        else:
            with pytest.raises(ShapeError, match=f"more than {most} levels"):
                decode_json(body)


def test_brackets_within_strings_are_no_nesting():
    """Text may hold any number of brackets."""
    body = json.dumps({"a": "[" * 100, "b": '"{\\"' * 100}).encode()

    assert decode_json(body) == json.loads(body)


@pytest.mark.parametrize(
    ("opening", "piece", "closing"),
    [(b"[", b"1", b"]"), (b"[", b"1.5", b"]"), (b"[", b'"a"', b"]"), (b"{", b'"a":1', b"}")],
    ids=["integers", "fractions", "strings", "one key again and again"],
)
def test_the_number_of_values_is_bounded(opening, piece, closing):
    """A body of as many values as are let in is decoded, itself included; with one more it is not."""
    most = [piece] * (MAX_VALUES - 1)
    decode_json(opening + b",".join(most) + closing)

    with pytest.raises(ShapeError, match=r"^the body holds more than 60000 values$"):
        decode_json(opening + b",".join([*most, piece]) + closing)


def test_commas_within_strings_are_no_values():
    """Text may hold any number of commas."""
    assert decode_json(b'"' + b"," * MAX_VALUES + b'"') == "," * MAX_VALUES


def test_the_number_of_balances_is_bounded():
    """A list of as many entries as are let in is read; of a longer one nothing is."""
    line = {"code": "BTC"}
    assert len(structure({"data": [line] * MAX_BALANCES}, Held).data) == MAX_BALANCES

    with pytest.raises(ShapeError, match=r"^data: more than 5000 entries$"):
        structure({"data": [line] * (MAX_BALANCES + 1)}, Held)


@given(BODIES)
def test_any_body_is_a_value_without_floats_or_a_shape_error(body):
    """Whatever comes, nothing else is raised and no float is made."""
    with suppress(ShapeError):
        assert float not in types_in(decode_json(body))


@given(JSON)
def test_numbers_are_decoded_without_a_loss(value):
    """What was encoded comes back, with its numbers as the text that stood there."""
    text = json.dumps(value).replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null")

    decoded = decode_json(text.encode())

    assert decoded == json.loads(text, parse_float=str)


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
        ("code", NumberText("1.5"), "expected a string, got a number"),
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
        ("amount", NumberText("1e101"), "an exponent beyond 100"),
        ("units", NumberText("1.0"), "not a whole number of smallest units"),
        ("units", {}, "expected a decimal string, got an object"),
        ("decimals", "6", "expected a whole number from 0 to 100"),
        ("decimals", NumberText("6.0"), "expected a whole number from 0 to 100"),
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
        (NumberText("1.5"), "expected an object, got a number"),
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


def test_an_endless_integer_is_named_where_it_stands():
    """Python's own limit on digits does not make a whole body unreadable, nor an unknown field matter."""
    data = decode_json(b'{"unknown": %b}' % (b"1" * 5000))

    assert data == {"unknown": "1" * 5000}
    assert describe(data["unknown"]) == "a number"


class _Number:
    """A number as its text: what `json` would write of it might be something else."""

    def __init__(self, text):
        self.text = str(text)


def _written(value, *, ascii_only):
    match value:
        case _Number():
            return value.text
        case list():
            return f"[{', '.join(_written(item, ascii_only=ascii_only) for item in value)}]"
        case dict():
            items = (
                f"{_written(key, ascii_only=ascii_only)}:{_written(item, ascii_only=ascii_only)}"
                for key, item in value.items()
            )
            return f"{{{','.join(items)}}}"
        case _:
            return json.dumps(value, ensure_ascii=ascii_only)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=9)
    | st.integers(-(10**198), 10**198).map(_Number)
    | st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True).map(_Number),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(ANY_JSON, st.booleans())
def test_both_decoders_say_the_same(value, ascii_only):
    """Whatever the quick decoder takes it takes for what the patient one would, to the last digit and type."""
    body = _written(value, ascii_only=ascii_only).encode()

    quick = wire._quick_decoder().decode(body)
    patient = wire._DECODER.decode(body.decode())

    assert repr(quick) == repr(patient)


@pytest.mark.parametrize(
    "body", [b'["\\ud800", "1.5"]', b'["' + b"7" * 90 + b'", ' + b"9" * 5000 + b"]"], ids=["half", "endless"]
)
def test_what_only_the_patient_decoder_takes_is_taken(body):
    """Half of a surrogate pair, or an endless integer, in a field that nobody reads fails nothing."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it raises
        wire._quick_decoder().decode(body)

    assert len(decode_json(body)) == 2


@given(st.binary(max_size=40) | ANY_JSON.map(lambda value: _written(value, ascii_only=False).encode()[:-1]))
def test_nothing_is_taken_that_only_the_quick_decoder_takes(body):
    """What is no JSON to the standard library is none here."""
    try:
        expected = wire._DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        with pytest.raises(ShapeError):
            decode_json(body)
    else:
        assert repr(decode_json(body)) == repr(expected)
