"""The adapter of PayPal: balancekit's contract, and what is PayPal's own."""

import asyncio
import json
from base64 import b64decode
from datetime import UTC, datetime

import pytest
from aiohttp import web
from balancekit_paypal import PayPalProvider

from balancekit import AggregateClient, AssetType, AuthenticationError, ConfigError, Response
from balancekit.testing import ProviderContract

SECRET = "EGnHDxD-qRPdaLdZz8iCr8N7_hzF"
TOKEN = "A21AAFEpH4PsADK7qSS7pSRsgzfENtu"
TIMES = {"as_of_time": "2026-01-01T11:59:59Z", "last_refresh_time": "2026-01-01T13:00:00+00:00"}
REFUSED = b'{"error": "invalid_client", "error_description": "Client Authentication failed"}'
DENIED = b'{"name": "NOT_AUTHORIZED", "message": "Authorization failed due to insufficient permissions."}'


def respond(document, status=200):
    """Write a response."""
    return Response(status, body=json.dumps(document).encode())


def money(code, value):
    """Write an amount as the API does."""
    return {"currency_code": code, "value": value}


def entry(code, total, available, withheld="0.00"):
    """Write the balance in one currency."""
    parts = {"total": total, "available": available, "withheld": withheld}
    return {"currency": code, "primary": False} | {f"{name}_balance": money(code, part) for name, part in parts.items()}


def token(seconds=31_668):
    """Write a token."""
    return respond({"scope": "…", "access_token": TOKEN, "token_type": "Bearer", "expires_in": seconds})


def listing(*entries, account_id="MLL3QZ6Y5VQPE", **more):
    """Write the list of balances."""
    return respond({"balances": entries, "account_id": account_id, **TIMES, **more})


@pytest.fixture
def shop():
    """Return a live account."""
    return PayPalProvider("shop", client_id="AeA1QIZXiflr1", client_secret=SECRET)


