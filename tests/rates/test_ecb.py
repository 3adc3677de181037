"""Loading the reference rates over real sockets: once for everybody, again when the next are due, and errors."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from balancekit import (
    ConfigError,
    MalformedResponseError,
    ProviderTimeoutError,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)
from balancekit.rates import EcbRates
from balancekit.testing import ManualClock
from tests.support.loopback_origin import LoopbackOrigin, headers_of, raw_response
from tests.support.pages import ROOT
from tests.support.stream_server import StreamServer

DAILY = (ROOT / "tests" / "samples" / "ecb" / "eurofxref-daily.xml").read_bytes()
PATH = "/stats/eurofxref/eurofxref-daily.xml"

# The table is of Wednesday, 2026-07-01. In summer 16:00 in Frankfurt is 14:00 in UTC.
BEFORE_NEXT = datetime(2026, 7, 2, 13, 59, tzinfo=UTC)
AFTER_NEXT = datetime(2026, 7, 2, 14, 0, tzinfo=UTC)


@pytest.fixture
async def origin():
    """Serve the table on loopback."""
    origin = LoopbackOrigin()
    origin.response = raw_response(200, DAILY, "Content-Type: text/xml", "Connection: close")
    await origin.start()
    yield origin
    await origin.stop()


@pytest.fixture
async def session():
    """Open a session with aiohttp's defaults."""
    async with aiohttp.ClientSession(cookies={"a": "b"}) as session:
        yield session


def ecb_at(now, origin, session):
    """Return a loader of the rates at that server, at that time."""
    return EcbRates(session, url=origin.url + PATH, clock=ManualClock(now))


@pytest.mark.parametrize("url", ["https://user:canary@bank.example", "https://bank.example/?key=canary", "//canary"])
async def test_a_url_that_is_refused_is_not_shown(session, url, everything_shown_by):
    """Neither the message nor a frame of the error has it: it may hold a password."""
    with pytest.raises(ConfigError, match=r"^EcbRates: url: ") as caught:
        EcbRates(session, url=url)

    assert "canary" not in everything_shown_by(caught.value)


async def test_the_rates_are_loaded(origin, session):
    """A plain GET of the published table, with nothing that the session would add."""
    rates = await ecb_at(BEFORE_NEXT, origin, session).load()

    assert str(rates.rates["USD"]) == "1.0944"
    (request,) = origin.requests
    assert request.startswith(b"GET /stats/eurofxref/eurofxref-daily.xml HTTP/1.1\r\n")
    assert "Cookie" not in headers_of(request)


async def test_the_default_is_the_public_data_of_the_bank():
    """Without a URL, the daily file of the bank is loaded, over TLS."""
    assert EcbRates.URL == "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"


async def test_rates_are_kept_until_the_next_are_due(origin, session):
    """Before 16:00 of the next working day the bank is asked once."""
    clock = ManualClock(datetime(2026, 7, 1, 15, tzinfo=UTC))
    ecb = EcbRates(session, url=origin.url + PATH, clock=clock)

    first = await ecb.load()
    await clock.advance((BEFORE_NEXT - clock.now).total_seconds())

    assert await ecb.load() is first is ecb.last
    assert len(origin.requests) == 1
    await clock.advance(60)
    await ecb.load()
    assert len(origin.requests) == 2


async def test_rates_that_are_due_are_asked_for_every_ten_minutes(origin, session):
    """On a holiday, or when the bank is late, the last rates are used and asked for again after `max_age`."""
    clock = ManualClock(AFTER_NEXT)
    ecb = EcbRates(session, url=origin.url + PATH, clock=clock)
    counts = []
    for seconds in (0, 599, 1, 599):
        await clock.advance(seconds)
        await ecb.load()
        counts.append(len(origin.requests))

    assert counts == [1, 1, 2, 2]


