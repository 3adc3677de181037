"""The table `[client]`: every argument of a client that makes sense in a file, and what replaces it in a program."""

import asyncio
import sys

import aiohttp
import pytest

from balancekit import Origins, RateLimit, RetryPolicy, load_config
from balancekit.sandbox import Fault
from balancekit.stores import MemoryStore
from tests.config.conftest import GOOD

ORIGIN = "https://app.cryptoprocessing.com"


def test_every_setting_is_read(load):
    """Those that are objects in a program are tables in the file."""
    config = load(f"""{GOOD}
[client]
timeout = 5
deadline = 10.5
concurrency = 20
settle_delay = 0
trust_env = true
retry = {{ attempts = 4, first = 0.2, cap = 5 }}
rate_limits = {{ "{ORIGIN}" = {{ requests = 30, per = 60 }} }}
""")

    assert config.client_settings == {
        "timeout": 5,
        "deadline": 10.5,
        "concurrency": 20,
        "settle_delay": 0,
        "trust_env": True,
        "retry": RetryPolicy(4, first=0.2, cap=5),
        "rate_limits": {ORIGIN: RateLimit(30, per=60)},
    }
    assert config.make_client().accounts == ("shop",)


def test_attempts_go_with_delays_of_retries(load):
    """They are the policy's, in the file and in a program."""
    config = load(f"{GOOD}[client]\nattempts = 5\nretry = {{ first = 0.2 }}\n")

    assert config.client_settings["retry"] == RetryPolicy(5, first=0.2)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("deadline = true", "6: client: deadline: expected seconds above zero, got True"),
        ("trust_env = 1", "6: client: trust_env: expected True or False, got int"),
        ("rate_limit = 1", "6: client: 'rate_limit' is unknown; did you mean 'rate_limits'?"),
        ("rate_limits = 5", "6: client: rate_limits: expected a table, got a number"),
        ("[client.rate_limits]\n'x' = 5", "7: client: rate_limits: 'x': expected a table, got a number"),
        (
            f"[client.rate_limits]\n'{ORIGIN}' = {{ requests = 30 }}",
            f"7: client: rate_limits: '{ORIGIN}': per: missing",
        ),
        (
            f"[client.rate_limits.'{ORIGIN}']\nper = 1\nrequests = 0",
            f"8: client: rate_limits: '{ORIGIN}': requests: expected a whole number above zero, got 0",
        ),
        (
            "[client.rate_limits]\n'https://shop:canary3f9a@api.example/canary' = { requests = 5 }",
            "7: client: rate_limits: 'https://api.example': a password does not belong in this file; give the origin",
        ),
        ("[client.rate_limits]\n'canary3f9aQ7x' = 5", "7: client: rate_limits: 'a malformed URL': "),
        (
            "[client.rate_limits.'https://shop:canary3f9a@app.cryptoprocessing.com']\nper = 1\nrequests = 1",
            f"6: client: rate_limits: '{ORIGIN}': a password does not belong in this file; give the origin alone",
        ),
        (
            "[client.rate_limits.'https://api.example/canary']\nper = 1\nrequests = 0",
            "8: client: rate_limits: 'https://api.example': requests: expected a whole number above zero, got 0",
        ),
        ("retry = { atempts = 1 }", "6: client: retry: 'atempts' is unknown; did you mean 'attempts'?"),
        ("retry = { attempts = 0 }", "6: client: retry: attempts: expected a whole number above zero, got 0"),
        (
            "attempts = 1\nretry = { attempts = 1 }",
            "6: client: attempts: given in [client.retry] as well; keep one of them",
        ),
        ('store = "redis://:canary3f9a@db/0"', "6: client: store: a password does not belong in this file; give "),
        ('store = "redis://db/0?password=canary"', "6: client: store: a password does not belong in this file; give "),
        ('store = { url = "rediss://db?ssl_p%61ssword=canary" }', "6: client: store: a password does not belong "),
        ('store = "unix:///run/redis.sock?db=1&password=canary"', "6: client: store: a password does not belong "),
        ('store = { env = "UNSET" }', "6: client: store: the environment variable UNSET is not set, or not exported"),
        ("[client.retry]\nfirst = 1\nattempts = 0", "8: client: retry: attempts: expected a whole number above zero"),
        (f"[client.retry]\nattempts = 2\nfirst = {10**400}", "8: client: retry: first: expected seconds, zero or more"),
        ("retry = { cap = nan }", "6: client: retry: cap: expected seconds, zero or more, got nan"),
        ("timeout = 1e300", "6: client: timeout: expected seconds above zero and at most 1_000_000_000, got 1e+300"),
        ('[client.store]\nurl = "redis://db"\nkeep = -5', "8: client: store: keep: expected seconds above zero"),
        ('store = { prefix = "p" }', "6: client: store: url: missing"),
        ('store = { url = "redis://db", kep = 1 }', "6: client: store: 'kep' is unknown; did you mean 'keep'?"),
        ('store = "http://db"', "6: client: store: "),
        ('store = "redis://db?soket_timeout=3"', "6: client: store: url: expected redis://"),
        ('store = { url = "redis://db", keep = -5 }', "6: client: store: keep: expected seconds above zero"),
        ('store = { url = "redis://db", keep = 1e300 }', "6: client: store: keep: expected seconds above zero"),
        ('store = { url = "redis://db", keep = inf }', "6: client: store: keep: expected seconds above zero"),
        ('store = { url = "redis://db", keep = nan }', "6: client: store: keep: expected seconds above zero"),
        ('proxy = "http://u:canary@proxy"', "6: client: proxy: a password does not belong in this file; give "),
        ('proxy = { env = "UNSET" }', "6: client: proxy: the environment variable UNSET is not set, or not exported"),
        ('proxy = "proxy:3128"', "6: client: proxy: expected a URL such as http://proxy.example:3128"),
        ("proxy = true", "6: client: proxy: expected a URL such as http://proxy.example:3128"),
    ],
    ids=lambda value: value[:40],
)
def test_a_wrong_setting_is_named(mistakes, text, mistake):
    """With its line, and without a password that may stand in it."""
    (line,) = mistakes(f"{GOOD}[client]\n{text}\n")

    assert line.startswith(f"accounts.toml:{mistake}")
    assert "canary" not in line


