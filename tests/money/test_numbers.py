"""No function that outputs a number outputs one that could be taken for complete and current, if it is not."""

import inspect
import io
import re
from datetime import UTC, datetime

import pytest
from rich.console import Console

from balancekit import AccountFailure, CurrencyTotal, IncompleteError, MergedBalances, ServiceUnavailableError, merge
from balancekit.cli import tables
from balancekit.cli.valuation import render_value

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NUMBERS = re.compile(r"\b(?:101|202|303|505)\b")
"""What the accounts hold, and sums of it: 101 and 303 BTC were read, of which 202 are old."""

ARGUMENTS = {
    "currency": "BTC",
    "account": "old",
    "key": "BTC",
    "by": "total",
    "rates": {"BTC": "2", "EUR": "1"},
    "target": "USD",
    "merged": None,
    "earlier": None,
}
OF_NO_NUMBER = {"chosen_accounts", "chosen_currencies", "from_dict", "from_json", "json_schema", "accounts", "failures"}
"""What outputs no number of its own: names, ways to read a result back, and what each account reported by itself."""


def _failure(account):
    return AccountFailure(account, "fake", ServiceUnavailableError("503", account=account, provider="fake"))


@pytest.fixture
def whole(make_snapshot):
    """All three accounts, read."""
    held = {"read": "101", "old": "707", "down": "909"}
    return merge([make_snapshot(label, ("BTC", amount), fetched_at=NOW) for label, amount in held.items()])


@pytest.fixture
def merged(make_snapshot):
    """One account that was read, one that is old, and one that is down."""
    read = make_snapshot("read", ("BTC", "101"), ("EUR", "505", "fiat"), fetched_at=NOW)
    old = make_snapshot("old", ("BTC", "202"), fetched_at=NOW, stale=True)
    return merge([read, old], [_failure("old"), _failure("down")])


def shows_a_number(output):
    """Whether anything in an output is one of the numbers."""
    return bool(NUMBERS.search(repr(output))) or bool(NUMBERS.search(f"{output}"))


def says_it_is_incomplete(output):
    """Whether an output says so wherever it may be torn apart: in each message, row, line of CSV or field."""
    match output:
        case str():
            return "INCOMPLETE" in output
        case MergedBalances():
            return not output.complete and "INCOMPLETE" in f"{output!r}" and "INCOMPLETE" in f"{output}"
        case CurrencyTotal():
            return "INCOMPLETE" in str(output.notice) and "INCOMPLETE" in f"{output}" and "INCOMPLETE" in f"{output!r}"
        case list() | tuple():
            return all(map(says_it_is_incomplete, output))
        case dict():
            return "INCOMPLETE" in str(output.get("notice"))
        case _:
            return not getattr(output, "complete", True) and "INCOMPLETE" in f"{output}"


def outputs(owner, whole, merged):
    """Yield the name and the output of each public member of a result that can be called or read."""
    special = {"__str__", "__repr__", "_repr_html_", "__getitem__", "__iter__", "__format__"}
    names = {name for name in dir(owner) if not name.startswith("_")} | special
    for name in sorted(names - OF_NO_NUMBER):
        member = getattr(merged, name)
        if not callable(member):
            yield name, member
            continue
        arguments = {}
        for parameter in inspect.signature(member).parameters.values():
            if parameter.name == "earlier":
                arguments[parameter.name] = whole
            elif parameter.name == "format_spec":
                arguments[parameter.name] = ""
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            elif parameter.default is parameter.empty:
                arguments[parameter.name] = ARGUMENTS[parameter.name]
        try:
            output = member(*arguments.values())
        except IncompleteError:
            continue
        yield name, list(output) if inspect.isgenerator(output) or name == "__iter__" else output


def test_no_member_of_a_result_outputs_a_number_that_looks_complete(whole, merged):
    """Each raises, or says what is missing in every part of what it outputs; a new member is tried as well."""
    seen = dict(outputs(MergedBalances, whole, merged))

    with_numbers = {name for name, output in seen.items() if shows_a_number(output)}
    assert [name for name in sorted(with_numbers) if not says_it_is_incomplete(seen[name])] == []
    assert with_numbers >= {"to_text", "to_texts", "to_json", "to_dict", "to_csv", "rows", "_repr_html_", "__str__"}
    assert {"amount", "raise_for_failures"}.isdisjoint(seen)


RENDERERS = [
    function
    for name, function in inspect.getmembers(tables, inspect.isfunction)
    if function.__module__ == tables.__name__ and name.startswith("render")
]


@pytest.mark.parametrize("render", RENDERERS, ids=lambda function: function.__name__)
def test_no_table_has_a_number_that_looks_complete(whole, merged, render):
    """The notice is above the first number, the row of an old one says how old it is, and no change is of a failure."""
    more = {"before": whole} if "before" in inspect.signature(render).parameters else {}
    out = io.StringIO()
    Console(file=out, width=200).print(render(merged, now=NOW, **more))

    text = out.getvalue()
    assert text.index("INCOMPLETE") < NUMBERS.search(text).start()
    assert all("as of" in line for line in text.splitlines()[2:] if "202" in line or "303" in line)
    assert not re.search(r"\s-\d", text)


def test_no_value_in_a_table_looks_complete(merged):
    """The row of the sum says so, and what is missing stands below it."""
    out = io.StringIO()
    Console(file=out, width=200).print(render_value(merged.value_in("EUR", {"BTC": "2"})))

    (row,) = (line for line in out.getvalue().splitlines() if "1111" in line)
    assert row.split() == ["Value", "(INCOMPLETE)", "1111"]
    assert merged.notice in out.getvalue()


def test_every_table_is_tried():
    """Whatever the command line renders of a result is tried above, or has no number."""
    takers = {
        function.__name__
        for _, function in inspect.getmembers(tables, inspect.isfunction)
        if function.__name__[0] != "_" and "merged" in inspect.signature(function).parameters
    }
    assert takers == {function.__name__ for function in RENDERERS} | {"describe_coverage", "describe_incompleteness"}
