"""The documentation: every program runs and prints what the page shows."""

import ast
import asyncio
import inspect
import re
import socket
import sys
import tomllib
import traceback
import types

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from balancekit import (
    AggregateClient,
    ConfigError,
    CryptoprocessingProvider,
    GetManyProvider,
    HttpProvider,
    Response,
    merge,
)
from balancekit.cli.example_accounts import add_example_accounts
from balancekit.cli.sandbox_settings import write_settings
from balancekit.config import load_config
from balancekit.providers import ENTRY_POINTS
from balancekit.sandbox import Fault
from tests.support.loopback_origin import LoopbackOrigin, raw_response
from tests.support.pages import PAGES, ROOT, blocks

# tests/examples/ runs those about the programs and packages in examples/, where their libraries are installed.
ELSEWHERE = ("docs/hosts/", "examples/")
PYTHON = [block for block in blocks("python") if not block.page.startswith(ELSEWHERE)]
PROGRAMS = [block for block in PYTHON if block.output is not None]
_DEFINITIONS = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@pytest.fixture
def first_programs_accounts(monkeypatch, sandbox):
    """Put accounts with what the README shows behind the default base URLs, and their keys into the environment."""
    shop = sandbox.add_cryptoprocessing("shop-eu", {"BTC": "0.04", "EUR": "10000", "ETH": "0"})
    treasury = sandbox.add_getmany("treasury", {"BTC": "1.50000000"})
    for kind, account in ((CryptoprocessingProvider, shop), (GetManyProvider, treasury)):
        monkeypatch.setitem(inspect.unwrap(kind.__init__).__kwdefaults__, "base_url", account.settings["base_url"])
    monkeypatch.setenv("SHOP_EU_KEY", shop.settings["key"])
    monkeypatch.setenv("SHOP_EU_SECRET", shop.settings["secret"])
    monkeypatch.setenv("BSK_KEY_ID", treasury.settings["key_id"])
    monkeypatch.setenv("BSK_SIGNING_KEY", treasury.settings["signing_key"])


@pytest.fixture
def invented_accounts(monkeypatch, tmp_path, sandbox):
    """Write what `balancekit sandbox --write invented` does, into the folder in which the program runs."""
    write_settings(tmp_path / "invented", add_example_accounts(sandbox))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.place for program in PROGRAMS])
@pytest.mark.usefixtures("same_keys")
def test_a_program_prints_what_the_page_shows(program, request, monkeypatch, capsys):
    """Each program runs as it stands, and its output is the block below it."""
    if "import pandas" in program.code:
        pytest.importorskip("pandas")
    has_file = "invented/accounts.toml" in program.code
    request.getfixturevalue("invented_accounts" if has_file else "first_programs_accounts")
    if "REDIS_URL" in program.code:
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("server").url)

    exec(compile(program.code, program.place, "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out == program.output


def test_every_python_block_is_run():
    """A block is a program with its output, or defines something that a test uses; none is overlooked.

    Those of docs/servers.md are run by tests/scenarios/test_servers.py, the contracts by
    tests/testing/test_contract.py, and the tests with fixtures by tests/testing/test_pytest_plugin.py; that of
    balancekit-ccxt by its own tests.
    """
    assert len(PYTHON) == sum(text.count("```py") for page, text in PAGES.items() if not page.startswith(ELSEWHERE))
    assert [block.page for block in blocks("python") if block.page.startswith("examples/")] == [
        "examples/packages/ccxt/README.md"
    ]
    assert len(PROGRAMS) == 34
    assert [_defined(block) for block in PYTHON if block.output is None] == [
        {"close_with"},
        {"MyBankProvider"},
        {"TestMyBankProvider"},
        {"TestMyExchangeProvider"},
        {"read_through"},
        {"make_aiohttp_app"},
        {"make_starlette_server"},
        {"stop_watching_at_signals"},
        {"health"},
        set(),  # the line that loads the fixtures
        {"test_a_script_reads_the_till", "test_a_service_asks_once_a_minute_or_after_a_payment"},
        {"warning"},
        {"test_a_low_balance_is_no_outage", "low_then_enough_then_unknown"},
        {"value_in_euro"},
        {"make_app"},
    ]


def test_no_program_prints_an_amount_as_python_does():
    """It would be `1E-8` for a satoshi: programs print `plain`, or texts."""
    shown = [
        f"{block.place}: {ast.unparse(node)}"
        for block in PYTHON
        for node in ast.walk(ast.parse(block.code))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) == "print") or isinstance(node, ast.FormattedValue)
        for part in (node.args if isinstance(node, ast.Call) else [node.value])
        if re.search(r"\.amount(\([^()]*\))?$", ast.unparse(part))
    ]

    assert shown == []


def _defined(block):
    return {node.name for node in ast.parse(block.code).body if isinstance(node, _DEFINITIONS)}


def _run_definition(name):
    (block,) = [block for block in PYTHON if block.output is None and name in _defined(block)]
    namespace = {}
    exec(compile(block.code, block.place, "exec"), namespace)
    return namespace[name]


async def test_the_application_takes_webhooks(sandbox):
    """Served as FastAPI is, it responds with what is held after a settlement."""
    shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})

    async with AggregateClient([CryptoprocessingProvider("shop", **shop.settings)]) as client:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            application = _run_definition("make_app")(client)
            server = uvicorn.Server(uvicorn.Config(application, http="h11", ws="none", log_config=None))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            shop.webhook_url = f"{address}/webhooks/shop"
            async with aiohttp.ClientSession() as session:
                amounts = []
                for settled in (0, "0.25"):
                    if settled:
                        delivery = await sandbox.settle("shop", "BTC", settled)
                    async with session.get(f"{address}/balances") as response:
                        amounts.append((await response.json())["totals"][0]["amount"])
            server.should_exit = True
            await serving

    assert delivery.attempts[0].status == 204
    assert amounts == ["1", "1.25"]