@pytest.mark.parametrize(
    "pass_time",
    [lambda clock: clock.advance(60), lambda clock: asyncio.to_thread(clock.set, AFTER_NEXT)],
    ids=["a long max_age", "a suspended machine"],
)
async def test_rates_that_were_loaded_shortly_before_the_next_are_due_are_not_kept_beyond(pass_time, origin, session):
    """`max_age` is for rates that are late, and a clock that stands still makes nothing younger."""
    clock = ManualClock(BEFORE_NEXT)
    ecb = EcbRates(session, url=origin.url + PATH, max_age=6 * 3600, clock=clock)

    await ecb.load()
    await pass_time(clock)
    await ecb.load()

    assert len(origin.requests) == 2


async def test_a_date_in_the_future_does_not_stop_the_updates(origin, session):
    """A table with a date of years ahead is kept no longer than one of today."""
    origin.response = raw_response(200, DAILY.replace(b"2026-07-01", b"2036-07-01"), "Connection: close")
    clock = ManualClock(datetime(2026, 7, 1, 15, tzinfo=UTC))
    ecb = EcbRates(session, url=origin.url + PATH, clock=clock)

    await ecb.load()
    await clock.advance((AFTER_NEXT - clock.now).total_seconds())
    await ecb.load()

    assert len(origin.requests) == 2


@pytest.mark.parametrize(("days", "elapsed"), [(-365, 86400), (365, 700)], ids=["back", "forward"])
async def test_a_clock_that_is_set_does_not_stop_the_updates(days, elapsed, origin, session):
    """Rates are asked for again when either clock says that they are due."""
    clock = ManualClock(datetime(2026, 7, 1, 15, tzinfo=UTC))
    ecb = EcbRates(session, url=origin.url + PATH, clock=clock)

    await ecb.load()
    clock.set(clock.now + timedelta(days=days))
    await clock.advance(elapsed)
    await ecb.load()

    assert len(origin.requests) == 2


async def test_callers_at_the_same_time_share_one_request(origin, session):
    """A hundred callers cause one request, and one that is cancelled does not take it from the others."""
    ecb = ecb_at(BEFORE_NEXT, origin, session)
    callers = [asyncio.create_task(ecb.load()) for _ in range(100)]
    await asyncio.sleep(0)
    callers[0].cancel()

    outcomes = await asyncio.gather(*callers, return_exceptions=True)

    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert {id(outcome) for outcome in outcomes[1:]} == {id(ecb.last)}
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("response", "kind", "text"),
    [
        (raw_response(503, b"down"), ServiceUnavailableError, "503"),
        (raw_response(301, b"", "Location: https://example.com/"), UnexpectedRedirectError, "301"),
        (raw_response(200, b"<html>"), MalformedResponseError, "the table is not XML"),
        (raw_response(200, b" " * 70000), MalformedResponseError, "the table is larger than 65536 bytes"),
        (b"", TransportError, "ServerDisconnectedError"),
    ],
    ids=["unavailable", "redirect", "html", "large", "cut"],
)
async def test_a_failure_is_a_typed_error(response, kind, text, origin, session):
    """It names the bank, and the rates from before stay in `last`."""
    clock = ManualClock(AFTER_NEXT)
    ecb = EcbRates(session, url=origin.url + PATH, max_age=1, clock=clock)
    before = await ecb.load()
    await clock.advance(1)
    origin.response = response

    with pytest.raises(kind, match=text) as caught:
        await ecb.load()

    assert str(caught.value).startswith("reference rates (ECB): ")
    assert ecb.last is before


async def test_callers_who_share_a_request_have_errors_of_their_own(origin, session):
    """An exception that is raised in several tasks would collect the frames of all."""
    origin.response = raw_response(503)
    ecb = ecb_at(AFTER_NEXT, origin, session)

    errors = await asyncio.gather(ecb.load(), ecb.load(), return_exceptions=True)

    assert [type(error) for error in errors] == [ServiceUnavailableError] * 2
    assert errors[0] is not errors[1]
    assert len(origin.requests) == 1


