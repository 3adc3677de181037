"""What can go wrong and what a caller sees: one table, every fault at both providers, over real sockets."""

import asyncio
import gzip
import logging
import pickle
import time
import tracemalloc
from decimal import Decimal

import aiohttp
import attrs
import pytest

from balancekit import (
    AggregateClient,
    AuthenticationError,
    BadRequestError,
    CryptoprocessingProvider,
    GetManyProvider,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
    RetryPolicy,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)
from balancekit.http import bodies
from balancekit.sandbox import Certificate, Fault, Holding, Sandbox
from tests.support.loopback_origin import relay_to

PROVIDERS = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}
EXACT = "123456789012345678901234567890.123456789012345678"
TWICE = "246913578024691357802469135780.246913578024691356"
NOTHING = "0"

ATTEMPTS = 3
# Longer than a busy machine may stand still: each attempt's request must have arrived by then.
TIMEOUT = 0.6
AMPLE = 20.0
BOUND = 20.0
"""Seconds: for an attempt that will time out, for one that will not, and for a whole fetch."""
COOLED_ONCE = 2.9
"""For a fetch that waits for the first cooldown of an origin, of one second, and not for the second one, of two."""

MIB = 2**20
BOMB = 200
ROOM = 24 * MIB
"""A body of the greatest size that is read, as much again for the bytearray that grows, and little besides."""

# How many requests of the account reach the provider; the only place that knows.
ONCE = 1
RETRIED = ATTEMPTS
UNHEARD = 0  # no request gets through