def test_a_limit_for_an_origin_without_accounts_is_a_mistake(mistakes):
    """It would limit nothing; with a mistake in an account that is not known."""
    limit = '[client.rate_limits]\n"https://elsewhere.example" = { requests = 30, per = 60 }\n'

    assert [line.split(": ")[:3] for line in mistakes(GOOD + limit)] == [["accounts.toml:5", "client", "rate_limits"]]
    assert [line.split(": ")[1] for line in mistakes(GOOD.replace("key", "kye") + limit)] == ["account 'shop'"]


def test_a_store_needs_its_extra(mistakes, monkeypatch):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "balancekit.stores.redis.store", None)

    (line,) = mistakes(f'{GOOD}[client]\nstore = "redis://127.0.0.1"\n')

    assert line.endswith("client: store: it needs the extra: pip install 'balancekit[redis]'")


def test_the_address_of_a_store_is_not_shown(load):
    """It may hold a password."""
    config = load(f'{GOOD}[client]\nstore = {{ env = "REDIS_URL" }}\n')

    assert "canary" not in repr(config)


def test_the_address_of_a_store_may_have_options(load):
    """Only a password has to come from elsewhere."""
    config = load(f'{GOOD}[client]\nstore = "rediss://db/0?ssl_ca_certs=ca.pem&ssl_keyfile=own.key"\n')

    assert config.store.url.reveal().endswith("own.key")


@pytest.mark.parametrize("kind", ["make_client", "make_blocking_client"])
def test_a_misspelt_setting_that_a_program_gives_shows_no_password(load, everything_shown_by, kind):
    """Neither its own value nor that of the setting beside it, which a traceback would have."""
    secret = "http://user:canary@proxy.example:3128"

    with pytest.raises(TypeError, match="prxy") as caught:
        getattr(load(GOOD), kind)(proxy=secret, prxy=secret)

    assert "canary" not in everything_shown_by(caught.value)


