"""Reading the fields of a response."""

import json
import re
from contextlib import suppress
from operator import itemgetter

import pytest
from hypothesis import given, strategies as st

from balancekit import AssetType
from balancekit.http.fields import (
    MAX_BALANCES,
    ShapeError,
    check_distinct,
    read_asset_type,
    read_chain,
    read_code,
    read_entries,
    read_reference,
    read_text,
)
from balancekit.money.amounts import parse_amount
from balancekit.money.exact_json import JsonNumber
from tests.support.strategies import JSON

ENTRY = {"note": "held", "held": {"code": "BTC", "amount": "0.04"}}
FIELDS = ["note", "held.code", "held.amount"]

HELD = st.fixed_dictionaries({}, optional={"code": JSON | st.just("BTC"), "amount": JSON | st.just("1")})
ENTRIES = st.fixed_dictionaries({}, optional={"note": JSON | st.just("x"), "held": JSON | HELD, "chain": JSON})
DOCUMENTS = (JSON | st.fixed_dictionaries({"data": JSON | st.lists(JSON | ENTRIES)})).filter(
    lambda document: not {"NaN", "Infinity"} & set(re.findall(r"\b[A-Z]\w+", json.dumps(document)))
)


def rows_of(entries, place):
    """Read a text, and a code, an amount and an optional chain from an object in each entry."""
    for entry in entries:
        place.field = "note"
        note = read_text(entry["note"])
        place.field = "held.code"
        held = entry["held"]
        code, _ = read_code(held["code"])
        place.field = "held.amount"
        amount = parse_amount(held["amount"])
        place.field = "chain"
        chain = entry.get("chain")
        yield note, code, str(amount), None if chain is None else read_chain(chain)


def read(document):
    """Read the list `data` of a document."""
    return read_entries(json.dumps(document).encode(), "data", rows_of)


def document(**changes):
    """Return a document that can be read but for the changes in its entry at index 1."""
    return {"data": [ENTRY, ENTRY | changes]}


def test_each_entry_gives_its_row():
    """Rows come in the order of the entries."""
    changed = {"note": "owed", "held": {"code": "usdc", "amount": 1.5}, "chain": "base"}

    assert read(document(**changed)) == [("held", "BTC", "0.04", None), ("owed", "usdc", "1.5", "base")]


def test_an_empty_list_gives_no_rows():
    """An account may hold nothing."""
    assert read({"data": []}) == []


def test_ids_that_are_absent_are_not_the_same():
    """Of several that occur twice the first is named."""
    check_distinct([None, "a", None, "b"], lambda value: value, "data[{}].id")

    with pytest.raises(ShapeError, match=r"^data\[3\]\.id: the same as data\[1\]\.id$"):
        check_distinct([None, "a", None, "a", "b", "b"], lambda value: value, "data[{}].id")


def test_unknown_fields_are_ignored():
    """A provider may add fields at every level."""
    more = document(new=[{}], held=ENTRY["held"] | {"new": None}) | {"new": "x"}

    assert read(more) == read(document())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("error", {"code": "shard_down"}), ("errors", {"code": "shard_down"}), ("error", True), ("errors", ["half"])),
        *(("success", False), ("success", 0), ("success", "false"), ("ok", False)),
        *(("status", "error"), ("status", "FAILED"), ("status", "fail"), ("status", False), ("status", 503)),
        *(("result", "failure"), ("statusCode", 429), ("status_code", 500), ("code", 429), ("code", "403")),
        *(("code", "ERROR"), ("error_code", 5001), ("errorCode", "E17"), ("error_code", {"a": 1})),
        *(("error_message", "maintenance"), ("errorMessage", "No\nway")),
    ],
    ids=str,
)
def test_balances_beside_an_error_are_not_taken_for_all(field, value):
    """A response that reports an error may lack balances, and no sum would show it."""
    with pytest.raises(ShapeError, match=f"^{field}: the response reports an error$"):
        read(document() | {field: value})


@pytest.mark.parametrize(
    "beside",
    [
        {"success": True, "code": 0, "message": "OK", "status": "ok"},
        {
            "success": 1,
            "ok": True,
            "result": 450,
            "code": 200,
            "msg": "success",
            "status": "success",
            "statusCode": 200,
        },
        {"code": "00000", "msg": "", "status": 1},
        {"code": 10000, "status": True, "message": "no error"},
        {"code": "SUCCESS", "status": None, "result": {"status": "error"}},
        {"error": None, "errors": [], "error_code": 0, "error_message": ""},
        {"error": "0", "error_code": "000", "error_message": "OK", "errorCode": "none", "errorMessage": "success"},
        {"error": False, "errors": {}, "errorCode": "false"},
        {"error": "-", "errors": "no errors", "errorCode": 200, "errorMessage": "Request processed"},
        {"error": "N/A", "errors": "none.", "error_code": "successful"},
    ],
    ids=str,
)
def test_what_a_success_says_of_itself_is_no_error(beside):
    """Many APIs have a status, a code and a message beside what was asked for, and name an error that is none."""
    assert read(document() | beside) == read(document())


