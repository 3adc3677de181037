"""What a provider adapter is: the base class, with an adapter of the tests' own."""

import asyncio
import base64
import inspect
import json
import sys
import traceback
from decimal import Decimal
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import quote

import aiohttp
import pytest

from balancekit import (
    AssetType,
    AuthenticationError,
    BadRequestError,
    Balance,
    BalanceProvider,
    ConfigError,
    CryptoprocessingProvider,
    ErrorDetail,
    HttpProvider,
    MalformedResponseError,
    ProviderError,
    Request,
    Response,
    Secret,
    ServiceUnavailableError,
    TransportError,
)
from balancekit.http.hints import HINTS
from balancekit.http.messages import MAX_ERROR_BODY
from balancekit.http.transport import BodyTooLargeError
from balancekit.providers import base
from tests.support.loopback_origin import OK
from tests.support.providers import Scripted
from tests.support.thread_server import ThreadServer

CANARY = "canary/3f9a+b=="
NEW_YEAR = 1_767_225_600.0


class MyBank(HttpProvider):
    """An adapter as a user would write it."""

    provider = "mybank"
    hints = MappingProxyType({"locked": "Call the bank", 402: "Pay the bank"})

    def __init__(self, account, *, token, base_url="https://bank.example/api"):
        super().__init__(account, base_url=base_url)
        self._token = token

    def build_request(self, *, now, nonce):
        """Build a request that is signed with the token alone."""
        headers = {"Authorization": self._token, "X-Now": str(now), "X-Nonce": nonce}
        return Request("GET", f"{self.base_url}/balances", headers)

    def read_response(self, response):
        """Read a list of codes and amounts."""
        return [self.balance(line["code"], line["amount"]) for line in response.json()]


@pytest.fixture
def bank():
    """Make an account at the tests' own bank, whose clock stands still."""
    bank = MyBank("shop", token=CANARY)
    bank.clock = lambda: NEW_YEAR + 0.9
    return bank


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


@pytest.mark.parametrize(("age", "seconds"), [("3", 3), ("86400", 86400), (" 60, 1", 60), ("9" * 5000, 86400)])
async def test_a_response_from_a_cache_is_refused(bank, wire, age, seconds):
    """It would be shown as if it were of now, and used until it is older than it seems."""
    wire.outcome = Response(200, {"age": age}, body=b'[{"code": "EUR", "amount": 1.50}]')

    with pytest.raises(MalformedResponseError, match=f"the response comes from a cache, {seconds} s old") as caught:
        await bank.fetch_balances(None)

    assert not caught.value.retryable
    assert caught.value.hint.startswith("A cache on the way")


@pytest.mark.parametrize("age", ["0", "2", "", "soon", "-5", "٣٣"])
async def test_a_response_that_a_cache_has_just_fetched_is_read(bank, wire, age):
    """As is one whose age is no number: that is no reason to distrust the provider."""
    wire.outcome = Response(200, {"Age": age}, body=b'[{"code": "EUR", "amount": 1.50}]')

    assert len(await bank.fetch_balances(None)) == 1


async def test_every_request_has_its_own_nonce_and_the_time(bank, wire):
    """A retry is signed anew: 16 random bytes for each request, and whole Unix seconds."""
    for _ in range(200):
        await bank.fetch_balances(None)

    nonces = [request.headers["X-Nonce"] for request in wire.requests]
    assert len(set(nonces)) == 200
    assert {len(base64.b64decode(nonce, validate=True)) for nonce in nonces} == {16}
    assert {request.headers["X-Now"] for request in wire.requests} == {"1767225600"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"<html>", "the body is not JSON"),
        (b"7", "TypeError while reading the response"),
        (b"[{}]", "KeyError while reading the response"),
        (b'[{"code": "EUR", "amount": "x"}]', "ValueError while reading the response"),
        (b'[{"code": 7, "amount": "1"}]', "expected a string, got a number"),
    ],
)
async def test_a_response_that_the_adapter_cannot_read_is_malformed(bank, wire, body, message):
    """Whatever an adapter raises while it reads a response, the caller gets one class of error."""
    wire.outcome = Response(200, body=body)

    with pytest.raises(MalformedResponseError) as caught:
        await bank.fetch_balances(None)

    assert caught.value.message == message
    assert (caught.value.account, caught.value.provider, caught.value.status) == ("shop", "mybank", 200)
    assert not caught.value.retryable


