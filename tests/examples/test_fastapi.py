"""The service of examples/fastapi_service.py, over real sockets."""

import asyncio

import pytest

from tests.support.hosts import get_json, nothing_left, served, uvicorn_server

make_app = pytest.importorskip("examples.fastapi_service").make_app


async def test_the_service_responds_takes_webhooks_and_stops(accounts):
    """It shows what can be read, names what cannot, and stops while a request waits for a hung account."""
    async with nothing_left(), served(lambda: uvicorn_server(make_app(accounts.client()))) as (url, stop):
        status, merged = await get_json(f"{url}/balances")
        assert (status, merged["complete"]) == (200, False)
        assert [total["amount"] for total in merged["totals"]] == ["0.5", "0", "450"]
        assert sorted(failure["account"] for failure in merged["failures"]) == ["down", "hung"]

        for wrong in ("-1", "nan", "inf"):
            assert (await get_json(f"{url}/balances?max_age={wrong}"))[0] == 422

        status, down = await get_json(f"{url}/health")
        assert (status, sorted(down)) == (503, ["down", "hung"])

        accounts.shop.webhook_url = f"{url}/webhooks/shop"
        assert await accounts.settle("0.25") == 204
        _, merged = await get_json(f"{url}/balances?max_age=3600")
        assert merged["totals"][0]["amount"] == "0.75"

        waiting = asyncio.create_task(get_json(f"{url}/balances?max_age=0"))
        await accounts.asked("hung", 2)
        await stop()
        assert (await waiting)[0] == 200


async def test_the_description_of_the_api_has_the_fields_of_a_result(accounts):
    """A result is the response model of its route."""
    async with nothing_left(), accounts.client() as client:
        route = make_app(client).openapi()["paths"]["/balances"]["get"]

    schema = route["responses"]["200"]["content"]["application/json"]["schema"]
    assert {"totals", "accounts", "failures", "complete"} <= {*schema["properties"]}
