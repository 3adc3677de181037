"""The documentation against the code: tables, defaults, paths, and every number with a unit."""

import ast
import decimal
import inspect
import json
import re
from decimal import DefaultContext
from http import HTTPStatus
from typing import Any

import attrs
import pytest
from balancekit_stripe import signature

import balancekit
from balancekit import AggregateClient, HttpProvider, MergedBalances, ProviderError, RetryPolicy, SnapshotStore
from balancekit.cli.balances import balances
from balancekit.cli.exit_codes import ExitCode
from balancekit.client import aggregate, keeper, scheduler, settling
from balancekit.config import CLIENT_SETTINGS
from balancekit.http import bodies, fields, known_secrets, messages
from balancekit.http.error_responses import error_class
from balancekit.money import amounts, exact_json, repeated, valuation
from balancekit.money.rows import BALANCE_COLUMNS
from balancekit.providers import multi_request
from balancekit.providers.brands import BRANDS
from balancekit.rates import EcbRates
from balancekit.sandbox import Fault
from balancekit.stores import fail_open
from balancekit.webhooks import receiver, replay, standard_webhooks, verification
from tests.support.pages import PAGES, PYPROJECT, ROOT, SESSIONS, rows, words

KIB, MIB = 2**10, 2**20
RETRY = RetryPolicy()
ERRORS = [
    kind
    for kind in (getattr(balancekit, name) for name in balancekit.__all__)
    if inspect.isclass(kind) and issubclass(kind, BaseException)
]
PACKAGE = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "balancekit").rglob("*.py")}
RESULTS = json.loads((ROOT / "benchmarks" / "results.json").read_text())


def _spaced(number):
    return f"{number:,}".replace(",", " ")


BOUNDS = (
    f"{exact_json.MAX_NESTING} levels",
    f"{_spaced(exact_json.MAX_VALUES)} values",
    f"{_spaced(fields.MAX_BALANCES)} balances",
)
QUOTED = {
    "CHANGELOG.md": BOUNDS,
    "docs/errors.md": (
        *BOUNDS,
        f"more than {bodies.MAX_RESPONSE_BODY // MIB} MiB",
        f"at most {messages.MAX_EXCERPT} characters",
        f"each text of {known_secrets._MIN_ATTRIBUTE_LENGTH} to {_spaced(known_secrets.MAX_TEXT)} characters",
        f"at most {_spaced(known_secrets._MAX_SEARCHED)} characters",
        f"in {_spaced(known_secrets.MAX_VALUES)} values",
    ),
    "docs/accounting.md": (f"{decimal.DefaultContext.prec} digits", "15 digits"),  # of Python and of Excel
    "docs/adapters.md": (f"at most {multi_request.MAX_REQUESTS} requests",),
    "docs/client.md": (
        f"`{RETRY}`",
        f"up to {RETRY.first:g} s before the second attempt",
        f"up to {2 * RETRY.first:g} s before the third",
        f"never more than {RETRY.cap:g} s",
        f"{repeated.MIN_UNIQUE_LENGTH} characters or more",
        "no more than 30 requests to that origin in any 60 seconds",  # of the example
    ),
    "docs/differences.md": (
        f"round to {DefaultContext.prec} digits",
        f"{DefaultContext.prec + 1} digits are",
    ),
    "docs/freshness.md": (),
    "docs/replicas.md": (f"({fail_open._CALL_TIMEOUT:g} s for a call)",),
    "docs/results.md": (f"{repeated.MIN_UNIQUE_LENGTH} characters or more",),
    "docs/rules.md": (
        f"{amounts.MAX_DIGITS} digits",
        f"within ±{amounts.MAX_EXPONENT}",
        f"Adapters calculate with {_spaced(amounts._ADAPTER_CONTEXT.prec)} digits",
        f"more than {amounts._FARTHEST_PLACE} places",
        f"up to {bodies.MAX_RESPONSE_BODY // MIB} MiB",
    ),
    "docs/services.md": (f"not responded for {scheduler._HUNG_AFTER:g} s when the call ends",),
    "docs/valuation.md": (
        f"after `max_age` seconds ({inspect.signature(EcbRates).parameters['max_age'].default:g} by default)",
        f"the value is rounded to {valuation._QUOTIENT_PLACES} decimals",
    ),
    "docs/watching.md": (
        f"within {1000 * keeper.DEBOUNCE:g} ms",
        f"after at most {keeper._FIRST_RETRY:g} s",
        f"up to {keeper._LAST_RETRY:g} s",
        f"({aggregate._MIN_INTERVAL:g} or more)",
    ),
    "docs/webhooks.md": (
        f"up to {verification.MAX_WEBHOOK_BODY // KIB} KiB",
        f"for {receiver.BODY_TIMEOUT:g} s",
        f"more than {standard_webhooks.MAX_AGE} s old",
        f"up to {_spaced(verification.MAX_WEBHOOK_VALUES)} values",
        f"up to {standard_webhooks.MAX_KEYS} during a key rotation",
        f"at most {standard_webhooks.MAX_CHECKS} of version `v1a`",
        f"{standard_webhooks.MAX_CHECKS // standard_webhooks.MAX_KEYS} with {standard_webhooks.MAX_KEYS} keys",
        f"remembered for {replay._DEDUPLICATION_WINDOW / 3600:g} hours",
        f"by default {settling.SETTLE_DELAY:g} s",
    ),
    "examples/packages/stripe/README.md": (f"for {signature.TOLERANCE} s",),
}
MEASURED = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/performance.md", "benchmarks/README.md"}
UNITS = "ms|s|seconds|minutes|hours|days|KiB|MiB|levels|values|balances|digits|characters|requests"