async def test_an_error_shows_where_the_adapter_raised_and_what(bank, wire):
    """It can be mended without a debugger: file, line, function and the adapter's own message."""
    wire.outcome = Response(200, body=b'[{"amount": "1"}]')

    with pytest.raises(MalformedResponseError) as caught:
        await bank.fetch_balances(None)

    line = inspect.getsourcelines(MyBank.read_response)[1] + 2
    # From Python 3.12 on, a list comprehension has no frame of its own.
    name = "read_response" if sys.version_info >= (3, 12) else "<listcomp>"
    assert f"Look at {__file__}:{line} in {name}, which raised KeyError: 'code'" in str(caught.value)
    assert HINTS[MalformedResponseError] in str(caught.value)


async def test_an_adapters_own_message_is_redacted(bank, wire, monkeypatch, everything_shown_by):
    """It may quote what a 200 sent back, or the adapter's own token, which may be no part of the request."""
    monkeypatch.setattr(bank, "spare", "another-canary-77", raising=False)

    def read_response(response):
        raise KeyError(f"{response.body.decode()} another-canary-77 sk_live_unknown\x1b[2J")

    monkeypatch.setattr(bank, "read_response", read_response)
    wire.outcome = Response(200, body=CANARY.encode())

    with pytest.raises(MalformedResponseError, match="KeyError") as caught:
        await bank.fetch_balances(None)

    shown = everything_shown_by(caught.value)
    assert "which raised KeyError: '*** *** …'" in str(caught.value)
    assert CANARY not in shown
    assert "another-canary-77" not in shown
    assert "sk_live" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("body", "code", "hint"),
    [
        (b'{"error": "Bad key", "code": "locked"}', "locked", "200 locked: Bad key. Call the bank"),
        (b'{"errors": {"page": "is required"}}', None, "200: page: is required. Check the account's settings"),
        (b'\xef\xbb\xbf[{"code": "EUR", "amount": "1"}]', None, "begins with a byte order mark"),
        (b" <h1>Back at 14:00 UTC</h1>", None, "The body is a web page"),
        (b'{"error": null}', None, "Check base_url; if it is right, the API may have changed"),
    ],
    ids=["flat", "by field", "byte order mark", "page", "no error"],
)
async def test_a_200_that_is_no_list_of_balances_says_what_it_is(bank, wire, body, code, hint):
    """Some APIs report errors with the status of a success, and some proxies send a page or a mark before JSON."""
    wire.outcome = Response(200, body=body)

    with pytest.raises(MalformedResponseError) as caught:
        await bank.fetch_balances(None)

    assert (caught.value.code, caught.value.status, caught.value.retryable) == (code, 200, False)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("body", "code", "hint"),
    [
        (b'{"name": "locked", "message": "No."}', "locked", "200 locked: No. Call the bank"),
        (b'{"name": null, "rows": []}', None, "Check base_url; if it is right, the API may have changed"),
        (b'{"name": "locked", "rows": "' + b"x" * MAX_ERROR_BODY + b'"}', None, "Check base_url; if it is right"),
        (b"7", None, "Check base_url; if it is right, the API may have changed"),
    ],
    ids=["error", "no code", "too long", "not read"],
)
async def test_an_error_in_a_200_is_read_by_the_adapter(bank, wire, monkeypatch, body, code, hint):
    """Whatever the shape of the API's errors is; one that the adapter reads no code of is none."""

    def read_error(response):
        data = response.json()
        return ErrorDetail(data["name"], data.get("message"))

    monkeypatch.setattr(bank, "read_error", read_error)
    wire.outcome = Response(200, body=body)

    with pytest.raises(MalformedResponseError) as caught:
        await bank.fetch_balances(None)

    assert caught.value.code == code
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "raised",
    [AttributeError(), IndexError(), ArithmeticError(), RecursionError(), ExceptionGroup("", [OSError()])],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_the_adapter_raises_is_malformed(bank, wire, monkeypatch, raised):
    """The reason is kept as the cause."""

    def read_response(response):
        raise raised

    monkeypatch.setattr(bank, "read_response", read_response)

    with pytest.raises(MalformedResponseError, match=f"{type(raised).__name__} while reading the response") as caught:
        await bank.fetch_balances(None)

    assert caught.value.__cause__ is raised


async def test_an_error_of_ours_that_the_adapter_raises_keeps_its_class_and_facts(bank, wire, monkeypatch):
    """An API that tells of errors in a 200 can have them typed by its adapter."""
    facts = {"status": HTTPStatus.FORBIDDEN, "code": "locked", "retryable": True, "hint": "wait", "retry_after": 7}

    def read_response(response):
        raise AuthenticationError("refused", account="shop", provider="mybank", **facts)

    monkeypatch.setattr(bank, "read_response", read_response)

    with pytest.raises(AuthenticationError) as caught:
        await bank.fetch_balances(None)

    assert (str(caught.value), caught.value.status) == ("shop (mybank): refused. wait", 403)
    assert {name: getattr(caught.value, name) for name in facts} == facts


