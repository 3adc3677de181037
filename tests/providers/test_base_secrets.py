"""Secrets of an account in what servers echo and adapters raise: no error, log line or traceback shows them."""

import asyncio
import base64
import json
import traceback
from urllib.parse import quote

import aiohttp
import pytest

from balancekit import (
    AuthenticationError,
    BadRequestError,
    CryptoprocessingProvider,
    ProviderError,
    Request,
    Response,
    Secret,
)
from balancekit.providers import base
from tests.support.my_bank import CANARY, MyBank


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
