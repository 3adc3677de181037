"""Exchanges that sign and report in different ways, played on loopback."""

import asyncio
import base64
import hashlib
import hmac
import time
import urllib.parse

import bodies
import ccxt
import pytest
from balancekit_ccxt import CcxtProvider
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from played import KEY, PASSWORD, SECRET, Reply, balances_of, error_of, make_account, read

from balancekit import AssetType, ConfigError, MalformedResponseError, ProviderError


async def test_kraken_reports_total_and_used(exchange):
    """What orders hold is in the amount, and not available; the key is of its own header, and signed with the form."""
    exchange.responses = {"/0/private/BalanceEx": bodies.KRAKEN}

    assert await balances_of(make_account(exchange, "kraken")) == {
        "EUR": ("1504.3400", "1004.3400"),
        "BTC": ("1.2435110100", "0.4012110100"),
        "SOL.S": ("3.0000000000", "3.0000000000"),
    }
    (request,) = exchange.requests
    (nonce,) = urllib.parse.parse_qs(request.body.decode())["nonce"]
    signed = request.path.encode() + hashlib.sha256(nonce.encode() + request.body).digest()
    signature = base64.b64encode(hmac.digest(base64.b64decode(SECRET), signed, "sha512")).decode()
    assert (request.headers["API-Key"], request.headers["API-Sign"]) == (KEY, signature)


async def test_binance_reports_free_and_used(exchange):
    """The amount is their sum; the query is signed."""
    exchange.responses = {"/api/v3/account": bodies.BINANCE}

    assert await balances_of(make_account(exchange, "binance")) == {
        "BTC": ("0.50120000", "0.40120000"),
        "USDT": ("1250.00000000", "1250.00000000"),
        "LDBNB": ("2.00000000", "2.00000000"),
    }
    (request,) = exchange.requests
    query = dict(request.query)
    signature = query.pop("signature")
    assert signature == hmac.new(SECRET.encode(), urllib.parse.urlencode(query).encode(), "sha256").hexdigest()
    assert request.headers["X-MBX-APIKEY"] == KEY


async def test_what_is_borrowed_is_not_held(exchange):
    """A margin account has it, and owes it."""
    exchange.responses = {"/sapi/v1/margin/account": bodies.BINANCE_MARGIN}

    assert await balances_of(make_account(exchange, "binance", account_type="margin")) == {
        "BTC": ("0.69990000", "0.80000000"),
        "USDT": ("10.00000000", "10.00000000"),
    }


async def test_bitfinex_reports_json_numbers(exchange):
    """All their digits are kept, and only the wallet that is asked for is read."""
    exchange.responses = {"/v2/auth/r/wallets": bodies.BITFINEX}

    assert await balances_of(make_account(exchange, "bitfinex")) == {
        "USDT": ("19788.652925700000000000000001", "19700.5"),
        "BTC": ("0.00000001", "0.00000001"),
    }
    (request,) = exchange.requests
    signed = f"/api{request.path}{request.headers['bfx-nonce']}{request.body.decode()}"
    assert request.headers["bfx-signature"] == hmac.new(SECRET.encode(), signed.encode(), "sha384").hexdigest()


async def test_the_type_of_account_is_that_which_is_read(exchange):
    """Each type is an account of its own, such as Bitfinex's wallets."""
    exchange.responses = {"/v2/auth/r/wallets": bodies.BITFINEX}

    assert await balances_of(make_account(exchange, "bitfinex", account_type="margin")) == {"BTC": ("11.999", "12")}


async def test_okx_reports_total_and_what_is_available(exchange):
    """It takes a passphrase besides; an empty text is no amount."""
    exchange.responses = {"/api/v5/account/balance": bodies.OKX}

    assert await balances_of(make_account(exchange, "okx")) == {
        "USDT": ("4992.890093622894", "4834.317093622894"),
        "BTC": ("0.049", "0.04"),
    }
    (request,) = exchange.requests
    signed = f"{request.headers['OK-ACCESS-TIMESTAMP']}GET{request.path}"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), signed.encode(), "sha256")).decode()
    assert request.headers["OK-ACCESS-SIGN"] == signature
    assert request.headers["OK-ACCESS-PASSPHRASE"] == PASSWORD


