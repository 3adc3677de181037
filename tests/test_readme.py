"""The README: every code block is run, every output shown is the output, every command is the one that CI runs."""

import re
import sys
import tomllib
import traceback
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from balancekit import ConfigError, CryptoprocessingProvider, GetManyProvider, HttpProvider, Response

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = [(kind, code) for kind, code in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]
PROGRAMS = [code for kind, code in BLOCKS if kind == "python" and "asyncio.run(main())" in code]
OUTPUTS = [code for kind, code in BLOCKS if kind == "text"]


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
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_prints_what_the_readme_shows(number, capsys):
    """Each program runs as it stands, and its output is the block below it."""
    _run(PROGRAMS[number])

    assert capsys.readouterr().out == OUTPUTS[number]


def test_every_program_has_its_output():
    """No program is shown without what it prints."""
    assert len(PROGRAMS) == len(OUTPUTS) == 3


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
