"""Prices of an exchange as rates."""

import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import aiohttp
import bodies
import pytest
from balancekit_ccxt import CcxtRates
from played import Reply

from balancekit import (
    AccountBalances,
    AssetType,
    BadRequestError,
    Balance,
    ConfigError,
    MalformedResponseError,
    ProviderTimeoutError,
    ServiceUnavailableError,
    merge,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def held(*balances):
    """Merge balances of one account."""
    made = [Balance(code, Decimal(text), kind, "shop", "kraken", code) for code, text, kind in balances]
    return merge([AccountBalances("shop", "kraken", made, NOW)])


@pytest.fixture
def kraken(exchange):
    """Play the public API of Kraken."""
    tickers = {
        "XXBTZEUR": bodies.kraken_ticker("60001.10000", "60000.123456789123456789"),
        "XETHZEUR": bodies.kraken_ticker("2432.77000", "2431.37000"),
    }
    exchange.responses = {
        "/0/public/Assets": bodies.KRAKEN_ASSETS,
        "/0/public/AssetPairs": bodies.KRAKEN_PAIRS,
        "/0/public/Ticker": {"error": [], "result": tickers},
    }
    return exchange


@pytest.fixture
async def session():
    """Give a session of the program's own."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_balances_are_valued_at_what_one_can_sell_for(kraken, session):
    """Exactly; what has no price is not valued."""
    rates = await CcxtRates(session, "kraken", base_url=kraken.url).load(["BTC/EUR", "ETH/EUR"])

    valuation = held(
        ("BTC", "2", AssetType.CRYPTO), ("EUR", "10.50", AssetType.FIAT), ("DOGE", "5", AssetType.CRYPTO)
    ).value_in("EUR", rates)

    assert valuation.plain == "120010.746913578246913578"
    assert [total.currency for total in valuation.not_valued] == ["DOGE"]
    line = valuation.valued[0]
    assert line.source == "kraken bid"
    assert abs(line.as_of - datetime.now(UTC)) < timedelta(minutes=5)


async def test_the_readme_values_balances(kraken, session):
    """Its code does what it says."""
    page = (Path(__file__).parents[1] / "README.md").read_text()
    names = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)

    valuation = await names["value_in_euro"](
        held(("BTC", "2", AssetType.CRYPTO)), CcxtRates(session, "kraken", base_url=kraken.url)
    )

    assert valuation.plain == "120000.25"


async def test_the_other_price_is_that_at_which_one_can_buy(kraken, session):
    """It is sent, as the bid is; the last price some exchanges leave to ccxt to compute."""
    rates = await CcxtRates(session, "kraken", price="ask", base_url=kraken.url).load(["BTC/EUR"])

    assert rates.rate("BTC", AssetType.CRYPTO, "EUR").rate == Decimal("60001.10000")
    with pytest.raises(ConfigError, match="price: expected bid or ask"):
        CcxtRates(session, "kraken", price="last")


async def test_nothing_is_inverted_unless_it_is_asked_for(kraken, session):
    """Then the rate keeps the price, by which is divided once."""
    rates = await CcxtRates(session, "kraken", base_url=kraken.url).load(["ETH/EUR"])

    assert rates.rate("EUR", AssetType.FIAT, "ETH") is None
    inverted = rates.inverted().rate("EUR", AssetType.FIAT, "ETH")
    assert (inverted.rate, inverted.per) == (1, Decimal("2431.37000"))
    assert rates.inverted().rate("ETH", AssetType.CRYPTO, "EUR") == rates.rate("ETH", AssetType.CRYPTO, "EUR")


async def test_another_type_of_asset_has_no_rate(kraken, session):
    """A token named EUR is no euro, and a state's money named BTC is no bitcoin."""
    rates = await CcxtRates(session, "kraken", base_url=kraken.url).load(["BTC/EUR"])

    assert rates.rate("BTC", AssetType.FIAT, "EUR") is None
    assert rates.rate("BTC", AssetType.UNKNOWN, "EUR") is not None
    assert rates.inverted().rate("EUR", AssetType.CRYPTO, "BTC") is None


async def test_the_markets_are_loaded_once(kraken, session):
    """Later prices take one request."""
    rates = CcxtRates(session, "kraken", base_url=kraken.url)
    await rates.load(["BTC/EUR"])
    sent = len(kraken.requests)

    await rates.load(["ETH/EUR"])

    assert [request.path for request in kraken.requests[sent:]] == ["/0/public/Ticker"]
    assert not session.closed


async def test_a_market_that_is_not_known_is_an_error(kraken, session):
    """As is a name that is none of a spot market's, before anything is sent."""
    rates = CcxtRates(session, "kraken", base_url=kraken.url)

    with pytest.raises(BadRequestError, match=r"tickers \(kraken\)"):
        await rates.load(["DOGE/EUR"])
    for symbol in ("BTC", "BTC/USDT:USDT", "BTC/EUR "):
        with pytest.raises(ConfigError, match="expected base and quote"):
            await rates.load([symbol])


@pytest.mark.parametrize("price", ["x", "-1", "NaN"])
async def test_a_price_that_is_none_is_an_error(kraken, session, price):
    """It is the exchange's, and no setting's."""
    ticker = bodies.kraken_ticker("60001", price)
    kraken.responses["/0/public/Ticker"] = {"error": [], "result": {"XXBTZEUR": ticker}}

    with pytest.raises(MalformedResponseError):
        await CcxtRates(session, "kraken", base_url=kraken.url).load(["BTC/EUR"])


async def test_an_exchange_that_fails_has_its_error(kraken, session):
    """And prices can be loaded later."""
    rates = CcxtRates(session, "kraken", base_url=kraken.url)
    tickers = kraken.responses["/0/public/Ticker"]
    kraken.responses["/0/public/Ticker"] = Reply({}, 503)
    with pytest.raises(ServiceUnavailableError):
        await rates.load(["BTC/EUR"])

    kraken.responses["/0/public/Ticker"] = tickers
    assert (await rates.load(["BTC/EUR"])).rate("BTC", AssetType.CRYPTO, "EUR") is not None


async def test_an_exchange_that_does_not_respond_is_given_up(session):
    """After `timeout` seconds, whatever the session's own timeout is."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ProviderTimeoutError, match=r"tickers \(kraken\): no response within 0.1 s"):
            await CcxtRates(session, "kraken", base_url=url, timeout=0.1).load(["BTC/EUR"])


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_timeout_is_seconds_above_zero(session, seconds):
    """Nothing is waited for without a bound."""
    with pytest.raises(ConfigError, match="timeout: expected seconds above zero"):
        CcxtRates(session, "kraken", timeout=seconds)