@pytest.mark.parametrize("name", ["errors", "result", "status", "code"])
def test_the_list_itself_is_no_error(name):
    """It may have any name."""
    body = json.dumps({name: [ENTRY], "page": 1}).encode()

    assert read_entries(body, name, rows_of) == read({"data": [ENTRY]})


@pytest.mark.parametrize("missing", [{}, {"chain": None}], ids=["absent", "null"])
def test_an_optional_field_may_be_absent_or_null(missing):
    """A field that is looked up with `get` is None either way."""
    assert read(document(**missing))[1][3] is None


@pytest.mark.parametrize("path", FIELDS)
def test_a_missing_field_is_named_by_its_path(path):
    """The path leads through lists and objects to the field that is not there."""
    *_, name = path.split(".")
    parts = {"note": "x", "held": dict(ENTRY["held"])}
    del (parts if path == name else parts["held"])[name]

    with pytest.raises(ShapeError) as caught:
        read({"data": [ENTRY, parts]})

    assert str(caught.value) == f"data[1].{path}: missing"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"note": False}, "note: expected a string, got a boolean"),
        ({"held": {"code": "", "amount": "1"}}, "held.code: an empty code"),
        ({"held": {"code": "BTC", "amount": "1_000"}}, "held.amount: not a plain decimal number"),
        ({"held": {"code": [], "amount": "1"}}, "held.code: expected a string, got a list"),
        ({"chain": {}}, "chain: expected a string, got an object"),
        ({"held": {"code": "", "amount": ""}}, "held.code: an empty code"),
    ],
    ids=["text", "code", "amount", "a list for a code", "an object for a code", "two faults"],
)
def test_a_field_that_cannot_be_read_is_named_by_its_path(changes, message):
    """The error has the path and the reader's reason; of several faults it names the first."""
    with pytest.raises(ShapeError) as caught:
        read(document(**changes))

    assert str(caught.value) == f"data[1].{message}"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "data: missing"),
        ({"data": {}}, "data: expected a list, got an object"),
        ({"data": ENTRY}, "data: expected a list, got an object"),
        ({"data": ""}, "data: expected a list, got a string"),
        ({"data": "abc"}, "data: expected a list, got a string"),
        ({"data": None}, "data: expected a list, got null"),
        ({"data": 0}, "data: expected a list, got a number"),
        ({"data": [[]]}, "data[0]: expected an object, got a list"),
        ({"data": [None]}, "data[0]: expected an object, got null"),
        ({"data": ["note"]}, "data[0]: expected an object, got a string"),
        ({"data": [{"note": "x"}]}, "data[0].held: missing"),
        ({"data": [{"note": "x", "held": "code"}]}, "data[0].held: expected an object, got a string"),
        ({"data": [{"note": "x", "held": None}]}, "data[0].held: expected an object, got null"),
        ([], "expected an object, got a list"),
        (None, "expected an object, got null"),
        ("data", "expected an object, got a string"),
        (1.5, "expected an object, got a number"),
    ],
    ids=str,
)
def test_what_is_no_list_or_object_is_named_by_its_path(document, message):
    """An object is no empty list, and a string is no list of letters."""
    with pytest.raises(ShapeError) as caught:
        read(document)

    assert str(caught.value) == message


def test_an_entry_of_optional_fields_alone_must_be_an_object():
    """Looking a field up with `get` is as good as any other way."""

    def optional(entries, place):
        for entry in entries:
            place.field = "note"
            yield entry.get("note")

    assert read_entries(b'{"data": [{}]}', "data", optional) == [None]
    with pytest.raises(ShapeError, match=r"^data\[1\]: expected an object, got a list$"):
        read_entries(b'{"data": [{}, []]}', "data", optional)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"data":[{"note":"x","held":{"code":"A","amount":"1"},"note":"y"}]}', "data[0].note"),
        ('{"data":[{"note":"x","held":{"code":"A","amount":"1","amount":"1000"}}]}', "data[0].held.amount"),
        ('{"data":[{"note":"x","held":{},"held":{"code":"A","amount":"1"}}]}', "data[0].held"),
        ('{"data":[{"note":"a, b","held":{"code":"A","\\u0061mount":"1","amount":"1000"}}]}', "data[0].held.amount"),
        ('{"data":[{"note":"x","held":{"code":"A","amount":"1"},"new":[{"a":1,"a":1}]}]}', "data[0].new[0].a"),
        ('{"data":[],"data":[]}', "data"),
        ('{"error":"half","data":[],"error":null}', "error"),
    ],
    ids=["entry", "object in it", "object itself", "escaped", "unknown field", "list", "error"],
)
def test_a_key_that_is_given_twice_is_named_by_its_path(body, path):
    """Which of the values is meant cannot be known."""
    with pytest.raises(ShapeError) as caught:
        read_entries(body.encode(), "data", rows_of, nested=itemgetter("held"))

    assert str(caught.value) == f"{path}: given twice"