async def test_a_bank_that_hangs_is_given_up(session):
    """After `timeout` seconds it is a ProviderTimeoutError."""

    async def hang(reader, writer):
        await asyncio.Event().wait()

    clock = ManualClock(AFTER_NEXT)
    async with StreamServer(hang) as server:
        loading = asyncio.create_task(EcbRates(session, url=f"{server.url}/x.xml", timeout=5, clock=clock).load())
        await clock.advance(5)

        with pytest.raises(ProviderTimeoutError):
            await loading


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"url": "http://www.ecb.europa.eu/x.xml"}, "EcbRates: url: http:// to www.ecb.europa.eu would send"),
        ({"url": "x"}, "EcbRates: url: expected an https:// URL"),
        ({"max_age": 0}, "EcbRates: max_age: expected seconds above zero"),
        ({"timeout": float("nan")}, "EcbRates: timeout: expected seconds above zero"),
        ({"max_age": "x"}, "EcbRates: max_age: expected seconds above zero"),
        ({"max_age": True}, "EcbRates: max_age: expected seconds above zero"),
        ({"timeout": None}, "EcbRates: timeout: expected seconds above zero"),
        ({"timeout": 10**400}, "EcbRates: timeout: expected seconds above zero"),
        ({"clock": 5}, "EcbRates: clock: expected a balancekit.Clock, got int"),
    ],
    ids=repr,
)
async def test_a_setting_that_cannot_work_is_refused(settings, problem, session):
    """It is a ConfigError when the object is made."""
    with pytest.raises(ConfigError, match=problem):
        EcbRates(session, **settings)


async def test_a_request_that_cannot_be_sent_is_a_transport_error(origin, everything_shown_by):
    """Such as one of a session that is closed; the password of its proxy is in no frame."""
    session = aiohttp.ClientSession(proxy="http://user:canary@127.0.0.1:9")
    await session.close()

    with pytest.raises(TransportError, match="RuntimeError while sending the request") as caught:
        await ecb_at(BEFORE_NEXT, origin, session).load()

    assert not caught.value.retryable
    assert "canary" not in everything_shown_by(caught.value)


async def test_a_proxy_whose_name_cannot_be_looked_up_is_a_transport_error(origin, everything_shown_by):
    """Its password is in no frame."""
    async with aiohttp.ClientSession(proxy="http://user:canary@a..b:3128") as session:
        ecb = EcbRates(session)
        with pytest.raises(TransportError) as caught:
            await ecb.load()

    assert "canary" not in everything_shown_by(caught.value)
    assert base64.b64encode(b"user:canary").decode() not in everything_shown_by(caught.value)


def test_one_loader_serves_one_event_loop_after_another():
    """What an earlier loop was still loading is loaded anew in the next."""

    async def start(ecb_of):
        async with aiohttp.ClientSession() as session:
            origin = LoopbackOrigin()
            origin.response = raw_response(200, DAILY, "Connection: close")
            await origin.start()
            ecb = ecb_of or EcbRates(session, url=origin.url + PATH, clock=ManualClock(BEFORE_NEXT))
            rates = await ecb.load()
            await origin.stop()
            return ecb, rates

    ecb, rates = asyncio.run(start(None))

    assert asyncio.run(start(ecb))[1] is rates


@pytest.mark.parametrize("response", [b"{}\r\n\r\n", b"HTTP/1.1 407 {}\r\nContent-Length: 0\r\n\r\n"])
async def test_nothing_that_a_proxy_quotes_is_in_an_error(origin, everything_shown_by, response):
    """It may send its password back, and the error is what is shown of it."""
    origin.response = response.replace(b"{}", b"wrong password swordfish")

    async with aiohttp.ClientSession(proxy=origin.url.replace("://", "://user:swordfish@")) as session:
        with pytest.raises(TransportError) as caught:
            await EcbRates(session, url="https://ecb.example/rates").load()

    assert "swordfish" not in everything_shown_by(caught.value)
