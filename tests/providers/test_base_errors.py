"""What becomes of error responses, of what an adapter cannot read and of what it raises."""

import inspect
import sys
from http import HTTPStatus

import aiohttp
import pytest

from balancekit import (
    AuthenticationError,
    ErrorDetail,
    MalformedResponseError,
    Response,
    ServiceUnavailableError,
    TransportError,
)
from balancekit.http.bodies import BodyTooLargeError
from balancekit.http.hints import HINTS
from balancekit.http.messages import MAX_ERROR_BODY
from tests.support.my_bank import CANARY, MyBank


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

    file, line = inspect.getsourcefile(MyBank), inspect.getsourcelines(MyBank.read_response)[1] + 2
    # From Python 3.12 on, a list comprehension has no frame of its own.
    name = "read_response" if sys.version_info >= (3, 12) else "<listcomp>"
    assert f"Look at {file}:{line} in {name}, which raised KeyError: 'code'" in str(caught.value)
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
        (b'{"error": null, "x": [1]}', None, "look for a newer balancekit"),
        (
            b'{"success": false, "code": "locked", "message": "No", "rows": []}',
            "locked",
            "200 locked: No. Call the bank",
        ),
        (b'{"status": "error", "message": "maintenance"}', None, "with the status of a success: 200: maintenance"),
    ],
    ids=["flat", "by field", "byte order mark", "page", "no error", "no success", "status"],
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


async def test_a_secret_that_an_adapter_cuts_between_message_and_hint_is_not_shown(bank, wire, monkeypatch):
    """They are shown one after the other."""
    monkeypatch.setattr(bank, "spare", "velvetmorningradio", raising=False)

    def read_response(response):
        raise AuthenticationError("refused velve", account="shop", provider="mybank", hint="tmorn was wrong")

    monkeypatch.setattr(bank, "read_response", read_response)

    with pytest.raises(AuthenticationError) as caught:
        await bank.fetch_balances(None)

    assert str(caught.value) == "shop (mybank): refused …. … was wrong"


async def test_an_error_response_becomes_an_error_by_the_adapters_hints_and_clock(bank, wire):
    """The hint is the adapter's own for the code, and a date in `Retry-After` is counted from the adapter's clock."""
    headers = {"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}
    wire.outcome = Response(503, headers, b'{"error": "No", "code": "locked"}')

    with pytest.raises(ServiceUnavailableError) as caught:
        await bank.fetch_balances(None)

    assert str(caught.value) == "shop (mybank): 503 locked: No. Call the bank. The response says to wait 59 s"
    assert (caught.value.status, caught.value.code) == (503, "locked")
    assert caught.value.retry_after == pytest.approx(59.1)


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
