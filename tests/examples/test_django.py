"""The service of examples/django_service.py, over real sockets."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from balancekit.blocking import Client
from tests.support.hosts import QUICK, nothing_left

pytest.importorskip("django")
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.test import override_settings

import examples.django_service  # noqa: F401 - it configures Django


def get(url):
    """Return the status and the content of a response."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_the_service_responds_in_threads_takes_webhooks_and_stops(accounts):
    """It shows what can be read, names what cannot, and all its threads share the requests."""
    async with nothing_left():
        with Client(accounts.providers, **QUICK) as client, override_settings(BALANCES=client):
            server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
            server.set_app(get_wsgi_application())
            serving = threading.Thread(target=server.serve_forever)
            serving.start()
            url = f"http://127.0.0.1:{server.server_port}"
            with ThreadPoolExecutor() as pool:
                responses = await asyncio.to_thread(lambda: [*pool.map(get, [f"{url}/balances"] * 8)])
                for status, merged in responses:
                    assert (status, merged["complete"]) == (200, False)
                    assert [total["amount"] for total in merged["totals"]] == ["0.5", "0", "450"]
                assert len(accounts.sandbox.requests) == 3

                status, down = await asyncio.to_thread(get, f"{url}/health")
                assert (status, sorted(down)) == (503, ["down", "hung"])

                accounts.shop.webhook_url = f"{url}/webhooks/shop"
                assert await accounts.settle("0.25") == 204
                accounts.shop.webhook_url = f"{url}/webhooks/other"
                assert await accounts.settle("0") == 400
                _, merged = await asyncio.to_thread(get, f"{url}/balances")
                assert merged["totals"][0]["amount"] == "0.75"

            server.shutdown()
            serving.join()
            server.server_close()