def test_the_number_of_entries_is_bounded():
    """A list of as many entries as are let in is read; of a longer one nothing is."""
    assert len(read({"data": [ENTRY] * MAX_BALANCES})) == MAX_BALANCES

    with pytest.raises(ShapeError, match=r"^data: more than 5000 entries$"):
        read({"data": [None] * (MAX_BALANCES + 1)})


def test_a_shape_error_keeps_nothing_of_the_response():
    """Neither cause nor context hold what came, which may be anything."""
    with pytest.raises(ShapeError) as caught:
        read(document(held={"code": "BTC", "amount": "canary"}))

    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def value_at(document, path):
    """Return what stands at the path of an error, or what the last step is looked up in if it is not there."""
    value = document
    for step in path.replace("[", ".[").split("."):
        try:
            value = value[int(step[1:-1])] if step.startswith("[") else value[step]
        except KeyError:
            return value
    return value


@given(DOCUMENTS)
def test_any_document_gives_rows_or_an_error_whose_path_exists(document):
    """Whatever is in the JSON, nothing else is raised, and the path leads to the fault."""
    try:
        rows = read(document)
    except ShapeError as error:
        path, _, reason = str(error).rpartition(": ")
        at = value_at(document, path) if path else document
        if reason == "missing":
            assert path.rpartition(".")[2] not in at
        elif reason.startswith("expected an object"):
            assert not isinstance(at, dict)
        else:
            assert reason
    else:
        assert len(rows) == len(document["data"])


@pytest.mark.parametrize("value", [1, JsonNumber("1.5"), True, None, [], {}], ids=ascii)
@pytest.mark.parametrize(
    "reader", [read_text, read_code, read_chain, read_asset_type], ids=["text", "code", "chain", "type"]
)
def test_only_a_string_is_a_text(reader, value):
    """A number is no text, although it keeps its digits as one."""
    with pytest.raises(TypeError):
        reader(value)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "an empty code"),
        ("X" * 33, "a code longer than 32 characters"),
        ("B\x00TC", "a code with characters that are not printable"),
        ("BTC\u202e", "a code with characters that are not printable"),
        ("\ud800", "a code with characters that are not printable"),
        (" BTC", "a code with blanks around it"),
    ],
    ids=ascii,
)
def test_a_code_that_cannot_be_shown_is_refused(code, reason):
    """Codes and the names of chains are written beside amounts."""
    with pytest.raises(ValueError, match=f"^{reason}$"):
        read_code(code)


def test_a_code_is_read_with_its_currency():
    """The code stays as it was sent, and its currency is in upper case."""
    assert read_code("usdc") == ("usdc", "USDC")


@pytest.mark.parametrize("code", ["1.5", "-1", "1e5", "7"])
def test_a_code_that_was_let_in_does_not_let_in_a_number(code):
    """Codes are remembered once they are checked, and a number equals its text."""
    assert read_code(code) == (code, code.upper())

    with pytest.raises(TypeError, match="expected a string, got a number"):
        read_code(JsonNumber(code))


def test_codes_are_remembered_within_a_bound():
    """One string stands for a code in all responses, and a provider that makes up codes fills no memory."""
    assert read_code("btc".upper())[0] is read_code("btc".upper())[0]

    for number in range(5000):
        read_code(f"C{number}")

    assert len(read_code.__self__) <= 2048


def test_long_texts_are_not_remembered():
    """A provider that makes up long types fills no memory."""
    known = len(read_asset_type.__self__)

    assert read_asset_type("x" * 100) is AssetType.UNKNOWN
    assert len(read_asset_type.__self__) == known


@pytest.mark.parametrize(
    ("text", "asset_type"), [("crypto", AssetType.CRYPTO), ("fiat", AssetType.FIAT), ("gold", AssetType.UNKNOWN)]
)
def test_a_type_that_is_new_is_unknown(text, asset_type):
    """A provider may add types."""
    assert read_asset_type(text) is asset_type


def test_a_reference_may_be_null():
    """The provider's own id is a help, and not every balance has one."""
    assert read_reference("b-1") == "b-1"
    assert read_reference("b 1") == "b 1"
    assert read_reference(None) is None


@pytest.mark.parametrize(
    "reference", ["b\x1b[31m1", "\ud800", "b\n1", "", " b", "b\ufe0f", "x" * 201, 7, JsonNumber("1.5"), []]
)
def test_a_reference_that_cannot_be_shown_is_refused(reference):
    """An id is written beside its balance: one that is no UTF-8 would make the whole result unwritable."""
    with pytest.raises((TypeError, ValueError)):
        read_reference(reference)


@given(JSON)
def test_any_value_is_read_or_refused(value):
    """A reader raises nothing but TypeError and ValueError."""
    for reader in (read_text, read_code, read_asset_type, read_reference):
        with suppress(TypeError, ValueError):
            reader(value)
