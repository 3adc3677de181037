"""The packages in `examples/packages`, installed into one environment: each is found by the name that it registers.

`nox -s packages` makes that environment.
"""

import asyncio
import os
import re
import subprocess
import sys
import tomllib

import pytest
from aiohttp import web

import balancekit
from tests.support.pages import blocks

for package in ("stripe", "paypal", "ccxt"):
    pytest.importorskip(f"balancekit_{package}")

ACCOUNTS = """\
[accounts.shop]
provider = "stripe"
key = { env = "STRIPE_KEY" }
base_url = "%(url)s/stripe"

[accounts.market]
provider = "paypal"
client_id = "AeA1QIZXiflr1"
client_secret = { env = "PAYPAL_SECRET" }
base_url = "%(url)s/paypal"

[accounts.treasury]
provider = "ccxt"
exchange = "kraken"
key = { env = "KRAKEN_KEY" }
secret = { env = "KRAKEN_SECRET" }
base_url = "%(url)s/kraken"

[accounts.margin]
provider = "ccxt"
exchange = "bitfinex"
account_type = "margin"
options = '{"precision": "R0"}'
key = { env = "BITFINEX_KEY" }
secret = { env = "BITFINEX_SECRET" }
base_url = "%(url)s/bitfinex"
"""

SECRETS = {
    "STRIPE_KEY": "rk_live_0123456789",
    "PAYPAL_SECRET": "EGnHDxD-qRPdaLdZ",
    "KRAKEN_KEY": "kQ9vXr2LmB7tZc4W",
    "KRAKEN_SECRET": "NWU4ODQ4OThkYTI4MDQ3MTUxZDBlNTZmOGRjNjI5Mjc=",
    "BITFINEX_KEY": "hT5nQw8ZsY2kLp3V",
    "BITFINEX_SECRET": "7d0a8468ed220400c0b8e6f335baa7e0",
}

TOKEN = {"access_token": "A21AAFEpH4PsADK7", "token_type": "Bearer", "expires_in": 31668}

RESPONSES = {
    "/stripe/v1/balance": {
        "object": "balance",
        "available": [{"amount": 1050, "currency": "usd"}],
        "livemode": True,
        "pending": [],
    },
    "/paypal/v1/oauth2/token": TOKEN,
    "/paypal/v1/reporting/balances": {
        "balances": [{"currency": "USD", "total_balance": {"currency_code": "USD", "value": "0.25"}}]
    },
    "/kraken/0/private/BalanceEx": {
        "error": [],
        "result": {"XXBT": {"balance": "1.2435110100", "hold_trade": "0.8423000000"}},
    },
    "/bitfinex/v2/auth/r/wallets": [
        ["exchange", "BTC", 12, 0, 12, None, None],
        ["margin", "UST", 7.5, 0, 7.5, None, None],
    ],
}


@pytest.fixture
async def accounts(tmp_path):
    """Play all four APIs, and return a file with an account at each."""

    async def respond(request):
        await request.read()
        return web.json_response(RESPONSES[request.path])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS % {"url": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    yield file
    await runner.cleanup()


async def run(command, accounts):
    """Run a command as it is installed, without what the tests import from."""
    environment = {**os.environ, **SECRETS}
    environment.pop("PYTHONPATH", None)
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "balancekit", *command, "--config", str(accounts)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_they_are_found_by_their_names(accounts):
    """`provider` in `accounts.toml` is all that the command line needs."""
    result = await run(["balances", "--format", "json"], accounts)

    assert (result.stderr, result.returncode) == ("", 0)
    merged = balancekit.MergedBalances.from_json(result.stdout)
    assert {total.currency: total.plain for total in merged.totals} == {
        "BTC": "1.2435110100",
        "USD": "10.75",
        "USDT": "7.5",
    }
    assert {account.account: account.provider for account in merged.accounts} == {
        "shop": "stripe",
        "market": "paypal",
        "treasury": "kraken",
        "margin": "bitfinex",
    }


async def test_their_accounts_can_be_checked(accounts):
    """Without an amount, and without a secret."""
    result = await run(["check"], accounts)

    assert (result.stderr, result.returncode) == ("", 0)
    assert [label for label in ("shop", "market", "treasury", "margin") if label not in result.stdout] == []
    assert [text for text in SECRETS.values() if text in result.stdout] == []


@pytest.mark.parametrize(
    "block",
    [block for block in blocks("toml") if block.page.startswith("examples/packages/")],
    ids=lambda block: block.place,
)
async def test_the_configuration_on_its_page_is_read(tmp_path, monkeypatch, block):
    """Each `accounts.toml` that a page of a package shows makes a client."""
    file = tmp_path / "accounts.toml"
    file.write_text(block.code, encoding="utf-8")
    for name in re.findall(r'env = "(\w+)"', block.code):
        monkeypatch.setenv(name, "whsec_aW52ZW50ZWQ=")

    client = balancekit.load_config(file).make_client()

    assert list(client.accounts) == list(tomllib.loads(block.code)["accounts"])