JSON = b"Content-Type: application/json\r\n"
EMPTY = b'{"data": []}'
WHOLE = b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Length: 12\r\n\r\n" + EMPTY
CHUNKED = b"HTTP/1.1 200 OK\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
GZIPPED = gzip.compress(b'{"data": [' + b'"abcdefgh", ' * 50 + b"]}")
CORRUPT = GZIPPED[:20] + b"\xff" * 4 + GZIPPED[24:]
GZIP = {"Content-Encoding": "gzip"}
GZIPPED_TWICE = gzip.compress(gzip.compress(EMPTY))
TWO_GZIPS = {"Content-Encoding": "gzip, gzip"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
HTML = {"Content-Type": "text/html"}


@attrs.frozen
class Case:
    """A fault, the class of the error that it ends in, and the requests; None: the account is read, and holds that."""

    name: str
    fault: Fault
    error: type[ProviderError] | None
    requests: int
    held: str = EXACT


TABLE = [
    # The connection ends or falls silent.
    Case("cut before the response", Fault.cut("start"), TransportError, RETRIED),
    Case("cut in the head", Fault.cut("head"), TransportError, RETRIED),
    Case("cut in the body", Fault.cut("body"), TransportError, RETRIED),
    Case("cut before the last byte", Fault(cut_after=10**9), TransportError, RETRIED),
    Case("reset before the response", Fault.reset("start"), TransportError, RETRIED),
    Case("reset in the head", Fault.reset("head"), TransportError, RETRIED),
    Case("reset in the body", Fault.reset("body"), TransportError, RETRIED),
    Case("reset after the response", Fault(ending="reset"), None, ONCE),
    Case("closed after the response", Fault(ending="close"), None, ONCE),
    Case("no response", Fault(hang=True), ProviderTimeoutError, RETRIED),
    Case("silence in the head", Fault.stall("head"), ProviderTimeoutError, RETRIED),
    Case("silence in the body", Fault.stall("body"), ProviderTimeoutError, RETRIED),
    Case("slow", Fault(delay=60), ProviderTimeoutError, RETRIED),
    Case("dripping head", Fault(drip="head", interval=0.02), ProviderTimeoutError, RETRIED),
    Case("dripping body", Fault(drip="body", interval=0.02), ProviderTimeoutError, RETRIED),
    # The framing is wrong.
    Case("length too long, then closed", Fault(length_error=1), TransportError, RETRIED),
    Case("length too long, then silence", Fault(length_error=1, ending="stall"), ProviderTimeoutError, RETRIED),
    Case("length too short", Fault(length_error=-1), TransportError, RETRIED),
    Case("length zero", Fault(length_error=-(10**6)), TransportError, RETRIED),
    Case("length no number", Fault(raw=WHOLE.replace(b"12", b"twelve")), TransportError, RETRIED),
    Case("length negative", Fault(raw=WHOLE.replace(b"12", b"-12")), TransportError, RETRIED),
    Case("two lengths", Fault(raw=WHOLE.replace(b"12", b"12\r\nContent-Length: 13")), TransportError, RETRIED),
    Case("length and chunks", Fault(raw=CHUNKED.replace(JSON, b"Content-Length: 12\r\n")), TransportError, RETRIED),
    Case("chunk size no number", Fault(raw=CHUNKED + b"zz\r\n"), TransportError, RETRIED),
    Case("chunk longer than said", Fault(raw=CHUNKED + b"2\r\n" + EMPTY + b"\r\n"), TransportError, RETRIED),
    Case("chunks without an end", Fault(raw=CHUNKED + b"c\r\n" + EMPTY + b"\r\n"), TransportError, RETRIED),
    Case("an extension for ever", Fault(raw=CHUNKED + b"1;", endless=b"x" * 1000), ProviderTimeoutError, RETRIED),
    Case("chunks of one byte for ever", Fault(raw=CHUNKED, endless=b"1\r\n \r\n"), ProviderTimeoutError, RETRIED),
    Case("trailers for ever", Fault(raw=CHUNKED + b"0\r\n", endless=b"X: y\r\n" * 1000), TransportError, RETRIED),
    Case("nothing but an end of chunks", Fault(raw=CHUNKED + b"0\r\n\r\n"), MalformedResponseError, ONCE),
    Case("two responses at once", Fault(raw=WHOLE + WHOLE, ending="stall"), None, ONCE, NOTHING),
    Case("garbage after the response", Fault(raw=WHOLE + b"garbage\r\n\r\n", ending="stall"), TransportError, RETRIED),
    # It is not HTTP, or too much of it.
    Case("garbage before the response", Fault(raw=b"garbage\r\n\r\n" + WHOLE), TransportError, RETRIED),
    Case("a body without a head", Fault(raw=EMPTY), TransportError, RETRIED),
    Case("another protocol", Fault(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), TransportError, RETRIED),
    Case("zeros", Fault(raw=bytes(1000)), TransportError, RETRIED),
    Case("HTTP/9.9", Fault(raw=WHOLE.replace(b"1.1", b"9.9")), TransportError, RETRIED),
    Case("status 1000", Fault(raw=WHOLE.replace(b"200", b"1000")), TransportError, RETRIED),
    Case("switched protocols", Fault(raw=SWITCH), MalformedResponseError, ONCE),
    Case("100 first", Fault(raw=b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE), None, ONCE, NOTHING),
    Case("103 first", Fault(raw=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + WHOLE), None, ONCE, NOTHING),
    Case("100 for ever", Fault(raw=b"", endless=b"HTTP/1.1 100 Continue\r\n\r\n"), MalformedResponseError, ONCE),
    Case("a huge header", Fault(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB + b"\r\n\r\n"), TransportError, RETRIED),
    Case("headers for ever", Fault(raw=b"HTTP/1.1 200 OK\r\n", endless=b"X: y\r\n" * 1000), TransportError, RETRIED),
    Case("one header for ever", Fault(raw=b"HTTP/1.1 200 OK\r\nX: ", endless=b"x" * 1000), TransportError, RETRIED),
    Case("a broken header", Fault(raw=b"HTTP/1.1 200 OK\r\nX Y\r\n\r\n{}"), TransportError, RETRIED),
    # The body is not what it should be.
    Case("a flood", Fault.flood(), MalformedResponseError, ONCE),
    Case("a flood in chunks", Fault.flood(chunked=True), MalformedResponseError, ONCE),
    Case("a gzip bomb", Fault.bomb(mebibytes=BOMB), MalformedResponseError, ONCE),
    Case("a deflate bomb", Fault.bomb(mebibytes=BOMB, encoding="deflate"), MalformedResponseError, ONCE),
    Case("corrupt gzip", Fault(body=CORRUPT, headers=GZIP), TransportError, RETRIED),
    Case("five thousand gzips in one", Fault(body=gzip.compress(b" ") * 5000, headers=GZIP), TransportError, RETRIED),
    Case("wrong checksum", Fault(body=gzip.compress(EMPTY)[:-8] + bytes(8), headers=GZIP), TransportError, RETRIED),
    Case("half a gzip", Fault(body=gzip.compress(EMPTY)[:15], headers=GZIP), TransportError, RETRIED),
    Case("plain, said to be gzip", Fault(body=EMPTY, headers=GZIP), TransportError, RETRIED),
    Case("gzip twice, said once", Fault(body=GZIPPED_TWICE, headers=GZIP), MalformedResponseError, ONCE),
    Case("gzip twice, said twice", Fault(body=GZIPPED_TWICE, headers=TWO_GZIPS), MalformedResponseError, ONCE),
    Case("an unknown encoding", Fault(headers={"Content-Encoding": "x-new"}), None, ONCE),
    Case("a wrong content type", Fault(headers=HTML), None, ONCE),
    Case("a page", Fault(body="<html>maintenance</html>", headers=HTML), MalformedResponseError, ONCE),
    Case("nothing", Fault(body=""), MalformedResponseError, ONCE),
    Case("half of the JSON", Fault(body=EMPTY[:6]), MalformedResponseError, ONCE),
    Case("JSON without data", Fault(body="{}"), MalformedResponseError, ONCE),
    Case("no UTF-8", Fault(body=b'{"data": "\xff"}'), MalformedResponseError, ONCE),
    Case("deep nesting", Fault(body="[" * 100_000), MalformedResponseError, ONCE),
    # The provider refuses or fails.
    Case("400", Fault(status=400), BadRequestError, ONCE),
    Case("401", Fault(status=401), AuthenticationError, ONCE),
    Case("403", Fault(status=403), AuthenticationError, ONCE),
    Case("404", Fault(status=404), BadRequestError, ONCE),
    # The second cooldown of its origin would pass the deadline.
    Case("429", Fault(status=429), RateLimitedError, 2),
    Case("500", Fault(status=500), ServiceUnavailableError, RETRIED),
    Case("502 with a page", Fault(status=502, body="<h1>502</h1>", headers=HTML), ServiceUnavailableError, RETRIED),
    Case("503 that is a bomb", attrs.evolve(Fault.bomb(mebibytes=BOMB), status=503), ServiceUnavailableError, RETRIED),
    Case("503, cut", Fault(status=503, body="down", cut_after=1), ServiceUnavailableError, RETRIED),
    Case("204", Fault(status=204), MalformedResponseError, ONCE),
    Case("304", Fault(status=304), UnexpectedRedirectError, ONCE),
]  # fmt: skip

BIG = [case for case in TABLE if any(word in case.name for word in ("bomb", "flood", "ever"))]


@pytest.fixture(params=PROVIDERS)
def provider(request):
    """Be either provider."""
    return request.param


@pytest.fixture
async def elsewhere():
    """Start a second sandbox, on another origin."""
    async with Sandbox() as running:
        yield running


def client_of(*accounts, timeout=AMPLE, deadline=BOUND, attempts=ATTEMPTS, time_of_first=time.time, **settings):
    """Make a client that does not wait between attempts; the clock of its first account may be another one."""
    providers = [PROVIDERS[one.provider](one.label, **one.settings) for one in accounts]
    providers[0].clock = time_of_first
    retry = RetryPolicy(attempts, first=0.0)
    return AggregateClient(providers, timeout=timeout, deadline=deadline, retry=retry, **settings)


def add(sandbox, provider, label, currency):
    """Add an account at one of the providers that holds an amount with which a float could not cope."""
    return getattr(sandbox, f"add_{provider}")(label, [Holding(currency, EXACT)])


def add_others(sandbox):
    """Add an account at each provider, to be read beside the stricken one."""
    return [add(sandbox, provider, f"other at {provider}", "BTC") for provider in PROVIDERS]


async def fetch(client):
    """Fetch within the bound, and return the failure of the stricken account if it has one; the others are intact."""
    async with client, asyncio.timeout(BOUND):
        merged = await client.fetch()
    read = {
        snapshot.account: [(balance.currency, str(balance.amount)) for balance in snapshot.balances]
        for snapshot in merged.accounts
        if snapshot.account != "stricken"
    }
    assert read == {f"other at {provider}": [("BTC", EXACT)] for provider in PROVIDERS}
    assert str(merged.amount("BTC", partial=True)) == TWICE
    assert merged.complete is (not merged.failures)
    return merged, next(iter(merged.failures), None)


def received(sandbox):
    """Return the requests that reached a sandbox for the stricken account."""
    return [request for request in sandbox.requests if request.account == "stricken"]


def secrets_of(account, requests):
    """Return an account's keys and the signatures that it has sent."""
    names = ("X-Processing-Signature", "Bs-Signature")
    keys = {account.settings.get(name) for name in ("key", "secret", "signing_key")}
    return (keys | {request.headers.get(name) for request in requests for name in names}) - {None}


def timeout_for(error):
    """Return the timeout of an attempt: short where it is what ends it, since the tests wait for it."""
    return TIMEOUT if error is ProviderTimeoutError else AMPLE


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
async def test_a_fault_is_the_error_of_its_account_alone(sandbox, provider, case, caplog, everything_shown_by):
    """Its class, the number of requests and the time are as the table says, and other accounts are read exactly.

    Message, repr, traceback with local variables, log and pickle of the failure show no key and no signature.
    """
    caplog.set_level(logging.DEBUG, "balancekit")
    stricken = add(sandbox, provider, "stricken", "ETH")
    sandbox.fail("stricken", case.fault, times=2 * ATTEMPTS)
    deadline = COOLED_ONCE if case.error is RateLimitedError else BOUND
    client = client_of(stricken, *add_others(sandbox), timeout=timeout_for(case.error), deadline=deadline)

    merged, failure = await fetch(client)

    assert (type(failure.error) if failure else None) is case.error
    if failure:
        assert failure.error.hint
        shown = [caplog.text, repr(merged), repr(client), merged.to_json(), repr(pickle.dumps(merged))]
        shown.append(everything_shown_by(failure.error))
        assert not [
            secret for secret in secrets_of(stricken, received(sandbox)) if any(secret in text for text in shown)
        ]
    assert merged.amount("ETH", partial=True) == Decimal(NOTHING if failure else case.held)
    assert len(received(sandbox)) == case.requests


async def test_an_error_response_whose_body_never_comes_keeps_its_status(sandbox, provider, monkeypatch):
    """A wrong key is not tried again because the body of its 403 stalls."""
    monkeypatch.setattr(bodies, "_ERROR_BODY_TIMEOUT", 0.05)
    stricken = add(sandbox, provider, "stricken", "ETH")
    sandbox.fail("stricken", Fault(status=403, length_error=1, ending="stall"))

    _, failure = await fetch(client_of(stricken, *add_others(sandbox)))

    assert type(failure.error) is AuthenticationError
    assert len(received(sandbox)) == ONCE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "root", ["", "//other", "http://[", "file:///etc/passwd"], ids=["url", "host", "broken", "file"]
)
async def test_a_redirect_is_never_followed(sandbox, elsewhere, provider, status, root):
    """Wherever it points, nothing arrives there, and the error says that it is one."""
    stricken = add(sandbox, provider, "stricken", "ETH")
    sandbox.fail("stricken", Fault.redirect(root or f"{elsewhere.address}/stolen", status=status))

    _, failure = await fetch(client_of(stricken, *add_others(sandbox)))

    assert type(failure.error) is UnexpectedRedirectError
    assert len(received(sandbox)) == ONCE
    assert elsewhere.requests == ()