def prose(page):
    """Return the text of a page on one line, without blocks of code."""
    return " ".join(re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL).split())


@pytest.mark.parametrize("page", QUOTED)
def test_a_number_is_that_of_the_code(page):
    """A default or a bound that a page states is the one that the code has."""
    assert [phrase for phrase in QUOTED[page] if phrase not in prose(page)] == []


@pytest.mark.parametrize("page", sorted(PAGES.keys() - MEASURED))
def test_no_number_is_unchecked(page):
    """Every number with a unit is one of those that are compared with the code."""
    text = re.sub(r"`[^`]*`", "", prose(page))
    checked = " | ".join(QUOTED.get(page, ()))

    assert [found for found in re.findall(rf"\d[\d .]* (?:{UNITS})\b", text) if found not in checked] == []


def test_each_error_is_in_the_table():
    """The page of errors names every class; the table has all those of one account."""
    named = {words(row["what is in `failures`"])[0] for row in rows("docs/errors.md", "retried") if "Error" in str(row)}

    assert named == {kind.__name__ for kind in ERRORS if issubclass(kind, ProviderError)}
    assert [kind.__name__ for kind in ERRORS if f"`{kind.__name__}`" not in PAGES["docs/errors.md"]] == []


def test_statuses_lead_to_the_errors_of_the_table():
    """A status ends in the class in its row, and 4xx, for example, are all that have no row of their own."""
    table = {
        status: words(row["what is in `failures`"])[0]
        for row in rows("docs/errors.md", "retried")
        for status in re.findall(r"\b[1-5](?:\d\d|xx)\b", row["what happens"])
    }

    expected = {status: table.get(str(status)) or table.get(f"{status // 100}xx") for status in range(300, 600)}

    assert {status: error_class(status).__name__ for status in range(300, 600)} == expected
    assert {"200", "401", "403", "429", "3xx", "4xx", "5xx"} <= table.keys()


def test_what_is_retried_is_what_the_table_says():
    """An error whose class is retried by default has a row that says so."""
    for row in rows("docs/errors.md", "retried"):
        for name in words(row["what is in `failures`"])[:1]:
            expected = "yes" if getattr(balancekit, name).retryable_by_default else "no"
            assert row["retried"].startswith(expected), row


def test_the_attributes_of_errors_are_complete():
    """The table has every attribute of a ProviderError."""
    error = ProviderError("message", account="shop", provider="example")

    named = [name for row in rows("docs/errors.md", "attribute") for name in words(row["attribute"])]

    assert sorted(named) == sorted([*vars(error), "message"])


def test_the_settings_of_the_client_are_complete():
    """The table has every argument of the client, in order, with its default."""
    parameters = inspect.signature(AggregateClient).parameters.values()
    expected = [(each.name, repr(each.default)) for each in parameters if each.kind is each.KEYWORD_ONLY]

    assert [(*words(row["argument"]), *words(row["default"])) for row in rows("docs/client.md", "default")] == expected


@pytest.mark.parametrize(
    ("page", "column", "expected"),
    [
        ("docs/accounting.md", "column", {*BALANCE_COLUMNS, "notice"}),
        ("docs/adapters.md", "attribute", {*HttpProvider.__annotations__} - {"clock"}),
        ("docs/client.md", "extra", {*PYPROJECT["project"]["optional-dependencies"]}),
        ("docs/command-line.md", "setting", {*CLIENT_SETTINGS}),
        ("docs/command-line.md", "option", {option.opts[-1] for option in balances.params}),
        ("docs/replicas.md", "method", {name for name in vars(SnapshotStore) if not name.startswith("_")}),
        ("docs/results.md", "member", {name for name in dir(MergedBalances) if not name.startswith("_")}),
        ("CONTRIBUTING.md", "session", SESSIONS - {"dev"}),
    ],
)
def test_a_table_is_complete(page, column, expected):
    """A table that lists what the code has lists all of it and nothing else."""
    assert {name for row in rows(page, column) for name in words(row[column])} == expected


