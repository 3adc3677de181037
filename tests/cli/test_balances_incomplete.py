"""`balancekit balances` where something cannot be read, or is wrong: what is shown, and the exit code."""

import csv
import hmac
import io
import os
import subprocess
import sys

import pytest

from balancekit import MergedBalances
from balancekit.sandbox import Fault
from tests.support.plugins import install_plugin

REFERENCES = '{ env = "NAME" }, { file = "path" } or { keyring = "name" }'
HINT = "Check that the secret belongs to the key"


DEAD_NAME_SERVER = """
import socket, sys, threading

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
from balancekit.__main__ import main

sys.argv[0] = "balancekit"
main()
"""


def test_the_command_ends_at_its_deadline_though_a_name_is_not_found(tmp_path):
    """A name server that is dead takes half a minute to be given up; the command says what it knows, and ends."""
    config = tmp_path / "accounts.toml"
    config.write_text(
        "[client]\ndeadline = 0.5\n[accounts.shop]\nprovider = 'cryptoprocessing'\nkey = 'pk_abcdefgh'\n"
        "secret = { env = 'SHOP_SECRET' }\n"
    )
    command = [sys.executable, "-c", DEAD_NAME_SERVER, "balances", "--config", str(config)]

    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | {"SHOP_SECRET": "s" * 32}, check=False
    )

    assert ran.returncode == 1
    assert "NOTHING READ" in ran.stderr


PLUG_IN = """
from balancekit import HttpProvider
{at_import}

class Provider(HttpProvider):
    provider = "mybank"

    def __init__(self, account):
        super().__init__(account, base_url="https://127.0.0.1:9")
        {at_construction}

    def build_request(self, *, now, nonce):
        {at_request}

    def read_response(self, response):
        return []

    async def fetch_balances(self, session):
        {at_fetch}
"""


@pytest.mark.parametrize(
    ("place", "code"), [("at_import", 2), ("at_construction", 2), ("at_request", 2), ("at_fetch", 1)]
)
def test_an_adapter_that_exits_with_0_does_not_look_like_success(run, tmp_path, monkeypatch, place, code):
    """Wherever it does so; a script that checks the exit code never takes it for a complete result."""
    places = dict.fromkeys(("at_import", "at_construction", "at_request", "at_fetch"), "pass")
    (tmp_path / "mybank_module.py").write_text(PLUG_IN.format(**places | {place: "raise SystemExit(0)"}))
    install_plugin(monkeypatch, tmp_path, mybank="mybank_module:Provider")
    (tmp_path / "accounts.toml").write_text('[accounts.a]\nprovider = "mybank"\n')

    result = run("balances", "--config", tmp_path / "accounts.toml")

    assert result.exit_code == code
    assert "SystemExit" in result.stderr
    assert result.stdout == ""


def test_a_wrong_configuration_has_a_line_for_each_mistake(run, tmp_path):
    """Each has a line on stderr, and no request is sent."""
    path = tmp_path / "accounts.toml"
    path.write_text('[accounts.a]\nprovider = "cryptoprocessing"\n[accounts.b]\n')

    result = run("balances", "--config", path)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"Error: {path}:1: account 'a': key: missing",
        f"Error: {path}:1: account 'a': secret: missing; give {REFERENCES}",
        f"Error: {path}:3: account 'b': provider: missing; give cryptoprocessing, getmany or that of a plug-in",
    ]


def test_an_incomplete_result_ends_with_3_and_a_notice(run, accounts_toml, wrong_secret):
    """The failure and its hint are on stderr, the notice is on stderr and above the table, and the exit code is 3."""
    result = run("balances", "--config", accounts_toml)

    assert result.exit_code == 3
    failed, gap = result.stderr.splitlines()
    assert failed.startswith("shop-eu (cryptoprocessing): 403 bad_header_signature: ")
    assert failed.endswith(HINT)
    assert gap == "INCOMPLETE: 1 of 3 accounts could not be read: shop-eu"
    assert "Totals of 2 of 3 accounts" in result.stdout
    assert gap in result.stdout
    assert "1.50000001" in result.stdout


def test_an_account_that_was_not_read_has_its_line_in_the_table(run, accounts_toml, wrong_secret):
    """With --by-account the table has a row for an account that could not be read."""
    result = run("balances", "--config", accounts_toml, "--by-account")

    (line,) = [line for line in result.stdout.splitlines() if line.endswith("not read")]
    assert line.split() == ["shop-eu", "cryptoprocessing", "not", "read"]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_nothing_read_ends_with_1(run, accounts_toml, stand_in, form):
    """If every account fails, the exit code is 1, in every format."""
    for account in stand_in.accounts:
        stand_in.fail(account.label, Fault(status=400))

    result = run("balances", "--config", accounts_toml, "--format", form)

    assert result.exit_code == 1
    notice = "NOTHING READ: 3 of 3 accounts could not be read: shop-eu, shop-us, treasury"
    assert result.stderr.splitlines()[-1] == notice
    if form == "json":
        assert len(MergedBalances.from_json(result.stdout).failures) == 3
    elif form == "csv":
        assert [{row["currency"]: row["notice"]} for row in csv.DictReader(io.StringIO(result.stdout))] == [
            {"": notice}
        ]
    else:
        assert result.stdout == ""


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_no_secret_is_in_any_output(run, accounts_toml, wrong_secret, stand_in, form):
    """Keys and signatures are in no output and no log line, even if a server sends them back."""
    settings = stand_in.accounts[1].settings
    signature = hmac.digest(settings["secret"].encode(), b"{}", "sha512").hex()
    stand_in.fail("shop-us", Fault(status=400, body=f"{signature} {settings['key']}"))

    result = run("balances", "-v", "--by-account", "--config", accounts_toml, "--format", form)

    sent = [value for request in stand_in.requests for value in request.headers.values() if len(value) > 30]
    kept = [value for account in stand_in.accounts for value in account.settings.values() if "://" not in value]
    assert len(sent) >= 5
    assert not [value for value in [*sent, *kept, "of-another-key"] if value in result.output]
