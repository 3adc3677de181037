"""What a provider adapter is: the base class, with an adapter of the tests' own."""

import base64
from decimal import Decimal

import aiohttp
import pytest

from balancekit import (
    AssetType,
    Balance,
    BalanceProvider,
    ConfigError,
    HttpProvider,
    MalformedResponseError,
    ProviderError,
    Request,
    Response,
)
from balancekit.providers import base
from balancekit.providers.base import new_nonce
from tests.support.loopback_origin import OK
from tests.support.my_bank import CANARY, MyBank
from tests.support.providers import Scripted
from tests.support.thread_server import ThreadServer


def test_a_provider_is_anything_of_the_right_shape(bank):
    """One's own adapter and an object without the base class will both do."""
    assert isinstance(bank, BalanceProvider)
    assert isinstance(Scripted("shop"), BalanceProvider)
    assert not isinstance(object(), BalanceProvider)


def test_an_adapter_needs_both_methods():
    """A class that builds no request or reads no response cannot be instantiated."""

    class Half(HttpProvider):
        provider = "half"

        def build_request(self, *, now, nonce):
            return Request("GET", self.base_url)

    with pytest.raises(TypeError, match="read_response"):
        Half("shop", base_url="https://bank.example")


def test_a_provider_shows_no_secret(bank):
    """A repr says which account it is and at which origin it is read: a path may hold a token of a gateway."""
    assert repr(bank) == "MyBank('shop', base_url='https://bank.example')"


class Wandering(HttpProvider):
    """An adapter that builds its URL from a setting."""

    provider = "wandering"

    def __init__(self, account, *, base_url, url):
        super().__init__(account, base_url=base_url)
        self._url = url

    def build_request(self, *, now, nonce):
        """Build a request with a key."""
        return Request("GET", self._url.format(base=self.base_url), {"X-Key": CANARY})

    def read_response(self, response):
        """Read nothing."""
        return []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://192.0.2.1/x", "the request is for another origin"),
        ("{base}@192.0.2.1/x", "the request is for another origin"),
        ("{base}:x@192.0.2.1:80/x", "the request is for another origin"),
        ("{base}/a b", "the URL of the request has a character that has to be encoded"),
        ("{base}/a\r\nX-More: 1", "the URL of the request has a character that has to be encoded"),
        ("{base}/a#b", "the URL of the request has a character that has to be encoded"),
    ],
)
async def test_a_request_that_is_not_for_the_origin_of_the_base_url_is_not_sent(url, problem):
    """Credentials go to the configured origin alone, whatever an adapter makes of its settings."""
    with ThreadServer(lambda request: pytest.fail("a request was sent")) as server:
        base_url = f"http://127.0.0.1:{server.url.rpartition(':')[2].strip('/')}"
        provider = Wandering("shop", base_url=base_url, url=url)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(ProviderError) as caught:
                await provider.fetch_balances(session)

    assert type(caught.value) is ProviderError
    assert caught.value.message == f"{problem}{' than the base URL' if 'origin' in problem else ''}, so it was not sent"
    assert not caught.value.retryable
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://straße.example", "https://straße.example/page2"),
        ("https://api.mossbank.example", "https://api.mo\u209bsbank.example/page2"),
        ("https://api.example", "https://api\u3002example/page2"),
    ],
    ids=["sharp s", "subscript s", "full stop"],
)
async def test_a_host_in_another_script_is_not_that_of_the_base_url(base_url, url):
    """Two standards encode such a name, `ß` as itself or as `ss`: it may be checked by one, looked up by the other."""
    provider = Wandering("shop", base_url=base_url, url=url)

    async with aiohttp.ClientSession() as session:
        with pytest.raises(ProviderError, match=r"the request is for another origin than the base URL") as caught:
            await provider.fetch_balances(session)

    assert not caught.value.retryable


@pytest.mark.parametrize("url", ["{base}", "{base}?a=1", "{base}/x/é", "{base}/../login"])
async def test_a_request_for_the_origin_of_the_base_url_is_sent(url):
    """It need not be for a URL below it."""
    with ThreadServer(lambda request: OK) as server:
        provider = Wandering("shop", base_url=f"{server.url.rstrip('/')}/api", url=url.replace("/../", "/../../"))
        async with aiohttp.ClientSession() as session:
            assert list(await provider.fetch_balances(session)) == []