async def test_an_error_response_becomes_an_error_by_the_adapters_hints_and_clock(bank, wire):
    """The hint is the adapter's own for the code, and a date in `Retry-After` is counted from the adapter's clock."""
    headers = {"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}
    wire.outcome = Response(503, headers, b'{"error": "No", "code": "locked"}')

    with pytest.raises(ServiceUnavailableError) as caught:
        await bank.fetch_balances(None)

    assert str(caught.value) == "shop (mybank): 503 locked: No. Call the bank"
    assert (caught.value.status, caught.value.code) == (503, "locked")
    assert caught.value.retry_after == pytest.approx(59.1)


async def test_credentials_that_are_echoed_are_redacted(bank, wire):
    """A debugging server or a proxy may send back what it was sent, in any spelling that JSON has."""
    wire.outcome = Response(403, body=json.dumps({"error": CANARY, "code": CANARY}).replace("/", "\\/").encode())

    with pytest.raises(AuthenticationError) as caught:
        await bank.fetch_balances(None)

    assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.code}"


async def test_a_header_that_is_no_secret_stays_readable(wire):
    """An error about the content type is of no use without it."""
    provider = CryptoprocessingProvider("shop", key="a-public-key", secret="s")
    body = b'{"error": "Content-Type must be application/json", "code": "bad_content_format"}'
    wire.outcome = Response(400, body=body)

    with pytest.raises(Exception, match="bad_content_format: Content-Type must be application/json"):
        await provider.fetch_balances(None)


async def test_a_header_that_is_no_utf8_does_not_break_the_reading_of_an_error(wire):
    """The environment of a process may hold such bytes; the error response to them is an error like any other."""
    bank = MyBank("shop", token="canary-\udce9")
    wire.outcome = Response(401, body=b"no such token")

    with pytest.raises(AuthenticationError, match="no such token"):
        await bank.fetch_balances(None)


async def test_an_adapter_reads_errors_of_its_own_shape(bank, wire, monkeypatch):
    """An API with another shape of error overrides one pure method."""
    monkeypatch.setattr(bank, "read_error", lambda response: ErrorDetail("locked", response.body.decode()))
    wire.outcome = Response(403, body=b"shut")

    with pytest.raises(AuthenticationError, match=r"403 locked: shut\. Call the bank"):
        await bank.fetch_balances(None)


async def test_an_error_that_the_adapter_cannot_read_keeps_its_status(bank, wire, monkeypatch):
    """A mistake in reading an error's words does not hide which error it is."""
    monkeypatch.setattr(bank, "read_error", lambda response: response.json()["error"])
    wire.outcome = Response(503, body=b"<html>")

    with pytest.raises(ServiceUnavailableError, match="503"):
        await bank.fetch_balances(None)


@pytest.mark.parametrize(
    ("raised", "kind", "facts"),
    [
        (BodyTooLargeError("too large"), MalformedResponseError, ("too large", False)),
        (aiohttp.ServerDisconnectedError("gone"), TransportError, ("ServerDisconnectedError: gone", True)),
        (OSError("reset"), TransportError, ("OSError: reset", True)),
        (RuntimeError("Session is closed"), TransportError, ("RuntimeError while sending the request", False)),
        (ValueError(CANARY), TransportError, ("ValueError while sending the request", False)),
    ],
    ids=["too large", "disconnected", "reset", "closed", "unknown"],
)
async def test_a_request_that_fails_is_an_error_of_ours(bank, wire, raised, kind, facts):
    """Whatever sending raises is typed, and what nobody expects is not tried again."""
    wire.outcome = raised

    with pytest.raises(kind) as caught:
        await bank.fetch_balances(None)

    assert (caught.value.message, caught.value.retryable) == facts
    assert (caught.value.account, caught.value.provider) == ("shop", "mybank")
    assert caught.value.hint


@pytest.mark.parametrize(
    "outcome",
    [Response(403), Response(200, body=b"7"), aiohttp.ServerDisconnectedError(), RuntimeError("closed")],
    ids=["refused", "malformed", "disconnected", "unknown"],
)
async def test_the_traceback_of_a_failure_shows_no_secret(bank, wire, outcome, everything_shown_by):
    """The local variables of all frames are collected by error trackers."""
    wire.outcome = outcome

    with pytest.raises(Exception, match="shop") as caught:
        await bank.fetch_balances(None)

    assert CANARY not in everything_shown_by(caught.value)