@pytest.mark.parametrize(
    ("way", "error"),
    [("refusing", TransportError), ("not_reading", ProviderTimeoutError)],
    ids=["refusing", "not-reading"],
)
async def test_a_host_that_is_away_costs_its_accounts_alone(sandbox, elsewhere, provider, way, error):
    """Nothing listens, or nothing reads: accounts at another host are read, and this one is once it is back."""
    stricken = add(elsewhere, provider, "stricken", "ETH")

    async with getattr(elsewhere, way)():
        _, failure = await fetch(client_of(stricken, *add_others(sandbox), timeout=timeout_for(error)))
    async with client_of(stricken) as client:
        merged = await client.fetch(strict=True)

    assert type(failure.error) is error
    assert merged.amount("ETH") == Decimal(EXACT)
    assert len(received(elsewhere)) == UNHEARD + ONCE


@pytest.mark.parametrize(
    ("certificate", "trusted", "reason"),
    [
        (Certificate.VALID, True, None),
        (Certificate.VALID, False, "certificate verify failed: unable to"),
        (Certificate.EXPIRED, True, "certificate has expired"),
        (Certificate.OTHER_HOST, True, "IP address mismatch"),
        (Certificate.SELF_SIGNED, True, "self-signed certificate"),
    ],
    ids=["valid", "unknown-authority", "expired", "other-host", "self-signed"],
)
async def test_a_wrong_certificate_is_refused(sandbox, provider, certificate, trusted, reason, one_signature):
    """No request, and so no credential, is sent to a host that is not shown to be the right one."""
    async with Sandbox(certificate=certificate, clock=one_signature) as secure:
        stricken = add(secure, provider, "stricken", "ETH")
        connector = aiohttp.TCPConnector(ssl=secure.client_context if trusted else True)
        async with aiohttp.ClientSession(connector=connector) as session:
            client = client_of(stricken, *add_others(sandbox), session=session, time_of_first=one_signature)
            _, failure = await fetch(client)

    assert (type(failure.error) if failure else None) is (TransportError if reason else None)
    assert reason is None or reason in failure.error.message
    assert len(received(secure)) == (UNHEARD if reason else ONCE)


