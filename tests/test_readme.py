"""The README: every code block is run, every output shown is the output, every command is the one that CI runs."""

import asyncio
import re
import socket
import sys
import tomllib
import traceback
from importlib.metadata import entry_points
from pathlib import Path

import aiohttp
import pytest
import uvicorn

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, GetManyProvider, HttpProvider, Response

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = [(kind, code) for kind, code in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]
PROGRAMS = [code for kind, code in BLOCKS if kind == "python" and "asyncio.run(main())" in code]
OUTPUTS = [code for kind, code in BLOCKS if kind == "text"]
# One of them is run where there is a Redis: tests/stores/test_readme.py.
WITHOUT_REDIS = [number for number, code in enumerate(PROGRAMS) if "RedisStore" not in code]


def _run(program):
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})


@pytest.fixture
def first_programs_accounts(monkeypatch, sandbox_in_thread):
    """Put accounts with what the README shows behind the default base URLs, and their keys into the environment."""
    shop = sandbox_in_thread.add_cryptoprocessing("shop-eu", {"BTC": "0.04", "EUR": "10000", "ETH": "0"})
    treasury = sandbox_in_thread.add_getmany("treasury", {"BTC": "1.50000000"})
    for kind, account in ((CryptoprocessingProvider, shop), (GetManyProvider, treasury)):
        monkeypatch.setitem(kind.__init__.__kwdefaults__, "base_url", account.settings["base_url"])
    monkeypatch.setenv("SHOP_EU_KEY", shop.settings["key"])
    monkeypatch.setenv("SHOP_EU_SECRET", shop.settings["secret"])
    monkeypatch.setenv("BSK_KEY_ID", treasury.settings["key_id"])
    monkeypatch.setenv("BSK_SIGNING_KEY", treasury.settings["signing_key"])


@pytest.mark.usefixtures("first_programs_accounts")
@pytest.mark.parametrize("number", WITHOUT_REDIS)
def test_a_program_prints_what_the_readme_shows(number, capsys):
    """Each program runs as it stands, and its output is the block below it."""
    _run(PROGRAMS[number])

    assert capsys.readouterr().out == OUTPUTS[number]


def test_every_program_has_its_output():
    """No program is shown without what it prints."""
    assert len(PROGRAMS) == len(OUTPUTS) == 7
    assert len(WITHOUT_REDIS) == 6


def test_every_block_is_run_by_a_test_here():
    """Blocks of Python are programs, the adapter of one's own, and the application to mount; no other is shown."""
    rest = [code for kind, code in BLOCKS if kind == "python" and code not in PROGRAMS]

    assert ["HttpProvider" in code for code in rest] == [False, True]
    assert ["FastAPI" in code for code in rest] == [True, False]


async def test_the_application_takes_webhooks(sandbox):
    """Served as FastAPI is, it answers with what is held after a settlement."""
    (code,) = [code for kind, code in BLOCKS if kind == "python" and "FastAPI" in code]
    namespace = {}
    exec(compile(code, "README.md", "exec"), namespace)
    shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})

    async with AggregateClient([CryptoprocessingProvider("shop", **shop.settings)]) as client:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(namespace["make_app"](client), http="h11", ws="none", log_config=None)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            shop.webhook_url = f"{address}/webhooks/shop"
            async with aiohttp.ClientSession() as session:
                amounts = []
                for settled in (0, "0.25"):
                    if settled:
                        delivery = await sandbox.settle("shop", "BTC", settled)
                    async with session.get(f"{address}/balances") as answer:
                        amounts.append((await answer.json())["totals"][0]["amount"])
            server.should_exit = True
            await serving

    assert delivery.attempts[0].status == 204
    assert amounts == ["1", "1.25"]


def test_the_adapter_reads_balances():
    """The adapter of one's own is complete: it builds a request and reads an answer exactly."""
    (code,) = [code for kind, code in BLOCKS if kind == "python" and "HttpProvider" in code]
    namespace = {}
    exec(compile(code, "README.md", "exec"), namespace)

    bank = namespace["MyBankProvider"]("bank", token="canary")
    request = bank.build_request(now=0, nonce="")
    (balance,) = bank.read_response(Response(200, {}, b'{"balances": [{"currency": "eur", "available": 12.30}]}'))

    assert isinstance(bank, HttpProvider)
    assert request.headers["Authorization"] == "Bearer canary"
    assert (balance.currency, str(balance.amount)) == ("EUR", "12.30")
    with pytest.raises(ConfigError) as caught:
        namespace["MyBankProvider"]("bank", token="canary", base_url="http://bank.example")
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert "canary" not in repr([frame.f_locals for frame in frames])
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def test_the_configuration_is_read(tmp_path, monkeypatch):
    """The accounts.toml that is shown names accounts that can be made."""
    from balancekit.config import load_config

    (text,) = [code for kind, code in BLOCKS if kind == "toml"]
    (tmp_path / "accounts.toml").write_text(text)
    (tmp_path / "treasury.key").write_text("MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n")
    for name in ("SHOP_EU_KEY", "SHOP_EU_SECRET", "BSK_KEY_ID"):
        monkeypatch.setenv(name, "invented")

    config = load_config(tmp_path / "accounts.toml")

    assert [provider.account for provider in config.providers] == list(tomllib.loads(text)["accounts"])


def test_ci_runs_the_readmes_test_command():
    """What a newcomer is told to run is what is run before a change lands."""
    (command,) = [line for kind, code in BLOCKS if kind == "console" for line in code.splitlines() if "nox" in line]

    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_command_is_installed():
    """The name that the README uses is the name of the command."""
    (script,) = entry_points(group="console_scripts", name="balancekit")

    assert script.value == "balancekit.__main__:main"
    assert "balancekit demo" in README
    assert sys.version_info >= (3, 11)