@pytest.mark.parametrize(
    "disguise",
    [
        lambda token: "\n".join(token).encode(),
        lambda token: base64.b64encode(token.encode()),
        lambda token: token[2:].encode(),
    ],
    ids=["lines", "base64", "cut"],
)
async def test_a_response_that_quotes_a_credential_in_disguise_is_not_shown(wire, disguise):
    """Status and hint tell what to do, and nothing can be put together again from the message."""
    token = f"{CANARY}{CANARY}"
    bank = MyBank("shop", token=token)
    wire.outcome = Response(402, body=b"no such token: " + disguise(token))

    with pytest.raises(BadRequestError) as caught:
        await bank.fetch_balances(None)

    assert caught.value.message.startswith("402: no such token: …")
    assert not any(token[at : at + 6] in caught.value.message for at in range(len(token) - 5))
    assert caught.value.hint == "Pay the bank"


@pytest.mark.parametrize("kept", [str, Secret], ids=["text", "secret"])
@pytest.mark.parametrize("token", ["canary-3f9a", "canarytoken-abc", "canary/3f9a+b=="])
async def test_a_token_in_the_path_is_a_secret(wire, kept, token):
    """Some APIs have the key in the URL, and a server that does not know it shows the path."""

    class InPath(MyBank):
        def build_request(self, *, now, nonce):
            value = self._token.reveal() if isinstance(self._token, Secret) else self._token
            return Request("GET", f"{self.base_url}/bot{quote(value, safe='')}/balances")

    wire.outcome = Response(404, body=f"no balances at /bot{quote(token, safe='')}/balances for {token}".encode())

    with pytest.raises(BadRequestError) as caught:
        await InPath("shop", token=kept(token)).fetch_balances(None)

    assert "canary" not in str(caught.value)
    assert "404" in str(caught.value)


class OwnError(Exception):
    """An exception that cannot be changed, and has no text."""

    def __init__(self, text):
        super().__init__(text)
        vars(self)["text"] = text

    def __setattr__(self, name, value):
        if not name.startswith("__"):
            raise AttributeError(name)
        super().__setattr__(name, value)

    def __str__(self):
        raise RuntimeError(self.text)


@pytest.mark.parametrize(
    "raised",
    [
        KeyError(f"Bearer {CANARY}"), ValueError(CANARY.encode()), OSError(2, "no file", CANARY), OwnError(CANARY),
        ExceptionGroup(CANARY, [ValueError(CANARY)]), UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, "bad"),
        ProviderError(CANARY, account="shop", provider="mybank", code=CANARY, hint=CANARY), SystemExit(CANARY),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize("method", ["build_request", "read_response", "read_error"])
async def test_what_an_adapter_raises_shows_no_secret(bank, wire, monkeypatch, everything_shown_by, method, raised):
    """Its own text may quote the token that it was reading, as `int(token)` does."""

    def fail(*_, **__):
        raise raised

    raised.add_note(f"while reading {CANARY}")
    monkeypatch.setattr(bank, method, fail)
    wire.outcome = Response(403 if method == "read_error" else 200)

    with pytest.raises((ProviderError, SystemExit)) as caught:
        await bank.fetch_balances(None)

    assert CANARY not in everything_shown_by(caught.value)
    assert CANARY not in f"{getattr(caught.value, 'code', '')} {getattr(caught.value, '__notes__', '')}"


async def test_what_an_adapter_reads_of_an_error_is_one_printable_line(bank, wire, monkeypatch):
    """Neither a line of the log can be forged, nor a terminal controlled, by way of an adapter's own `read_error`."""
    detail = ErrorDetail("locked\nERROR forged", f"\x1b[2J {CANARY}\r\n" + "x" * 500)
    monkeypatch.setattr(bank, "read_error", lambda response: detail)
    wire.outcome = Response(403)

    with pytest.raises(AuthenticationError) as caught:
        await bank.fetch_balances(None)

    assert caught.value.code == "locked ERROR forged"
    assert caught.value.message.startswith("403 locked ERROR forged: ?[… *** …")
    assert len(caught.value.message) < 250
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("where", ["send", "read_response"])
async def test_what_ends_the_program_leaves_no_frame(bank, monkeypatch, everything_shown_by, kind, where):
    """A request that is ended by a signal has its headers in the frames of whatever was running."""

    async def send(session, request):
        token = dict(request.headers)
        if where == "send":
            raise kind(3)
        return Response(200, body=str(token).encode())

    def read_response(response):
        body = response.body
        raise kind(len(body) and 3)

    monkeypatch.setattr(base, "send", send)
    monkeypatch.setattr(bank, "read_response", read_response)

    with pytest.raises(kind) as caught:
        await bank.fetch_balances(None)

    assert caught.value.args == (3,)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames][-1] == "fetch_balances"
    assert CANARY not in everything_shown_by(caught.value)
