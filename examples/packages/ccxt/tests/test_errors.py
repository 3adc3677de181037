"""The errors of exchanges, as ccxt knows them, are balancekit's."""

import time

import pytest
from played import KEY, SECRET, Reply, error_of, make_account

from balancekit import (
    AuthenticationError,
    BadRequestError,
    MalformedResponseError,
    RateLimitedError,
    ServiceUnavailableError,
)

PATHS = {
    "kraken": "/0/private/BalanceEx",
    "binance": "/api/v3/account",
    "bitfinex": "/v2/auth/r/wallets",
    "okx": "/api/v5/account/balance",
}


def kraken(error):
    """Write an error of Kraken, which has the status of a success."""
    return Reply({"error": [error]})


def binance(code, message, status=400, **headers):
    """Write an error of Binance."""
    return Reply({"code": code, "msg": message}, status, headers)


@pytest.mark.parametrize(
    ("name", "reply", "kind", "code", "is_retryable"),
    [
        ("kraken", kraken("EAPI:Invalid key"), AuthenticationError, "API", False),
        ("kraken", kraken("EAPI:Invalid nonce"), AuthenticationError, "API", False),
        ("kraken", kraken("EGeneral:Permission denied"), AuthenticationError, "General", False),
        ("kraken", kraken("EAPI:Rate limit exceeded"), RateLimitedError, "API", True),
        ("kraken", kraken("EService:Unavailable"), ServiceUnavailableError, "Service", True),
        ("kraken", kraken("ENew:Of some kind"), MalformedResponseError, "New", False),
        ("binance", binance(-2015, "Invalid API-key, IP, or permissions."), AuthenticationError, "-2015", False),
        ("binance", binance(-1003, "Too many requests.", 418), RateLimitedError, "-1003", True),
        ("binance", binance(-1102, "A mandatory parameter is missing."), BadRequestError, "-1102", False),
        ("binance", binance(-1001, "Internal error."), ServiceUnavailableError, "-1001", True),
        ("bitfinex", Reply(["error", 10100, "apikey: invalid"], 500), AuthenticationError, "10100", False),
        ("bitfinex", Reply(["error", 11010, "ratelimit: error"], 429), RateLimitedError, "11010", True),
        ("bitfinex", Reply(["error", 20060, "maintenance"], 500), ServiceUnavailableError, "20060", True),
        ("okx", Reply({"code": "50113", "data": [], "msg": "Invalid Sign"}, 401), AuthenticationError, "50113", False),
        ("okx", Reply({"code": "50011", "data": [], "msg": "Too Many Requests"}), RateLimitedError, "50011", True),
        ("okx", Reply({"code": "50001", "data": [], "msg": "Unavailable"}), ServiceUnavailableError, "50001", True),
        ("okx", Reply(b"<html>Forbidden</html>", 403), AuthenticationError, None, False),
    ],
)
async def test_an_error_has_its_class_and_the_code_of_the_exchange(exchange, name, reply, kind, code, is_retryable):
    """Whatever its status: each exchange has ways of its own."""
    exchange.responses = {PATHS[name]: reply}

    error = await error_of(make_account(exchange, name))

    assert (type(error), error.code, error.status) == (kind, code, reply.status)
    assert error.retryable is is_retryable
    assert error.provider == name
    assert error.hint


async def test_a_ban_says_for_how_long(exchange):
    """Nothing is sent to the exchange before that."""
    reply = binance(-1003, "Way too much request weight used; IP banned.", 418, **{"Retry-After": "120"})
    exchange.responses = {PATHS["binance"]: reply}

    assert (await error_of(make_account(exchange, "binance"))).retry_after == 120


async def test_a_wrong_clock_is_known(exchange):
    """By the `Date` of the exchange, where it refused the time of the request."""
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 300))
    reply = binance(-1021, "Timestamp for this request is outside of the recvWindow.", 400, Date=date)
    exchange.responses = {PATHS["binance"]: reply}

    error = await error_of(make_account(exchange, "binance"))

    assert isinstance(error, AuthenticationError)
    assert 290 < error.clock_offset < 310


@pytest.mark.parametrize("status", [200, 400, 401, 500])
@pytest.mark.parametrize("name", [*PATHS])
async def test_an_error_that_repeats_a_key_does_not_show_it(exchange, name, status):
    """Ccxt puts the whole body into its messages."""
    shown = f"EAPI:Invalid key {KEY} with {SECRET}"
    exchange.responses = {PATHS[name]: Reply({"error": [shown], "code": "50111", "msg": shown}, status)}

    error = await error_of(make_account(exchange, name))

    assert KEY not in f"{error} {error!r} {vars(error)}"
    assert SECRET not in f"{error} {error!r} {vars(error)}"
