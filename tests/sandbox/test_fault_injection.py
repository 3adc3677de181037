"""Faults as clients meet them on requests and connections."""

import asyncio
import types

import aiohttp
import pytest

from balancekit.sandbox import Fault
from balancekit.sandbox.fault_injection import FaultInjector

CRYPTOPROCESSING = "/api/v2/accounts/list"
GETMANY = "/account.balance.getMany"
ASK = b"POST /api/v2/accounts/list HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def shop(sandbox):
    """Add an account at Cryptoprocessing with one holding."""
    return sandbox.add_cryptoprocessing("shop", {"BTC": "0.04"})


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        (CRYPTOPROCESSING, 400, '{"error": "Bad content format", "code": "bad_content_format"}'),
        (CRYPTOPROCESSING, 403, '{"error": "Bad signature header", "code": "bad_header_signature"}'),
        (CRYPTOPROCESSING, 429, "error code: 1015"),
        (CRYPTOPROCESSING, 503, ""),
        (CRYPTOPROCESSING, 200, ""),
        (GETMANY, 401, '{"error": "invalid_signature"}'),
        (GETMANY, 500, ""),
        ("/nowhere", 500, ""),
    ],
)
async def test_a_status_comes_with_the_body_that_the_provider_documents(sandbox, send, path, status, text):
    """A status alone comes with that body, or with none, whatever the credentials are."""
    sandbox.fail(None, Fault(status=status))

    response = await send("POST", sandbox.address + path)

    assert (response.status, await response.text()) == (status, text)


async def test_headers_come_with_the_status(sandbox, shop, ask_cryptoprocessing):
    """The headers of a fault are sent beside the usual ones."""
    sandbox.fail("shop", Fault(status=503, headers={"Retry-After": "1"}))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert "Date" in response.headers


@pytest.mark.parametrize("body", ["n\xf6", "n\xf6".encode()], ids=["text", "bytes"])
async def test_a_body_replaces_the_usual_one(sandbox, shop, ask_cryptoprocessing, body):
    """A body alone comes with status 200 and as JSON."""
    sandbox.fail("shop", Fault(body=body))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, await response.text()) == (200, "n\xf6")
    assert response.content_type == "application/json"


async def test_headers_replace_those_with_the_same_names(sandbox, shop, ask_cryptoprocessing):
    """A fault can change the content type and the date."""
    headers = {"content-type": "text/html", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    sandbox.fail("shop", Fault(status=502, body="<h1>Bad gateway</h1>", headers=headers))

    response = await ask_cryptoprocessing(shop)

    assert response.headers.getall("Content-Type") == ["text/html"]
    assert response.headers.getall("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


async def test_headers_alone_keep_the_usual_response(sandbox, shop, ask_cryptoprocessing):
    """The credentials are still checked, and status and body are the usual ones."""
    sandbox.fail("shop", Fault(headers={"X-Extra": "1"}), times=2)

    right = await ask_cryptoprocessing(shop)
    wrong = await ask_cryptoprocessing(shop, X_Processing_Signature="00")

    assert (right.status, right.headers["X-Extra"]) == (200, "1")
    assert (wrong.status, wrong.headers["X-Extra"]) == (403, "1")


async def test_the_usual_response_follows_a_delay(sandbox, shop, ask_cryptoprocessing):
    """A slow provider responds correctly in the end."""
    sandbox.fail("shop", Fault(delay=0.001))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, sandbox.requests[-1].status) == (200, 200)


@pytest.mark.parametrize("fault", [Fault(delay=60), Fault(hang=True)], ids=["delay", "hang"])
async def test_a_silent_request_ends_with_its_client(sandbox, connect, until, fault):
    """Nothing is sent, and no task of the request is left once the client is gone."""
    before = asyncio.all_tasks()
    sandbox.fail(None, fault)
    _, writer = await connect()
    writer.write(ASK)
    await until(lambda: sandbox.requests)

    writer.transport.abort()

    await until(lambda: asyncio.all_tasks() == before)
    assert sandbox.requests[-1].status is None


@pytest.mark.parametrize("fault", [Fault(delay=60), Fault(hang=True)], ids=["delay", "hang"])
async def test_a_silent_request_ends_with_the_sandbox(sandbox, exchange, until, fault):
    """Closing does not wait for it."""
    sandbox.fail(None, fault)
    asking = asyncio.create_task(exchange(ASK))
    await until(lambda: sandbox.requests)

    async with asyncio.timeout(30):
        await sandbox.aclose()

    assert await asking == (b"", b"")


@pytest.mark.parametrize(
    ("parts", "sent", "announced"),
    [
        ({}, b'{"err', 57),
        ({"status": 200, "body": "0123456789"}, b"01234", 10),
        ({"status": 400}, b'{"err', 61),
        ({"status": 503}, b"", 6),
        ({"status": 299, "body": "0123"}, b"0123", 6),
    ],
    ids=["usual", "body", "documented", "empty", "short"],
)
async def test_a_cut_ends_in_the_middle(sandbox, exchange, parts, sent, announced):
    """The head announces more than is sent."""
    sandbox.fail(None, Fault(cut_after=5, **parts))

    head, body = await exchange(ASK)

    assert body == sent
    assert head.startswith(f"HTTP/1.1 {parts.get('status', 403)} ".encode())
    assert f"\r\nContent-Length: {announced}".encode() in head


async def test_a_cut_is_an_error_of_the_client(sandbox, shop, ask_cryptoprocessing):
    """A client finds that a part of the body is missing, though the log has the status."""
    sandbox.fail("shop", Fault(cut_after=5))

    with pytest.raises(aiohttp.ClientPayloadError):
        await ask_cryptoprocessing(shop)

    assert sandbox.requests[-1].status == 200


async def test_raw_bytes_replace_the_response(sandbox, shop, ask_cryptoprocessing):
    """A fault can be a response of its own, which the log does not know."""
    sandbox.fail("shop", Fault(raw=b"HTTP/1.1 418 Teapot\r\nContent-Length: 2\r\n\r\nhi"))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, await response.text()) == (418, "hi")
    assert sandbox.requests[-1].status is None