async def test_okx_has_a_funding_account(exchange):
    """It is at another path."""
    exchange.responses = {"/api/v5/asset/balances": bodies.OKX_FUNDING}

    account = make_account(exchange, "okx", account_type="funding")

    assert await balances_of(account) == {"ETH": ("37.11827078", "37.11827078")}


async def test_coinbase_has_pages(exchange):
    """All are read; the key is a private one of several lines, and each request has a token of its own.

    ccxt adds up the wallets of a currency, without the zeros at the end.
    """
    pages = [
        bodies.coinbase_page(bodies.coinbase_account("BTC", "1.20", "0.3"), cursor="789100"),
        bodies.coinbase_page(bodies.coinbase_account("EUR", "10.00", "0", "ACCOUNT_TYPE_FIAT")),
    ]
    exchange.responses = {"/api/v3/brokerage/accounts": [Reply(page) for page in pages]}

    assert await balances_of(coinbase(exchange)) == {"BTC": ("1.5", "1.20"), "EUR": ("10", "10.00")}
    first, second = exchange.requests
    assert (first.query.get("cursor"), second.query["cursor"]) == (None, "789100")
    assert first.headers["Authorization"].startswith("Bearer ")
    assert first.headers["Authorization"] != second.headers["Authorization"]


async def test_a_page_that_ccxt_does_not_read_is_an_error(exchange):
    """The balances on it would be missing without a sign."""
    page = bodies.coinbase_page(bodies.coinbase_account("BTC", "1.20", "0.3")) | {"has_next": True}
    exchange.responses = {"/api/v3/brokerage/accounts": page}

    error = await error_of(coinbase(exchange))

    assert isinstance(error, MalformedResponseError)
    assert "another page" in str(error)


async def test_a_read_of_several_requests_needs_all_of_them(exchange):
    """HTX gives the id of an account first, and its balance by that."""
    accounts = {"status": "ok", "data": [{"id": 5202591, "type": "spot", "subtype": "", "state": "working"}]}
    held = [
        {"currency": "usdt", "type": "trade", "balance": "91.850043797676510303"},
        {"currency": "usdt", "type": "frozen", "balance": "5.160000000000000015"},
    ]
    balance = {"status": "ok", "data": {"id": 5202591, "type": "spot", "state": "working", "list": held}}
    exchange.responses = {"/v1/account/accounts": accounts, "/v1/account/accounts/5202591/balance": balance}

    assert await balances_of(make_account(exchange, "htx")) == {
        "USDT": ("97.010043797676510318", "91.850043797676510303")
    }
    exchange.responses["/v1/account/accounts/5202591/balance"] = Reply({"status": "error"}, 503)
    assert (await error_of(make_account(exchange, "htx"))).status == 503


async def test_nothing_is_kept_between_reads(exchange):
    """Ccxt keeps the ids of accounts, and would not ask for them again."""
    held = [{"currency": "jpy", "type": kind, "balance": text} for kind, text in (("trade", "5"), ("frozen", "0"))]
    found = {"status": "ok", "data": [{"id": 1, "type": "spot", "subtype": "", "state": "working"}]}
    exchange.responses = {
        "/v1/account/accounts": [Reply({"status": "ok", "data": []}), Reply(found)],
        "/v1/account/accounts/1/balance": {"status": "ok", "data": {"id": 1, "type": "spot", "list": held}},
    }
    account = make_account(exchange, "bittrade")

    assert isinstance(await error_of(account), MalformedResponseError)
    assert await balances_of(account) == {"JPY": ("5", "5")}