def test_the_address_of_a_proxy_is_not_shown(load):
    """It may hold a password, which comes from elsewhere; one without may stand in the file."""
    environ = {"SHOP_SECRET": "s3cret", "PROXY": "http://user:canary@proxy.example:3128"}
    config = load(f'{GOOD}[client]\nproxy = {{ env = "PROXY" }}\n', environ)
    plain = load(f'{GOOD}[client]\nproxy = "http://proxy.example:3128"\n')

    assert "canary" not in repr(config)
    assert [one.client_settings["proxy"].reveal() for one in (config, plain)] == [
        environ["PROXY"],
        "http://proxy.example:3128",
    ]


@pytest.fixture
def account(sandbox):
    """Write the settings of an account of the sandbox."""
    shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
    lines = "".join(f'{key} = "{value}"\n' for key, value in shop.settings.items() if key != "secret")
    text = f'[accounts.shop]\nprovider = "cryptoprocessing"\n{lines}secret = {{ env = "SHOP_SECRET" }}\n'
    return text, {"SHOP_SECRET": shop.settings["secret"]}


async def test_the_store_of_the_file_is_shared_and_closed(account, load, server, sandbox):
    """Two clients of one file share their snapshots; no connection is left when they are closed."""
    text, environ = account
    table = f'[client.store]\nurl = "{server.url}"\nprefix = "conf"\nkeep = 60\n'
    config = load(text + table, environ)

    async with config.make_client() as one, config.make_client() as other:
        await one.fetch()
        merged = await other.fetch(max_age=60)

    assert merged.amount("BTC") == 1
    assert len(sandbox.requests) == 1


async def test_the_client_without_an_event_loop_has_all_that_the_file_says(account, load, server, sandbox):
    """Aliases, settings and the store, whose connections it closes; what a program gives replaces them."""
    text, environ = account
    sandbox.fail("shop", Fault(status=503), times=1)
    config = load(f'{text}[aliases]\nBTC = "XBT"\n[client]\nattempts = 1\nstore = "{server.url}"\n', environ)

    def read():
        with config.make_blocking_client() as one, config.make_blocking_client(attempts=2) as other:
            amounts = [other.fetch().amount("XBT"), one.fetch(max_age=60).amount("XBT")]
            sandbox.fail("shop", Fault(status=503), times=1)
            return *amounts, one.fetch().complete

    assert await asyncio.to_thread(read) == (1, 1, False)
    assert len(sandbox.requests) == 3


async def test_what_a_program_gives_replaces_what_the_file_says(account, load, sandbox):
    """A session and a store are used and left open; other settings are those of the client."""
    text, environ = account
    config = load(f'{text}[client]\nattempts = 1\nstore = "redis://127.0.0.1:1"\n', environ)
    sandbox.fail("shop", Fault(status=503))

    async with aiohttp.ClientSession() as session:
        async with config.make_client(
            session=session, store=MemoryStore(), attempts=2, origins=Origins(), deadline=5
        ) as client:
            merged = await client.fetch()
        assert not session.closed

    assert merged.complete


async def test_attempts_that_a_program_gives_replace_those_of_the_policy(account, load, sandbox):
    """The delays stay those of the file."""
    text, environ = account
    config = load(f"{text}[client]\nretry = {{ attempts = 3, first = 0 }}\n", environ)
    sandbox.fail("shop", Fault(status=503), times=9)

    async with config.make_client(attempts=2) as client:
        await client.fetch()

    assert len(sandbox.requests) == 2


def test_an_unknown_file_is_a_mistake_without_a_line(tmp_path):
    """There is no line that it could be on."""
    with pytest.raises(Exception, match=r"none\.toml: the file cannot be read"):
        load_config(tmp_path / "none.toml")
