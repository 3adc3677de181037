"""The package in `examples/packages/paypal`, installed into an environment of its own."""

import asyncio
import base64
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from aiohttp import web

import balancekit
from tests.support.pages import ROOT

PACKAGE = ROOT / "examples" / "packages" / "paypal"

PROGRAM = """\
import asyncio
from balancekit import load_config

async def main():
    async with load_config("accounts.toml").make_client() as client:
        print(await client.fetch())

asyncio.run(main())
"""


@pytest.fixture
def python(tmp_path):
    """Return an interpreter that has the package as pip installs it, and what balancekit needs."""
    home = tmp_path / "environment"
    venv.create(home, symlinks=os.name != "nt")
    found = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    target = sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)})
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    installed = subprocess.run([*pip, "--target", target, str(PACKAGE)], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"pip cannot build the package here: {installed.stderr.strip()[-200:]}")
    # Its dependencies are those of the interpreter that runs the tests, and nothing is downloaded for them.
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(Path(balancekit.__file__).parents[1])]
    Path(target, "dependencies.pth").write_text("\n".join(dict.fromkeys(paths)))
    return found


async def test_it_is_found_by_its_name(python, tmp_path):
    """`provider = "paypal"` in `accounts.toml` is all that a program needs."""

    async def token(request):
        login = base64.b64encode(b"AeA1QIZXiflr1:EGnHDxD-qRPdaLdZ").decode()
        assert request.headers["Authorization"] == f"Basic {login}"
        assert await request.read() == b"grant_type=client_credentials"
        return web.json_response({"access_token": "A21AAFEpH4PsADK7", "token_type": "Bearer", "expires_in": 31668})

    async def balances(request):
        assert request.headers["Authorization"] == "Bearer A21AAFEpH4PsADK7"
        total = {"currency_code": "USD", "value": "10.50"}
        return web.json_response({"balances": [{"currency": "USD", "total_balance": total}]})

    app = web.Application()
    app.add_routes([web.post("/v1/oauth2/token", token), web.get("/v1/reporting/balances", balances)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    (tmp_path / "accounts.toml").write_text(
        '[accounts.shop]\nprovider = "paypal"\nclient_id = "AeA1QIZXiflr1"\n'
        f'client_secret = {{ env = "PAYPAL_SECRET" }}\nbase_url = "{url}"\n'
    )
    environment = {**os.environ, "PAYPAL_SECRET": "EGnHDxD-qRPdaLdZ"}
    environment.pop("PYTHONPATH", None)
    run = await asyncio.to_thread(
        subprocess.run,
        [python, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    await runner.cleanup()

    assert (run.stdout, run.stderr) == ("USD 10.50\n", "")