@pytest.mark.parametrize("case", BIG, ids=lambda case: case.name)
async def test_memory_is_bounded(sandbox, provider, case):
    """However much is sent, or comes out of what is sent, little more than the greatest body is ever held."""
    stricken = add(sandbox, provider, "stricken", "ETH")
    sandbox.fail("stricken", case.fault)
    # The others have one attempt as well.
    timeout = 4 * timeout_for(case.error)
    client = client_of(stricken, *add_others(sandbox), timeout=timeout, attempts=1)

    tracemalloc.start()
    try:
        await fetch(client)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < ROOM


@pytest.mark.parametrize("ending", ["close", "reset", "reset-next"])
async def test_a_dead_kept_alive_connection_costs_no_attempt(sandbox, provider, ending):
    """The request that meets it is sent again at once, on another."""
    stricken = add(sandbox, provider, "stricken", "ETH")
    sandbox.fail("stricken", Fault(ending=ending))

    async with client_of(stricken, attempts=1) as client, asyncio.timeout(BOUND):
        first = await client.fetch(strict=True)
        second = await client.fetch(strict=True)

    assert (first.amount("ETH"), second.amount("ETH")) == (Decimal(EXACT), Decimal(EXACT))
    assert [request.status for request in received(sandbox)] == [200, 200]


