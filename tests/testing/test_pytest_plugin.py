"""The fixtures for tests of one's own, in runs of pytest with each plugin for asyncio and without any."""

import subprocess
import sys
import warnings

import aiohttp.test_utils
import pytest
from aiohttp import web
from fastapi import FastAPI
from starlette.applications import Starlette

from balancekit import AggregateClient, CryptoprocessingProvider
from balancekit.testing import pytest_plugin
from balancekit.webhooks import WebhookApp, webhook_routes
from tests.support.pages import blocks

CONFTEST = """
import threading

import pytest

pytest_plugins = ["balancekit.testing.pytest_plugin"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before
"""

IN_ASYNCIO = """
import pytest

from balancekit import AggregateClient, GetManyProvider

pytestmark = {marks}


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_all(balancekit_sandbox, balancekit_clock, balancekit_delivery):
    till = balancekit_sandbox.add_getmany("till", {{"USDC": "1"}})
    async with AggregateClient([GetManyProvider("till", **till.settings)], clock=balancekit_clock) as client:
        await client.fetch()
        await balancekit_clock.advance(31)
        await client.fetch(max_age=30)
        assert len(balancekit_sandbox.requests) == 2

        delivery = balancekit_delivery(till, "USDC", "0.5")
        assert (await client.handle_webhook("till", delivery.headers, delivery.body)).settled
        assert (await client.fetch(max_age=30))["USDC"].plain == "1.5"

        till.webhook_url = "http://127.0.0.1:1/"
        assert not (await balancekit_sandbox.settle("till", "USDC", "1")).accepted
"""

WITHOUT_ASYNCIO = """
import asyncio

from balancekit import GetManyProvider
from balancekit.blocking import Client


def test_all(balancekit_sandbox, balancekit_clock, balancekit_delivery):
    till = balancekit_sandbox.add_getmany("till", {"USDC": "1"})
    with Client([GetManyProvider("till", **till.settings)], clock=balancekit_clock) as client:
        client.fetch()
        asyncio.run(balancekit_clock.advance(31))
        client.fetch(max_age=30)
        assert len(balancekit_sandbox.requests) == 2

        delivery = balancekit_delivery(till, "USDC", "0.5")
        assert client.handle_webhook("till", delivery.headers, delivery.body).settled
        assert client.fetch(max_age=30)["USDC"].plain == "1.5"

    till.webhook_url = "http://127.0.0.1:1/"
    assert not asyncio.run(balancekit_sandbox.settle("till", "USDC", "1")).accepted
"""

# What each run has of the plugins for asyncio.
NEITHER = ["-p", "no:asyncio", "-p", "no:anyio"]
ANYIO = ["-p", "no:asyncio"]
BOTH = ["-o", "asyncio_default_fixture_loop_scope=function"]
STRICT, AUTO = ([*BOTH, "-p", "no:anyio", "--asyncio-mode", mode] for mode in ("strict", "auto"))


@pytest.fixture
def run(pytester):
    """Run test files in a process of its own, where any warning is an error."""

    def run(*codes, options):
        # Settings of its own: wherever its folder is, those of a project above would count otherwise.
        pytester.makeini("[pytest]")
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(**{f"test_{number}": code for number, code in enumerate(codes)})
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *options)

    return run


@pytest.mark.parametrize(
    ("marks", "options"),
    [("pytest.mark.asyncio", STRICT), ("[]", AUTO), ("pytest.mark.anyio", ANYIO), ("pytest.mark.anyio", BOTH)],
    ids=["strict", "auto", "anyio", "both"],
)
def test_tests_in_asyncio_and_others_use_the_fixtures(run, marks, options):
    """Whichever plugin runs them, in whichever mode; nothing is left of them."""
    run(IN_ASYNCIO.format(marks=marks), WITHOUT_ASYNCIO, options=options).assert_outcomes(passed=2)