@pytest.mark.parametrize(("account", "base_url"), [(None, "https://bank.example"), ("shop", "ftp://bank.example")])
def test_a_provider_that_could_not_be_made_has_a_repr(account, base_url):
    """An error tracker asks for it, where the half-made object is among the local variables of a traceback."""
    half_made = MyBank.__new__(MyBank)
    with pytest.raises(ConfigError):
        half_made.__init__(account, token=CANARY, base_url=base_url)

    assert repr(half_made).startswith("MyBank(")


@pytest.mark.parametrize(
    ("amount", "exact"),
    [("0.10", "0.10"), (5, "5"), (Decimal("1.50"), "1.50"), ("-1e3", "-1E+3"), ("-0", "0")],
    ids=str,
)
def test_a_balance_is_made_in_a_line(bank, amount, exact):
    """The helper fills in whose balance it is and reads the amount exactly."""
    balance = bank.balance("btc", amount, asset_type=AssetType.CRYPTO, chain="bitcoin", reference="b-1")

    assert balance == Balance("BTC", Decimal(exact), AssetType.CRYPTO, "shop", "mybank", "btc", "bitcoin", "b-1")
    assert balance.amount.as_tuple() == Decimal(exact).as_tuple()


def test_a_balance_of_unknown_type_needs_a_code_and_an_amount(bank):
    """What an API does not say is left out."""
    balance = bank.balance("EUR", "1")

    assert (balance.asset_type, balance.chain, balance.reference) == (AssetType.UNKNOWN, None, None)


@pytest.mark.parametrize(
    ("code", "amount"),
    [("EUR", 1.5), ("EUR", True), ("EUR", None), ("EUR", "NaN"), ("EUR", Decimal("NaN")), ("", "1"), (None, "1")],
)
def test_a_balance_that_cannot_be_is_refused(bank, code, amount):
    """A float has lost digits before it gets here, so it is refused even where it looks exact."""
    with pytest.raises((ValueError, TypeError)):
        bank.balance(code, amount)


async def test_balances_are_what_the_adapter_reads(bank, wire):
    """A 200 goes to the adapter and what it returns to the caller."""
    wire.outcome = Response(200, body=b'[{"code": "EUR", "amount": 1.50}]')

    balances = await bank.fetch_balances(None)

    assert [(balance.currency, str(balance.amount)) for balance in balances] == [("EUR", "1.50")]


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("1", 1), ("2", 2), ("0, 1", 1), (" 60, 1", 60), ("500.0", 500), ("+500", 500), ("9" * 5000, 86400)],
)
async def test_a_response_from_a_cache_is_refused(bank, wire, age, seconds):
    """It would be shown as if it were of now, and as if it were from after an invalidation."""
    wire.outcome = Response(200, {"age": age}, body=b'[{"code": "EUR", "amount": 1.50}]')

    with pytest.raises(MalformedResponseError, match=f"the response comes from a cache, {seconds} s old") as caught:
        await bank.fetch_balances(None)

    assert not caught.value.retryable
    assert caught.value.hint.startswith("A cache on the way")


@pytest.mark.parametrize("age", ["0", "", "soon", "-5", "٣٣", "0, 0"])
async def test_a_response_that_a_cache_has_just_fetched_is_read(bank, wire, age):
    """As is one whose age is no number: that is no reason to distrust the provider."""
    wire.outcome = Response(200, {"Age": age}, body=b'[{"code": "EUR", "amount": 1.50}]')

    assert len(await bank.fetch_balances(None)) == 1


async def test_every_request_has_its_own_nonce_and_the_time(bank, wire, monkeypatch):
    """A retry is signed anew: 16 random bytes for each request, and whole Unix seconds."""
    monkeypatch.setattr(base, "new_nonce", new_nonce)
    for _ in range(200):
        await bank.fetch_balances(None)

    nonces = [request.headers["X-Nonce"] for request in wire.requests]
    assert len(set(nonces)) == 200
    assert {len(base64.b64decode(nonce, validate=True)) for nonce in nonces} == {16}
    assert {request.headers["X-Now"] for request in wire.requests} == {"1767225600"}