def test_the_exit_codes_are_complete():
    """The table has every exit code."""
    assert [int(row["code"]) for row in rows("docs/command-line.md", "code")] == sorted(ExitCode)


def test_every_brand_is_listed_with_its_base_url():
    """A brand whose codes are not known is one whose codes pass unchanged."""
    listed = {words(row["brand"])[0]: row for row in rows("docs/command-line.md", "brand")}

    assert {name: words(row["base URL"])[0] for name, row in listed.items()} == {
        name: brand.base_url for name, brand in BRANDS.items()
    }
    assert [name for name, row in listed.items() if "not known" in row["its codes"]] == [
        name for name, brand in BRANDS.items() if not brand.codes
    ]


def test_the_statuses_of_the_receivers_are_complete():
    """The table has every status that a receiver sends."""
    sent = {HTTPStatus[name].value for name in re.findall(r"HTTPStatus\.([A-Z_]+)", inspect.getsource(receiver))}

    assert {int(row["status"]) for row in rows("docs/webhooks.md", "status")} == sent


def test_the_faults_exist():
    """The table has every constructor of a fault, and arguments that there are."""
    listed = " ".join(row["fault"] for row in rows("docs/testing.md", "fault"))
    constructors = {name for name, value in vars(Fault).items() if isinstance(value, classmethod)}

    assert set(re.findall(r"Fault\.(\w+)", listed)) == constructors
    assert set(re.findall(r"Fault\((\w+)=", listed)) <= {field.name for field in attrs.fields(Fault)}


def test_the_contenders_are_those_that_are_measured():
    """The benchmarks' table has every contender, by the name that the results have."""
    expected = [contender["name"] for contender in RESULTS["contenders"]]

    assert [row["contender"] for row in rows("benchmarks/README.md", "contender")] == expected


def _figure(measure: dict[str, Any]) -> dict[str, str]:
    required = f"at {'least' if measure['at_least'] else 'most'} {measure['must']:g}" if "must" in measure else "-"
    return {"median": f"{measure['median']:g} {measure['unit']}", "required": required}


def test_the_figures_are_those_of_the_last_run():
    """The page of figures shows the results that are kept."""
    measured = {measure["name"]: _figure(measure) for measure in RESULTS["measures"]}
    about = (
        f"{RESULTS['rounds']} rounds on {RESULTS['date']} with {RESULTS['machine']['python']} "
        f"and aiohttp {RESULTS['libraries']['aiohttp']}"
    )

    for row in rows("docs/performance.md", "measure"):
        assert {"median": row["median"], "required": row["required"]} == measured[row["measure"]], row
    assert about in prose("docs/performance.md")


@pytest.mark.parametrize("page", PAGES)
def test_a_path_exists(page):
    """A file that a page names is there."""
    named = re.findall(
        r"\b(?:balancekit|tests|docs|benchmarks|examples)/[\w/.]*\w", re.sub(r"\]\([^)]*\)", "", PAGES[page])
    )

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_architecture_names_what_there_is():
    """A class or a function that the page names is defined in the package."""
    defined = {name for text in PACKAGE.values() for name in re.findall(r"(?:class|def) (\w+)", text)}
    named = {word.rpartition(".")[2] for word in words(prose("docs/architecture.md")) if re.fullmatch(r"[\w.]+", word)}

    assert {name for name in named if name[0].isupper()} <= defined


def test_packages_import_what_the_architecture_allows():
    """The table of layers is the code's."""
    allowed = {words(row["package"])[0]: {*words(row["may import"])} for row in rows("docs/architecture.md", "package")}

    for path, text in PACKAGE.items():
        package = path.split("/")[1].removesuffix(".py")
        imported = {module.split(".")[1] for module in _imports(text) if module.startswith("balancekit.")}
        if package in allowed:
            assert imported - {package, "version"} <= allowed[package], path
    assert {path.split("/")[1].removesuffix(".py") for path in PACKAGE} - {*allowed} == {
        "__init__",
        "__main__",
        "version",
    }


def _imports(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(
    "named", re.findall(r"`(tests/[a-z_/0-9]+\.py)::(\w+)`", PAGES["docs/guarantees.md"]), ids="::".join
)
def test_a_guarantee_has_the_test_that_it_names(named):
    """A row without its test would be a wish."""
    path, name = named

    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")