@pytest.mark.parametrize(
    ("raw", "error"),
    [(b"", aiohttp.ServerDisconnectedError), (b"SSH-2.0-OpenSSH\r\n", aiohttp.ClientResponseError)],
    ids=["nothing", "not-http"],
)
async def test_raw_bytes_need_not_be_http(sandbox, shop, ask_cryptoprocessing, raw, error):
    """A fault can close the connection at once, or after bytes of another protocol."""
    sandbox.fail("shop", Fault(raw=raw))

    with pytest.raises(error):
        await ask_cryptoprocessing(shop)


@pytest.mark.parametrize(
    "fault",
    [Fault(raw=b"x"), Fault(raw=b"x", ending="reset"), Fault(raw=b"x", endless=b"x")],
    ids=["close", "reset", "endless"],
)
async def test_a_client_that_is_gone_gets_nothing(fault):
    """A connection that is lost before the response is due causes no error."""
    gone = types.SimpleNamespace(transport=None)

    response = await FaultInjector().inject(fault, gone, pytest.fail)

    assert not response.prepared


async def test_faults_are_injected_first_in_first_out(sandbox, shop, ask_cryptoprocessing):
    """Requests meet the faults in the order in which they were set, then the usual responses follow."""
    sandbox.fail("shop", Fault(status=503), times=2)
    sandbox.fail("shop", Fault(status=429))

    statuses = [(await ask_cryptoprocessing(shop)).status for _ in range(4)]

    assert statuses == [503, 503, 429, 200]


async def test_a_fault_is_for_its_account_alone(sandbox, shop, ask_cryptoprocessing):
    """One account fails while another works."""
    other = sandbox.add_cryptoprocessing("other")
    sandbox.fail("shop", Fault(status=503))

    statuses = [(await ask_cryptoprocessing(account)).status for account in (other, shop)]

    assert statuses == [200, 503]


async def test_the_faults_of_an_account_come_before_those_for_any_request(sandbox, shop, ask_cryptoprocessing):
    """A fault without an account waits until the account has no more of its own."""
    sandbox.fail(None, Fault(status=500))
    sandbox.fail("shop", Fault(status=503))

    statuses = [(await ask_cryptoprocessing(shop)).status for _ in range(3)]

    assert statuses == [503, 500, 200]


@pytest.mark.parametrize("path", ["/api/v2/ping", GETMANY, "/nowhere"])
async def test_a_fault_without_an_account_meets_any_request(sandbox, send, path):
    """It needs no account, no credentials and no known path."""
    sandbox.fail(None, Fault(status=429))

    response = await send("GET", sandbox.address + path)

    assert response.status == 429


async def test_cleared_faults_are_not_injected(sandbox, shop, ask_cryptoprocessing):
    """Faults that no request has met yet can be dropped."""
    sandbox.fail("shop", Fault(status=503))
    sandbox.fail(None, Fault(status=503))

    sandbox.clear_faults()

    assert (await ask_cryptoprocessing(shop)).status == 200


@pytest.mark.parametrize(("account", "times"), [("shpo", 1), (None, 0)], ids=["unknown-account", "never"])
def test_a_fault_that_no_request_would_meet_is_an_error(sandbox, account, times):
    """A typo in a label does not make a test pass."""
    with pytest.raises(ValueError, match=r"no account is labelled 'shpo'; there are none|at least once"):
        sandbox.fail(account, Fault(status=503), times=times)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_has_its_status_and_target(sandbox, shop, ask_cryptoprocessing, status):
    """Both are those that were given."""
    sandbox.fail("shop", Fault.redirect("https://other.example/", status=status))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, response.headers["Location"]) == (status, "https://other.example/")