async def test_types_of_assets_are_known_by_their_codes(exchange):
    """A code of ISO 4217 that may be a token is of unknown type."""
    rows = [{"asset": code, "free": "1", "locked": "0"} for code in ("BTC", "EUR", "MNT", "USDC")]
    exchange.responses = {"/api/v3/account": bodies.BINANCE | {"balances": rows}}

    merged = await read(make_account(exchange, "binance"))

    assert {total.currency: total.asset_type for total in merged.totals} == {
        "BTC": AssetType.CRYPTO,
        "EUR": AssetType.FIAT,
        "MNT": AssetType.UNKNOWN,
        "USDC": AssetType.CRYPTO,
    }


async def test_two_balances_of_one_currency_are_an_error(exchange):
    """Ccxt would keep the second alone."""
    rows = [{"asset": code, "free": "1", "locked": "0"} for code in ("BTC", "BTC")]
    exchange.responses = {"/api/v3/account": bodies.BINANCE | {"balances": rows}}

    error = await error_of(make_account(exchange, "binance"))

    assert isinstance(error, MalformedResponseError)
    assert "the code of another" in str(error)


@pytest.mark.parametrize("document", [{"error": []}, {"error": [], "result": None}, {}, {"error": [], "result": []}])
async def test_nothing_is_not_an_empty_account(exchange, document):
    """Ccxt finds no balances in either; only an empty list of them says that there are none."""
    exchange.responses = {"/0/private/BalanceEx": document}
    assert isinstance(await error_of(make_account(exchange, "kraken")), MalformedResponseError)

    exchange.responses = {"/0/private/BalanceEx": {"error": [], "result": {}}}
    assert await balances_of(make_account(exchange, "kraken")) == {}


async def test_a_type_of_account_that_the_exchange_does_not_have_is_an_error(exchange):
    """Otherwise its only account would be taken for the one that is meant."""
    exchange.responses = {"/0/private/BalanceEx": bodies.KRAKEN}

    error = await error_of(make_account(exchange, "kraken", account_type="margin"))

    assert type(error) is ProviderError
    assert error.hint == "Remove account_type"


async def test_markets_are_loaded_on_request_alone(exchange):
    """Where balances cannot be read without them, the error says so."""
    exchange.responses = {"/Account/Balance/v2": {"AVAILABLE_NIS": "10.5", "NIS": "12.5"}}

    error = await error_of(make_account(exchange, "bit2c"))

    assert "Set load_markets" in str(error)
    assert await balances_of(make_account(exchange, "bit2c", load_markets=True)) == {"NIS": ("12.5", "10.5")}


async def test_markets_are_loaded_once(exchange):
    """The second read sends one request."""
    exchange.responses = {
        "/0/public/Assets": bodies.KRAKEN_ASSETS,
        "/0/public/AssetPairs": bodies.KRAKEN_PAIRS,
        "/0/private/BalanceEx": bodies.KRAKEN,
    }
    account = make_account(exchange, "kraken", load_markets=True)

    first = await balances_of(account)
    sent = len(exchange.requests)

    assert await balances_of(account) == first
    assert [request.path for request in exchange.requests[sent:]] == ["/0/private/BalanceEx"]


async def test_balances_are_read_strictly_with_markets_too(exchange):
    """Which of two amounts counts is not left to a decoder."""
    twice = b'{"error": [], "result": {"XXBT": {"balance": "1", "balance": "2", "hold_trade": "0"}}}'
    exchange.responses = {
        "/0/public/Assets": bodies.KRAKEN_ASSETS,
        "/0/public/AssetPairs": bodies.KRAKEN_PAIRS,
        "/0/private/BalanceEx": twice,
    }

    assert isinstance(await error_of(make_account(exchange, "kraken", load_markets=True)), MalformedResponseError)


async def test_settings_that_the_exchange_refuses_are_an_error(exchange):
    """Ccxt knows them before anything is sent."""
    with pytest.raises(ConfigError, match="ccxt makes no request with these settings"):
        make_account(exchange, "hitbtc", account_type="margin")


