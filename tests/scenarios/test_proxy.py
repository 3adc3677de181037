"""A proxy between a client and its providers: what goes through it, and what does not."""

import asyncio
import base64

import aiohttp
import pytest

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, Secret, load_config
from balancekit.blocking import Client
from balancekit.cli.checking import check_accounts
from balancekit.cli.valuation import load_rates
from balancekit.config.client_table import proxy_of
from balancekit.errors import ProviderError
from tests.support.loopback_origin import LoopbackOrigin, headers_of, raw_response

CANARY = "canary-3f9a"
TUNNEL = b"CONNECT app.cryptoprocessing.com:443 "


@pytest.fixture
async def proxy():
    """Start a proxy that opens no tunnel."""
    origin = LoopbackOrigin()
    origin.response = raw_response(502)
    await origin.start()
    yield origin
    await origin.stop()


@pytest.fixture
def shop():
    """Make an account at a provider that is reached over TLS."""
    return CryptoprocessingProvider("shop", key="k", secret=CANARY)


@pytest.fixture
def load(proxy, tmp_path):
    """Read a file with the account, and with the proxy under a password."""

    def load():
        (tmp_path / "accounts.toml").write_text(
            '[accounts.shop]\nprovider = "cryptoprocessing"\nkey = "k"\nsecret = { env = "SECRET" }\n'
            '[client]\nproxy = { env = "PROXY" }\nattempts = 1\n'
        )
        environ = {"SECRET": "s3cret", "PROXY": proxy.url.replace("://", f"://user:{CANARY}@")}
        return load_config(tmp_path / "accounts.toml", environ=environ)

    return load


@pytest.mark.parametrize("hidden", [False, True], ids=["text", "secret"])
async def test_requests_over_tls_go_through_the_proxy(proxy, shop, hidden):
    """It is asked for a tunnel, with its password, and sees nothing else."""
    url = proxy.url.replace("://", f"://user:{CANARY}@")

    async with AggregateClient([shop], proxy=Secret(url) if hidden else url, attempts=1) as client:
        merged = await client.fetch()

    (asked,) = proxy.requests
    assert asked.startswith(TUNNEL)
    sent = base64.b64encode(f"user:{CANARY}".encode()).decode()
    assert headers_of(asked)["Proxy-Authorization"] == f"Basic {sent}"
    (failure,) = merged.failures
    assert CANARY not in repr(failure) + str(failure.error)


async def test_a_proxy_that_is_given_comes_before_that_of_the_environment(proxy, shop, monkeypatch):
    """Even for hosts that the environment has none for."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*")

    async with AggregateClient([shop], proxy=proxy.url, trust_env=True, attempts=1) as client:
        await client.fetch()

    assert len(proxy.requests) == 1


async def test_requests_to_this_machine_go_through_no_proxy(proxy, sandbox):
    """They are not encrypted, and a proxy would see the credentials."""
    till = sandbox.add_cryptoprocessing("till", {"BTC": "1"})

    async with AggregateClient([CryptoprocessingProvider("till", **till.settings)], proxy=proxy.url) as client:
        merged = await client.fetch()

    assert merged.amount("BTC") == 1
    assert proxy.requests == []


async def test_a_session_that_is_lent_has_its_own_proxy(shop):
    """Requests would go elsewhere than the arguments say."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigError, match=r"^proxy: a session that is lent goes through its own"):
            AggregateClient([shop], session=session, proxy=f"http://user:{CANARY}@proxy.example")


async def test_the_blocking_client_has_it(proxy, shop):
    """In its thread."""

    def read():
        with Client([shop], proxy=proxy.url, attempts=1) as client:
            client.fetch()

    await asyncio.to_thread(read)

    assert proxy.requests[0].startswith(TUNNEL)


async def test_the_proxy_of_the_file_is_used(proxy, load):
    """By the client, unless a program says otherwise, and by the commands that have sessions of their own."""
    config = load()

    async with config.make_client() as client:
        await client.fetch()
    (checked,) = await check_accounts(config, [], None, lambda: None)
    with pytest.raises(ProviderError):
        await load_rates(proxy_of(config.client_settings))

    assert [request.partition(b":")[0] for request in proxy.requests] == [
        b"CONNECT app.cryptoprocessing.com",
        b"CONNECT app.cryptoprocessing.com",
        b"CONNECT www.ecb.europa.eu",
    ]
    assert checked.failure is not None


async def test_a_program_that_lends_a_session_leaves_the_proxy_of_the_file_out(load):
    """By its own choice, and not by an oversight."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigError, match=r"^proxy: "):
            load().make_client(session=session)
        assert load().make_client(session=session, proxy=None).accounts == ("shop",)