async def play(responses, labels, *, reads=1, **settings):
    """Read accounts of a server that sends responses in turn; return the last result, and the paths of the requests."""
    pending, paths = list(responses), []

    async def send(request):
        paths.append(request.path)
        response = pending.pop(0)
        return web.Response(status=response.status, body=response.body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", send)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    accounts = [PayPalProvider(each, client_id=each, client_secret=SECRET, base_url=url) for each in labels]
    async with AggregateClient(accounts, **settings) as client:
        merged = [await client.fetch() for _ in range(reads)]
    await runner.cleanup()
    return merged[-1], paths


def read(account, response):
    """Play the API: a token, and then a response."""
    steps = account.exchange(now=0, nonces=iter(["nonce"]))
    next(steps)
    steps.send(token())
    with pytest.raises(StopIteration) as end:
        steps.send(response)
    return end.value.value


class TestPayPal(ProviderContract):
    """All that balancekit holds an adapter to."""

    secrets = (SECRET, TOKEN)
    currencies = dict.fromkeys(("USD", "EUR", "JPY"), AssetType.FIAT)
    reports_available = True
    has_token = True

    def make_provider(self, account, base_url):
        """Make an account with an id of its own."""
        return PayPalProvider(account, client_id=f"app-of-{account}", client_secret=SECRET, base_url=base_url)

    def play(self, request):
        """Give the token, or the balances to one that has it."""
        if request.url.endswith("/v1/oauth2/token"):
            assert (request.method, request.body) == ("POST", b"grant_type=client_credentials")
            return token(self.token_lifetime)
        assert request.url.endswith("/v1/reporting/balances?currency_code=ALL")
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        entries = [entry(held.code, held.plain, f"{held.available:f}") for held in self.balances]
        return listing(*entries, account_id="".join({held.account for held in self.balances}))

    def error_body(self, code, message):
        """Write an error of the API."""
        return json.dumps({"name": code, "message": message, "debug_id": "90957fca61718"}).encode()


def test_what_is_withheld_is_in_the_amount_and_not_available(shop):
    """PayPal's total is the sum of both."""
    (usd,) = read(shop, listing(entry("USD", "20.50", "18.00", "2.50")))

    assert (usd.plain, f"{usd.available:f}", usd.pending) == ("20.50", "18.00", None)


def test_the_requests_are_those_of_the_documentation(shop):
    """The login is that of HTTP's basic authentication."""
    steps = shop.exchange(now=0, nonces=iter(["nonce"]))
    first = next(steps)
    second = steps.send(token())

    assert (first.method, first.url) == ("POST", "https://api-m.paypal.com/v1/oauth2/token")
    assert b64decode(first.headers["Authorization"].removeprefix("Basic ")) == f"AeA1QIZXiflr1:{SECRET}".encode()
    assert first.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (second.method, second.url) == ("GET", "https://api-m.paypal.com/v1/reporting/balances?currency_code=ALL")


def test_the_sandbox_has_another_host():
    """Its apps are unknown to the live one."""
    account = PayPalProvider("shop", client_id="a", client_secret=SECRET, base_url=PayPalProvider.SANDBOX)

    assert account.origin == "https://api-m.sandbox.paypal.com"


@pytest.mark.parametrize(
    ("times", "reported_at"),
    [
        (TIMES, datetime(2026, 1, 1, 11, 59, 59, tzinfo=UTC)),
        (TIMES | {"last_refresh_time": "2026-01-01T03:00:00-0700"}, datetime(2026, 1, 1, 10, tzinfo=UTC)),
    ],
    ids=["of the request", "of the last update"],
)
def test_the_moment_is_the_earlier_of_both(shop, times, reported_at):
    """Balances are no younger than the last update, nor than the moment that they are listed for."""
    assert read(shop, listing(**times)).reported_at == reported_at


def test_balances_without_a_moment_are_read(shop):
    """PayPal's description requires neither."""
    assert len(read(shop, respond({"balances": [entry("USD", "1.00", "1.00")]}))) == 1


def test_a_balance_without_an_available_part_is_read(shop):
    """PayPal's description requires the total alone."""
    (usd,) = read(shop, listing({"currency": "USD", "total_balance": money("USD", "1.00")}))

    assert (usd.plain, usd.available) == ("1.00", None)


def test_a_code_that_is_none_of_paypals_currencies_is_of_unknown_type(shop):
    """Crypto is never taken for fiat."""
    (held,) = read(shop, listing(entry("BTC", "0.5", "0.5")))

    assert held.asset_type is AssetType.UNKNOWN


def test_an_amount_in_another_currency_than_its_balance_is_refused(shop):
    """Neither is right then."""
    with pytest.raises(ValueError, match="another currency"):
        read(shop, listing(entry("USD", "1.00", "1.00") | {"total_balance": money("EUR", "1.00")}))


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        ([Response(401, body=REFUSED)], "401 invalid_client: Client Authentication failed. Check that client_id"),
        ([token(), Response(403, body=DENIED)], "403 NOT_AUTHORIZED: Authorization failed due to insufficient"),
        ([token(), Response(403, body=DENIED)], "permissions. Select Transaction Search"),
    ],
    ids=["token", "permission", "what to do"],
)
def test_a_refusal_says_what_to_do(responses, message):
    """The code, the words and the hint."""
    merged, _ = asyncio.run(play(responses, ["one"]))

    (failure,) = merged.failures
    assert isinstance(failure.error, AuthenticationError)
    assert message in str(failure.error)


def test_a_kept_token_that_is_refused_is_replaced():
    """PayPal ends tokens before their time when a secret is replaced."""
    usd = listing(entry("USD", "1.00", "1.00"))

    merged, paths = asyncio.run(play([token(), usd, Response(401), token(), usd], ["one"], reads=2))

    assert merged.complete
    assert [path.rpartition("/")[2] for path in paths] == ["token", "balances", "balances", "token", "balances"]


def test_one_paypal_account_is_not_counted_twice():
    """Two of its apps list the same balances."""
    usd = listing(entry("USD", "1.00", "1.00"))

    merged, _ = asyncio.run(play([token(), usd, token(), usd], ["one", "two"], concurrency=1))

    assert len(merged.failures) == 1
    assert merged.amount("USD", partial=True) == 1


@pytest.mark.parametrize(("setting", "value"), [("client_id", ""), ("client_id", "a:b"), ("client_secret", "")])
def test_a_setting_that_cannot_work_is_refused(setting, value):
    """The message names the account and the setting."""
    with pytest.raises(ConfigError, match=f"account 'shop': {setting}: "):
        PayPalProvider("shop", **{"client_id": "a", "client_secret": SECRET, setting: value})
