"""The published JSON Schema, against what is really written, and in a description of an API."""

import importlib.resources
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import httpx
import jsonschema
import pydantic
import pytest
from fastapi import Body, FastAPI
from hypothesis import given

from balancekit import (
    AccountBalances,
    AccountFailure,
    ConfigError,
    MergedBalances,
    NotReadError,
    RateLimitedError,
    merge,
)
from tests.support.strategies import results, views

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def merged(make_balance, make_snapshot):
    """Merge accounts and failures that have every field that can be written."""
    held = make_balance(
        "USDC", "5.00", chain="base", reference="b-1", available=Decimal("3.10"), pending=Decimal("-1e-8")
    )
    shop = AccountBalances("shop", "fake", (held,), NOW, reported_at=NOW - timedelta(hours=1))
    till = make_snapshot("till", ("BTC", "1"), stale=True)
    error = RateLimitedError("429", account="till", provider="fake", status=429, code="odd", hint="Wait", retry_after=2)
    failures = [
        AccountFailure("till", "fake", error, till),
        AccountFailure("desk", "fake", NotReadError("not read", account="desk", provider="fake")),
        AccountFailure("gone", "fake", ConfigError("cannot work"), make_snapshot("gone", ("EUR", "1", "fiat"))),
    ]
    return merge([shop, till, make_snapshot("zero", ("MNT", "0", "unknown"))], failures)


def strict(schema):
    """Return the schema with every object closed, so that what it does not describe is an error."""
    match schema:
        case dict():
            closed = {"additionalProperties": False} if "properties" in schema and "type" in schema else {}
            return {name: strict(value) for name, value in schema.items()} | closed
        case list():
            return [strict(value) for value in schema]
        case _:
            return schema


STRICT = strict(MergedBalances.json_schema())


def errors_of(document, schema):
    """Return what does not fit the schema; moments are checked, too."""
    checker = jsonschema.FormatChecker()
    checker.checks("date-time", raises=ValueError)(lambda text: text is None or bool(datetime.fromisoformat(text)))
    validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
    return [error.message for error in validator.iter_errors(document)]


def test_the_schema_is_one_and_is_installed():
    """Other programs find it as a file of the package."""
    path = importlib.resources.files("balancekit").joinpath("schemas/balances.schema.json")

    assert path.is_file()
    jsonschema.Draft202012Validator.check_schema(MergedBalances.json_schema())


def test_the_schema_describes_all_that_is_written(merged):
    """Every field that a result can have is described, and none is of another type."""
    assert errors_of(merged.to_dict(), STRICT) == []
    assert errors_of(merge([]).to_dict(), STRICT) == []


@given(results())
def test_the_schema_describes_every_result_and_every_view_of_it(merged):
    """Whatever accounts hold, and whatever was chosen of it."""
    for view in views(merged):
        assert errors_of(view.to_dict(), STRICT) == []


def test_everything_that_the_schema_describes_is_written(merged):
    """No description outlives its field."""
    written = set()

    def collect(value):
        match value:
            case dict():
                written.update(value)
                list(map(collect, value.values()))
            case list():
                list(map(collect, value))

    collect(merged.to_dict())
    definitions = MergedBalances.json_schema()
    described = {name for one in (definitions, *definitions["$defs"].values()) for name in one["properties"]}
    assert described == written


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("version"),
        lambda data: data.update(version=2),
        lambda data: data["totals"][0].update(amount=1.5),
        lambda data: data["totals"][0].update(amount="1E-8"),
        lambda data: data["totals"][0].update(amount="NaN"),
        lambda data: data["accounts"][0]["balances"][0].update(available=None),
        lambda data: data["accounts"][0].pop("fetched_at"),
        lambda data: data["accounts"][0].update(fetched_at="yesterday"),
        lambda data: data["failures"][0].update(last_known=[]),
    ],
    ids=["no version", "later", "float", "exponent", "nan", "null part", "no moment", "moment", "list"],
)
def test_what_is_no_result_does_not_fit_the_schema(merged, change):
    """A reader in another language finds a damaged result by it."""
    data = merged.to_dict()
    change(data)

    assert errors_of(data, MergedBalances.json_schema())


@pytest.fixture
def app(merged):
    """Make an application whose route is annotated with the class of results."""
    app = FastAPI()

    @app.get("/balances")
    async def balances() -> MergedBalances:
        return merged

    @app.post("/total")
    async def total(sent: Annotated[MergedBalances, Body()]) -> str:
        return sent["USDC"].plain

    return app


@pytest.fixture
async def service(app):
    """Send requests to the application."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


async def test_a_result_is_a_response_model_of_fastapi(merged, service):
    """The class in the annotation is enough, and the response is what `to_dict` returns."""
    response = await service.get("/balances")

    assert response.json() == merged.to_dict()
    assert MergedBalances.from_json(response.content) == merged


def test_the_description_of_the_api_has_every_field(app):
    """It is the published schema, without references."""
    described = app.openapi()["paths"]["/balances"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    balance = described["properties"]["accounts"]["items"]["properties"]["balances"]["items"]
    assert balance == MergedBalances.json_schema()["$defs"]["balance"]
    assert balance["properties"]["pending"]["description"]


async def test_a_result_is_read_from_a_request(merged, service):
    """A damaged one is answered with 422, as any body that does not fit its model."""
    damaged = merged.to_dict()
    damaged["totals"][0]["amount"] = "7"

    assert (await service.post("/total", json=merged.to_dict())).json() == "5.00"
    response = await service.post("/total", json=damaged)
    assert (response.status_code, "do not add up" in response.text) == (422, True)


def test_a_model_of_pydantic_may_have_a_result_in_it(merged):
    """The model keeps the object, and writes it as JSON."""
    model = pydantic.create_model("Report", balances=(MergedBalances, ...))

    report = model(balances=merged)

    assert report.balances is merged
    assert report.model_dump() == {"balances": merged}
    assert model.model_validate_json(report.model_dump_json()) == report
    with pytest.raises(pydantic.ValidationError, match="not a merged result: expected an object, got a list"):
        model(balances=[])