@pytest.mark.parametrize("ending", ["close", "stall"])
async def test_a_second_response_is_not_that_of_the_next_request(sandbox, provider, ending):
    """Bytes after a response are never read, whatever they are."""
    stricken = add(sandbox, provider, "stricken", "ETH")
    sandbox.fail("stricken", Fault(raw=WHOLE + WHOLE, ending=ending))

    async with client_of(stricken) as client, asyncio.timeout(BOUND):
        await client.fetch(strict=True)
        merged = await client.fetch(strict=True)

    assert merged.amount("ETH") == Decimal(EXACT)


@pytest.mark.parametrize("is_lent", [False, True], ids=["own session", "lent session"])
async def test_an_unsolicited_response_is_not_that_of_the_next_request(sandbox, provider, is_lent):
    """What comes on an idle connection is never taken for balances, and its connection is not used again."""
    stricken = add(sandbox, provider, "stricken", "ETH")

    async with relay_to(sandbox) as (origin, writers), aiohttp.ClientSession() as session:
        base_url = stricken.settings["base_url"].replace(sandbox.address, origin)
        source = PROVIDERS[provider]("stricken", **stricken.settings | {"base_url": base_url})
        lent = session if is_lent else None
        async with AggregateClient([source], session=lent) as client, asyncio.timeout(BOUND):
            await client.fetch(strict=True)
            writers[0].write(WHOLE)
            for _ in range(10):
                await asyncio.sleep(0)
            merged = await client.fetch(strict=True)

    assert merged.amount("ETH") == Decimal(EXACT)
    assert len(writers) == 2