async def test_ccxt_neither_waits_nor_repeats(exchange, monkeypatch):
    """Limits and retries are the client's, whatever ccxt's options say."""
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"ccxt waits for {seconds} s"))
    exchange.responses = {"/api/v3/account": Reply({}, 503)}
    account = make_account(exchange, "binance", options={"maxRetriesOnFailure": 3, "maxRetriesOnFailureDelay": 1000})

    for _ in range(3):
        await read(account)

    assert len(exchange.requests) == 3


async def test_ccxt_has_the_credentials_while_it_signs_alone(exchange):
    """Its objects show all that they keep."""
    exchange.responses = {"/0/private/BalanceEx": bodies.KRAKEN}
    account = make_account(exchange, "kraken")

    await read(account)

    kept = vars(account.caller().exchange)
    assert [kept[name] for name in ("apiKey", "secret")] == [None, None]
    assert SECRET not in repr(kept)


async def test_no_two_requests_are_signed_with_the_same_time(exchange):
    """For many exchanges it is the nonce."""
    exchange.responses = {"/api/v3/account": bodies.BINANCE}
    account = make_account(exchange, "binance")
    account.clock = lambda: 1_767_225_600.25

    for _ in range(3):
        await read(account)

    times = [int(request.query["timestamp"]) - 1_767_225_600_250 for request in exchange.requests]
    assert times == sorted({*times})
    assert len(times) == 3
    assert 0 <= times[0] < times[2] < 20


async def test_requests_are_signed_with_the_time_of_the_client(exchange):
    """A wrong clock is corrected by the exchange's, and the request sent again at once."""
    ahead = time.time() + 90
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(ahead))
    refusal = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
    exchange.responses = {"/api/v3/account": [Reply(refusal, 400, {"Date": date}), Reply(bodies.BINANCE)]}

    merged = await read(make_account(exchange, "binance"), attempts=2)

    assert merged.complete
    first, second = (int(request.query["timestamp"]) / 1000 for request in exchange.requests)
    assert first < ahead - 60
    assert ahead - 2 < second < ahead + 30


def coinbase(exchange):
    """Return an account at Coinbase, with a key of its present kind."""
    private = ec.generate_private_key(ec.SECP256R1())
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    options = {"fetchBalance": "v3PrivateGetBrokerageAccounts"}
    return make_account(
        exchange, "coinbase", key="organizations/4a/apiKeys/9f1c", secret=text.decode(), options=options
    )


def any_account(name, **settings):
    """Return an account at an exchange, or None with what is wrong with it."""
    credentials = {"key": KEY, "secret": SECRET, "password": PASSWORD, "uid": "61723"}
    try:
        return CcxtProvider("shop", exchange=name, **credentials, **settings), ""
    except ConfigError as error:
        return None, str(error)


@pytest.mark.parametrize("name", ccxt.exchanges)
def test_every_exchange_makes_a_request_or_says_what_it_lacks(name):
    """It is the same for the same time, and goes to the exchange over TLS."""
    account, problem = any_account(name)
    if account is None:
        assert problem.startswith("account 'shop': exchange: ") or "cannot sign with it" in problem
        return

    first, second = (account.build_request(now=1_767_225_600, nonce="") for _ in range(2))

    assert (first.method, first.url, first.body) == (second.method, second.url, second.body)
    assert first.url.startswith(f"{account.base_url}/")
    assert account.base_url.startswith("https://")


async def test_no_exchange_takes_null_for_an_empty_account(exchange):
    """Ccxt finds no balances in it, at any of them, and raises nothing."""
    exchange.respond_to_all = {"code": "0", "error": [], "data": None, "result": None, "balances": None}
    accounts = [any_account(name, base_url=exchange.url)[0] for name in ccxt.exchanges]
    clients = [read(account) for account in accounts if account is not None]

    read_ones = [merged.accounts for merged in await asyncio.gather(*clients) if merged.accounts]

    assert len(clients) > 80
    assert read_ones == []
