"""The routes for `aiohttp.web`; what they do with a request is tested with all receivers."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from balancekit import ConfigError
from balancekit.sandbox.cryptoprocessing_webhooks import sign_body
from balancekit.webhooks import webhook_routes


def test_a_path_without_an_account_is_a_config_error(inbox):
    """Nothing would name the account of a delivery."""
    with pytest.raises(ConfigError, match=r"^path: expected \{account\} in it"):
        webhook_routes(inbox, "/hook")


@pytest.mark.parametrize(
    ("path", "account"),
    [("/hook", "shop"), ("/hook/", "shop"), ("/{account}/hook", None), (r"/{account:.+}", None), ("", "shop")],
    ids=["given", "slash at the end", "in the path", "by a pattern", "mount alone"],
)
async def test_a_path_leads_to_the_account_with_and_without_a_slash_at_its_end(inbox, path, account):
    """Every method does: others than POST get the receiver's 405."""
    mounted, app = web.Application(), web.Application()
    mounted.add_routes(webhook_routes(inbox, path, account=account))
    app.add_subapp("/mount", mounted)
    url = "/mount" + path.rstrip("/").partition("{")[0] + ("" if account else "shop") + path.partition("}")[2]

    async with TestClient(TestServer(app)) as http:
        statuses = [(await http.request(method, url + end)).status for end in ("", "/") for method in ("POST", "GET")]

    assert inbox.labels == ["shop", "shop"]
    assert statuses == [400, 405, 400, 405]


async def test_a_body_that_a_middleware_has_read_is_verified(inbox, shop):
    """The request keeps it; the receiver's limit still holds."""

    @web.middleware
    async def read_first(request, handler):
        await request.read()
        return await handler(request)

    app = web.Application(middlewares=[read_first])
    app.add_routes([*webhook_routes(inbox), *webhook_routes(inbox, "/narrow/{account}", max_body=10)])
    body = b'{"id":7}'

    async with TestClient(TestServer(app)) as http:
        headers = {"X-Processing-Key": "key-0123", "X-Processing-Signature": sign_body("AbCdEfG123456", body)}
        read = await http.post("/webhooks/shop", data=body, headers=headers)
        large = await http.post("/narrow/shop", data=body * 2, headers=headers)
        empty = await http.post("/webhooks/shop", headers=headers)

    assert (read.status, large.status, empty.status) == (204, 400, 400)
    assert [event.event_id for event in inbox.events] == ["7//"]


@pytest.mark.parametrize(("method", "status"), [("POST", b"400"), ("GET", b"405")])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_body_that_is_not_as_encoded_as_it_says_is_not_read_for_the_log(inbox, caplog, method, status, at_once):
    """Anybody may send one: aiohttp would log each with a traceback, at ERROR."""
    app = web.Application()
    app.add_routes(webhook_routes(inbox))
    head = f"{method} /webhooks/shop HTTP/1.1\r\nHost: shop\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n"

    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode() + (b"{}" if at_once else b""))
        response = await reader.readuntil(b"\r\n")
        writer.write(b"" if at_once else b"{}")
        await reader.read()
        writer.close()

    assert response.split()[1] == status
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