async def test_the_server_of_the_readme_stops(sandbox):
    """It ends the response that follows the totals, and then closes the client."""
    till = sandbox.add_getmany("till", {"USDC": "1"})
    client = AggregateClient([GetManyProvider("till", **till.settings)])
    app = web.Application()
    _run_definition("close_with")(app, client)

    async def follow(request):
        response = web.StreamResponse()
        await response.prepare(request)
        async for merged in client.watch():
            await response.write(f"{merged}\n".encode())
        return response

    app.router.add_get("/", follow)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with asyncio.timeout(60), aiohttp.ClientSession() as session, session.get(url) as response:
        assert await response.content.readline() == b"USDC 1\n"
        await runner.cleanup()
        assert await response.content.read() == b""

    assert repr(client) == "AggregateClient(1 accounts, closed)"


async def test_the_health_check_knows_what_is_down(sandbox):
    """It is well until an account cannot be read, and then names it, without a request of its own."""
    shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
    health = _run_definition("health")

    async with AggregateClient([CryptoprocessingProvider("shop", **shop.settings)], attempts=1) as client:
        await client.fetch()
        well = health(client)
        sandbox.fail("shop", Fault(status=503))
        await client.fetch()
        requests = len(sandbox.requests)
        status, down = health(client)

    assert well == (200, {})
    assert (status, [*down], len(sandbox.requests)) == (503, ["shop"], requests)


def test_the_tutorials_test_passes(monkeypatch):
    """Saved as the page says, the function does what its test expects."""
    low = types.ModuleType("low")
    low.warning = _run_definition("warning")
    monkeypatch.setitem(sys.modules, "low", low)

    _run_definition("test_a_low_balance_is_no_outage")()


def test_the_adapter_reads_balances():
    """The example of an adapter is complete: it builds a request and reads a response exactly."""
    bank = _run_definition("MyBankProvider")("bank", token="canary")

    request = bank.build_request(now=0, nonce="")
    (balance,) = bank.read_response(Response(200, {}, b'{"balances": [{"currency": "eur", "available": 12.30}]}'))

    assert isinstance(bank, HttpProvider)
    assert request.headers["Authorization"] == "Bearer canary"
    assert (balance.currency, str(balance.amount)) == ("EUR", "12.30")


def test_the_adapter_shows_no_key():
    """An error of its constructor has the key in no frame, which error trackers collect."""
    adapter = _run_definition("MyBankProvider")

    with pytest.raises(ConfigError) as caught:
        adapter("bank", token="canary", base_url="http://bank.example")

    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert "canary" not in repr([frame.f_locals for frame in frames])


async def test_the_valuation_loads_the_reference_rates(make_snapshot):
    """The function that is shown values a result in euros, by the bank's table."""
    origin = LoopbackOrigin()
    table = (ROOT / "tests" / "samples" / "ecb" / "eurofxref-daily.xml").read_bytes()
    origin.response = raw_response(200, table, "Connection: close")
    await origin.start()
    merged = merge([make_snapshot("bank", ("USD", "109.44", "fiat"))])

    async with aiohttp.ClientSession() as session:
        valuation = await _run_definition("value_in_euro")(merged, session, origin.url)
    await origin.stop()

    assert valuation.plain == "100.00"


@pytest.mark.parametrize(
    "text",
    [block.code for block in blocks("toml") if "[accounts." in block.code and not block.page.startswith(ELSEWHERE)],
)
def test_the_configuration_is_read(tmp_path, monkeypatch, text):
    """Each accounts.toml that is shown makes a client."""
    (tmp_path / "accounts.toml").write_text(text)
    (tmp_path / "treasury.key").write_text("MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n")
    for name in ("SHOP_EU_KEY", "SHOP_EU_SECRET", "BSK_KEY_ID"):
        monkeypatch.setenv(name, "invented")

    config = load_config(tmp_path / "accounts.toml")

    assert list(config.make_client().accounts) == list(tomllib.loads(text)["accounts"])


async def test_the_proxy_is_used(tmp_path, monkeypatch):
    """The function that is shown asks the proxy for a tunnel to the provider, with the keys in no clear text."""
    proxy = LoopbackOrigin()
    proxy.response = raw_response(502)
    await proxy.start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_KEY", "canary-0123")
    (tmp_path / "accounts.toml").write_text("""
        [accounts.shop]
        provider = "cryptoprocessing"
        base_url = "https://api.example"
        key = { env = "SHOP_KEY" }
        secret = { env = "SHOP_KEY" }

        [client]
        attempts = 1
    """)

    merged = await _run_definition("read_through")(proxy.url)
    await proxy.stop()

    assert not merged.complete
    assert proxy.requests[0].startswith(b"CONNECT api.example:443 ")
    assert b"canary" not in b"".join(proxy.requests)


def test_the_entry_point_is_in_the_group_that_is_read():
    """The pyproject.toml of an adapter's package that is shown registers the adapter that is shown."""
    (text,) = [block.code for block in blocks("toml") if "[accounts." not in block.code]

    registered = tomllib.loads(text)["project"]["entry-points"][ENTRY_POINTS]

    assert registered == {"mybank": "mybank.balances:MyBankProvider"}
    assert _run_definition("MyBankProvider").provider == "mybank"
