"""Decoding JSON within bounds and without floats."""

import json
import tracemalloc
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, strategies as st

from balancekit.money.exact_json import (
    MAX_NESTING,
    MAX_VALUES,
    JsonNumber,
    ShapeError,
    decode_json,
    json_type_name,
)
from tests.support.strategies import JSON

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


def values_of(value):
    """Return how many values there are in a decoded value, with itself; an empty list or object counts as two."""
    match value:
        case dict() | list():
            members = list(value.values() if isinstance(value, dict) else value)
            return 1 + (sum(map(values_of, members)) if members else 1)
        case _:
            return 1


@pytest.mark.parametrize(
    "text",
    ["1.10", "-0.0", "0.1234567890123456789012345678901234567890", "1e400", "1E-7", "1e999999", "6.0"],
)
def test_a_number_with_a_fraction_or_an_exponent_keeps_its_text(text):
    """What Python would read as a float stays the digits that were sent."""
    number = decode_json(text.encode())

    assert type(number) is JsonNumber
    assert number == text


@pytest.mark.parametrize("digits", [201, 225, 4_300, 5_000])
@pytest.mark.parametrize("before", ["", "-", " " * 22, " " * 23, " " * 24, " " * 1_000])
def test_an_integer_of_more_digits_than_any_field_admits_keeps_its_text(before, digits):
    """To make an `int` of thousands of digits takes the square of their number; it may be anywhere in a body."""
    text = f"{before}{'9' * digits}"

    (number,) = decode_json(f"[{text}]".encode())

    assert type(number) is JsonNumber
    assert number == text.strip()


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
        patch.setattr("balancekit.money.exact_json.MAX_NESTING", most)
        if levels_of(value) <= most:
            assert decode_json(body) == value
        else:
            with pytest.raises(ShapeError, match=f"more than {most} levels"):
                decode_json(body)


@given(NESTED, st.integers(1, 20), st.booleans())
def test_values_are_counted_exactly_in_any_body(value, most, escaped):
    """A body is refused if it holds more values than the bound, and for nothing else, whatever is in its strings."""
    body = json.dumps(value, ensure_ascii=escaped).encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("balancekit.money.exact_json.MAX_VALUES", most)
        if values_of(value) <= most:
            assert decode_json(body) == value
        else:
            with pytest.raises(ShapeError, match=f"more than {most} values"):
                decode_json(body)


@given(st.text('[]{}"\\\\,1').map(str.encode), st.integers(1, 6))
def test_what_is_no_json_is_never_decoded_for_a_bound(body, most):
    """Counting stops where no decoder could go on, and whatever follows there is refused all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("balancekit.money.exact_json.MAX_VALUES", most)
        try:
            expected = json.loads(body)
        except ValueError:
            with pytest.raises(ShapeError):
                decode_json(body)
        else:
            with suppress(ShapeError):
                assert decode_json(body) == expected


@pytest.mark.parametrize("piece", [b'","', b'["', b'"', b',"', b'"]', b"[", b"]", b'\\"', b"\\"], ids=ascii)
def test_a_body_is_refused_in_little_memory(piece):
    """Whatever a body of the largest size is full of, it is counted in less than twice its size."""
    body = piece * (10 * 2**20 // len(piece))

    tracemalloc.start()
    with pytest.raises(ShapeError):
        decode_json(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 * len(body)


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


def test_an_endless_integer_is_named_where_it_stands():
    """Python's own limit on digits does not make a whole body unreadable, nor an unknown field matter."""
    data = decode_json(b'{"unknown": %b}' % (b"1" * 5000))

    assert data == {"unknown": "1" * 5000}
    assert json_type_name(data["unknown"]) == "a number"


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


def _refuse(_):
    raise ValueError


def decode_as_the_standard_library_does(text):
    """Decode JSON text without floats; ValueError for what is none."""
    return json.loads(text, parse_float=JsonNumber, parse_constant=_refuse)


@given(ANY_JSON, st.booleans())
def test_a_body_is_decoded_as_the_standard_library_does(value, ascii_only):
    """Which decoder is used makes no difference, to the last digit and type."""
    text = _written(value, ascii_only=ascii_only)

    assert repr(decode_json(text.encode())) == repr(decode_as_the_standard_library_does(text))


@pytest.mark.parametrize(
    "body",
    [
        b'["\\ud800", "1.5"]',
        b'{"\\ud800": 1, "a": 2}',
        b'["' + b"7" * 90 + b'", ' + b"9" * 5000 + b"]",
    ],
    ids=["half", "half in a name", "endless"],
)
def test_what_the_quick_decoder_refuses_is_decoded_if_it_is_json(body):
    """Half of a surrogate pair, or an endless integer, in a field that nobody reads fails nothing."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)

    assert len(decode_json(body)) == 2


@given(st.binary(max_size=40) | ANY_JSON.map(lambda value: _written(value, ascii_only=False).encode()[:-1]))
def test_what_is_no_json_to_the_standard_library_is_none_here(body):
    """No decoder lets in what another refuses."""
    try:
        expected = decode_as_the_standard_library_does(body.decode())
    except (ValueError, RecursionError):
        with pytest.raises(ShapeError):
            decode_json(body)
    else:
        assert repr(decode_json(body)) == repr(expected)