def test_synchronous_tests_need_no_plugin_for_asyncio(run):
    """Nothing is left of the fixtures there, either."""
    run(WITHOUT_ASYNCIO, options=NEITHER).assert_outcomes(passed=1)


def test_the_tests_that_the_page_shows_pass(run):
    """A reader can copy them, and the line for conftest.py."""
    line, tests = (block.code for block in blocks("python") if block.page == "docs/testing.md" and not block.output)

    result = run(tests, options=AUTO)

    assert line in CONFTEST
    result.assert_outcomes(passed=2)


def test_what_anyio_runs_on_another_backend_fails_with_advice(run):
    """It runs each test on all backends unless it is limited."""
    code = """
        import pytest

        pytestmark = pytest.mark.anyio

        @pytest.fixture(params=["trio", ("trio", {})])
        def anyio_backend(request):
            return request.param

        async def test_sandbox(balancekit_sandbox):
            pass

        async def test_clock(balancekit_clock):
            pass

        async def test_delivery(balancekit_delivery):
            pass
    """

    result = run(code, options=ANYIO)

    result.assert_outcomes(errors=6)
    reason = "balancekit runs in asyncio, and anyio runs this test with trio: add to conftest.py a fixture"
    assert sum(line.startswith(reason) for line in result.outlines) == 6


def test_the_names_collide_with_no_others():
    """Those of all fixtures begin with the name of the package."""
    kind = type(pytest_plugin.balancekit_clock)
    fixtures = [name for name, value in vars(pytest_plugin).items() if isinstance(value, kind)]

    assert fixtures == ["balancekit_sandbox", "balancekit_clock", "balancekit_delivery"]


@pytest.mark.parametrize("heavy", ["aiohttp", "cryptography", "balancekit.client", "balancekit.sandbox"])
def test_loading_the_plugin_leaves_heavy_parts_alone(heavy):
    """A run pays for what its tests use."""
    code = f"import balancekit.testing.pytest_plugin, sys; print({heavy!r} in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"


@pytest.fixture
def shop(balancekit_sandbox):
    """Add an account to the sandbox."""
    return balancekit_sandbox.add_cryptoprocessing("shop", {"BTC": "1"})


@pytest.fixture
def client(shop):
    """Make a client of the account, which opens nothing until it is used."""
    return AggregateClient([CryptoprocessingProvider("shop", **shop.settings)])


@pytest.fixture
def starlette_client():
    """Return the class of Starlette's test client."""
    # Newer versions warn that they prefer another package to httpx.
    with warnings.catch_warnings(action="ignore"):
        from starlette.testclient import TestClient
    return TestClient


# A test client that dropped the second of two headers would make the forged one genuine.
DELIVERIES = pytest.mark.parametrize(("tamper", "status"), [(None, 204), ("signature-repeated", 400)])


@DELIVERIES
@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_a_delivery_is_posted_by_the_test_client_of_starlette(
    starlette_client, framework, client, shop, balancekit_delivery, tamper, status
):
    """And by that of FastAPI, which is the same."""
    app = framework()
    app.mount("/webhooks", WebhookApp(client))
    delivery = balancekit_delivery(shop, "BTC", "0.25", tamper=tamper)

    with starlette_client(app) as service:
        response = service.post("/webhooks/shop", headers=delivery.headers, content=delivery.body)
        service.portal.call(client.aclose)

    assert response.status_code == status


@DELIVERIES
async def test_a_delivery_is_posted_by_the_test_client_of_aiohttp(client, shop, balancekit_delivery, tamper, status):
    """Its server is on loopback, as all are of that client."""
    app = web.Application()
    app.add_routes(webhook_routes(client))
    delivery = balancekit_delivery(shop, "BTC", "0.25", tamper=tamper)

    async with client, aiohttp.test_utils.TestClient(aiohttp.test_utils.TestServer(app)) as service:
        response = await service.post("/webhooks/shop", headers=delivery.headers, data=delivery.body)

    assert response.status == status
