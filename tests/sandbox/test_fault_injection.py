"""Faults as requests and connections meet them."""

import asyncio
import types
from unittest import mock

import aiohttp
import pytest

from balancekit.sandbox import Fault
from balancekit.sandbox.fault_injection import FaultInjector
from balancekit.sandbox.responses import SandboxResponse

ENDINGS = {"cut": b"", "reset": ConnectionResetError, "stall": TimeoutError}
ASK = b"POST /api/v2/accounts/list HTTP/1.1\r\nHost: x\r\n\r\n"


async def read_on(reader):
    """Return what comes, and how it ends: with nothing more, with an error, or not at all."""
    come = b""
    try:
        async with asyncio.timeout(0.2):
            while data := await reader.read(65536):
                come += data
    except (ConnectionResetError, TimeoutError) as error:
        return come, type(error)
    return come, b""


async def ask_on(connect):
    """Send a request on a new connection."""
    reader, writer = await connect()
    writer.write(ASK)
    return reader


@pytest.fixture
def shop(sandbox):
    """Add an account at Cryptoprocessing whose usual answer is known."""
    return sandbox.add_cryptoprocessing("shop", {"BTC": "0.04"})


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, '{"error": "Bad content format", "code": "bad_content_format"}'),
        (403, '{"error": "Bad signature header", "code": "bad_header_signature"}'),
        (429, "error code: 1015"),
        (503, ""),
        (200, ""),
    ],
)
async def test_a_status_brings_its_documented_body(sandbox, shop, ask_cryptoprocessing, status, text):
    """A status alone is answered as the provider documents it, or with nothing."""
    sandbox.fail("shop", Fault(status=status))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, await response.text()) == (status, text)


@pytest.mark.parametrize(("status", "text"), [(401, '{"error": "invalid_signature"}'), (500, "")])
async def test_getmany_has_documented_bodies_too(sandbox, ask_getmany, status, text):
    """A failed signature has the flat shape, and what is not documented is empty."""
    till = sandbox.add_getmany("till")
    sandbox.fail("till", Fault(status=status))

    response = await ask_getmany(till)

    assert (response.status, await response.text()) == (status, text)


async def test_headers_come_with_the_status(sandbox, shop, ask_cryptoprocessing):
    """The headers of a fault are sent beside the usual ones."""
    sandbox.fail("shop", Fault(status=503, headers={"Retry-After": "1"}))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert "Date" in response.headers


@pytest.mark.parametrize("body", ["n\xf6", "n\xf6".encode()], ids=["text", "bytes"])
async def test_a_body_replaces_the_usual_one(sandbox, shop, ask_cryptoprocessing, body):
    """A body alone is a success that says something else, announced as JSON."""
    sandbox.fail("shop", Fault(body=body))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, await response.text()) == (200, "n\xf6")
    assert response.content_type == "application/json"


async def test_headers_replace_those_with_the_same_names(sandbox, shop, ask_cryptoprocessing):
    """A fault can say that its body is something else, and lie about the date."""
    headers = {"content-type": "text/html", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    sandbox.fail("shop", Fault(status=502, body="<h1>Bad gateway</h1>", headers=headers))

    response = await ask_cryptoprocessing(shop)

    assert response.headers.getall("Content-Type") == ["text/html"]
    assert response.headers.getall("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


async def test_a_status_does_not_look_at_the_credentials(sandbox, shop, ask_cryptoprocessing):
    """A provider that is down is down for everybody."""
    sandbox.fail("shop", Fault(status=503))

    response = await ask_cryptoprocessing(shop, X_Processing_Signature="00")

    assert response.status == 503


async def test_headers_alone_keep_the_usual_answer(sandbox, shop, ask_cryptoprocessing):
    """What a fault does not replace is as ever, the check of the credentials included."""
    sandbox.fail("shop", Fault(headers={"X-Extra": "1"}), times=2)

    right = await ask_cryptoprocessing(shop)
    wrong = await ask_cryptoprocessing(shop, X_Processing_Signature="00")

    assert (right.status, right.headers["X-Extra"]) == (200, "1")
    assert (wrong.status, wrong.headers["X-Extra"]) == (403, "1")


async def test_a_delay_comes_before_the_usual_answer(sandbox, shop, ask_cryptoprocessing):
    """A slow provider is right in the end."""
    sandbox.fail("shop", Fault(delay=0.001))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, sandbox.requests[-1].status) == (200, 200)


@pytest.mark.parametrize("fault", [Fault(delay=60), Fault(hang=True)], ids=["delay", "hang"])
async def test_silence_ends_when_the_client_goes_away(sandbox, shop, ask_cryptoprocessing, until, fault):
    """Nothing is sent, and nothing is left of the request once nobody waits for it."""
    sandbox.fail("shop", fault)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ask_cryptoprocessing(shop)
    await until(lambda: not sandbox._listener._tasks)

    assert sandbox.requests[-1].status is None


@pytest.mark.parametrize("fault", [Fault(delay=60), Fault(hang=True)], ids=["delay", "hang"])
async def test_silence_ends_when_the_sandbox_closes(sandbox, shop, ask_cryptoprocessing, until, fault):
    """Closing waits for nobody."""
    sandbox.fail("shop", fault)
    asking = asyncio.create_task(ask_cryptoprocessing(shop))
    await until(lambda: sandbox.requests)

    async with asyncio.timeout(1):
        await sandbox.aclose()

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asking


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
    """The head announces more than what comes."""
    sandbox.fail(None, Fault(cut_after=5, **parts))

    head, body = await exchange(b"POST /api/v2/accounts/list HTTP/1.1\r\nHost: x\r\n\r\n")

    assert body == sent
    assert head.startswith(f"HTTP/1.1 {parts.get('status', 403)} ".encode())
    assert f"\r\nContent-Length: {announced}".encode() in head


async def test_a_cut_is_an_error_of_the_client(sandbox, shop, ask_cryptoprocessing):
    """A client sees that there should have been more."""
    sandbox.fail("shop", Fault(cut_after=5))

    with pytest.raises(aiohttp.ClientPayloadError):
        await ask_cryptoprocessing(shop)

    assert sandbox.requests[-1].status == 200


async def test_raw_bytes_replace_the_response(sandbox, shop, ask_cryptoprocessing):
    """A fault can speak HTTP by itself."""
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
    """A fault can end the connection without a word, or with the wrong one."""
    sandbox.fail("shop", Fault(raw=raw))

    with pytest.raises(error):
        await ask_cryptoprocessing(shop)


@pytest.mark.parametrize(
    "fault",
    [Fault(raw=b"x"), Fault(raw=b"x", ending="reset"), Fault(raw=b"x", endless=b"x")],
    ids=["close", "reset", "endless"],
)
async def test_a_client_that_is_gone_gets_nothing(fault):
    """A connection lost before its turn is no error."""
    gone = types.SimpleNamespace(transport=None)

    response = await FaultInjector().inject(fault, gone, pytest.fail)

    assert not response.prepared


async def test_faults_are_played_first_in_first_out(sandbox, shop, ask_cryptoprocessing):
    """Faults come in the order in which they were set, then all is well again."""
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


async def test_a_fault_for_anybody_waits_behind_the_accounts_own(sandbox, shop, ask_cryptoprocessing):
    """An account's own faults come first."""
    sandbox.fail(None, Fault(status=500))
    sandbox.fail("shop", Fault(status=503))

    statuses = [(await ask_cryptoprocessing(shop)).status for _ in range(3)]

    assert statuses == [503, 500, 200]


@pytest.mark.parametrize("path", ["/api/v2/ping", "/account.balance.getMany", "/nowhere"])
async def test_a_fault_for_anybody_meets_any_request(sandbox, send, path):
    """It needs no account, no credentials and no known path."""
    sandbox.fail(None, Fault(status=429))

    response = await send("GET", sandbox.address + path)

    assert response.status == 429


async def test_cleared_faults_are_not_played(sandbox, shop, ask_cryptoprocessing):
    """What was set and not played can be dropped."""
    sandbox.fail("shop", Fault(status=503))
    sandbox.fail(None, Fault(status=503))

    sandbox.clear_faults()

    assert (await ask_cryptoprocessing(shop)).status == 200


@pytest.mark.parametrize(("account", "times"), [("shpo", 1), (None, 0)], ids=["unknown-account", "never"])
def test_a_fault_that_would_never_be_played_is_refused(sandbox, account, times):
    """A typo in a label must not make a test pass."""
    with pytest.raises(ValueError, match=r"no account is labelled 'shpo'|at least once"):
        sandbox.fail(account, Fault(status=503), times=times)


@pytest.mark.parametrize("part", ["start", "head", "body"])
@pytest.mark.parametrize("name", ENDINGS)
async def test_an_answer_ends_in_the_part_that_is_said(sandbox, connect, name, part):
    """What comes before the end is half of a head, or the head with half of its body, or nothing."""
    sandbox.fail(None, getattr(Fault, name)(part))
    reader, writer = await connect()

    writer.write(ASK)
    come, last = await read_on(reader)

    head, ended, body = come.partition(b"\r\n\r\n")
    assert last == ENDINGS[name]
    assert (bool(head), bool(ended), bool(body)) == (part != "start", part == "body", part == "body")
    if part == "body":
        assert len(body) == int(head.rpartition(b"Content-Length: ")[2]) // 2


async def test_the_end_of_an_answer_that_is_not_sent_needs_no_answer(sandbox, exchange):
    """The log says that nothing was answered."""
    sandbox.fail(None, Fault.cut("start"))

    await exchange(ASK)

    assert sandbox.requests[-1].status is None


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_connection_can_end_after_a_whole_answer(sandbox, connect, ending):
    """The head does not say so, so that a client keeps a connection that is dead."""
    sandbox.fail(None, Fault(ending=ending))
    reader, writer = await connect()

    writer.write(ASK)
    come, last = await read_on(reader)

    assert come.endswith(b'"code": "required_header_key"}')
    assert b"Connection" not in come
    assert last == (b"" if ending == "close" else ConnectionResetError)


async def test_a_connection_can_be_reset_by_the_next_request(sandbox, connect):
    """The second request on it meets a reset and is not in the log; another connection works."""
    sandbox.fail(None, Fault(ending="reset-next"))
    reader, writer = await connect()
    writer.write(ASK)
    first = await reader.readuntil(b"}")

    writer.write(ASK)
    come, last = await read_on(reader)

    assert first.startswith(b"HTTP/1.1 403 ")
    assert (come, last) == (b"", ConnectionResetError)
    assert len(sandbox.requests) == 1
    assert await (await ask_on(connect)).readline() == b"HTTP/1.1 403 Forbidden\r\n"


@pytest.mark.parametrize(("error", "announced"), [(7, 17), (-7, 3), (-70, 0)])
async def test_the_length_of_a_body_can_be_wrong(sandbox, exchange, error, announced):
    """The head announces more or less than what comes."""
    sandbox.fail(None, Fault(body="0123456789", length_error=error))

    head, body = await exchange(ASK)

    assert body == b"0123456789"
    assert f"\r\nContent-Length: {announced}".encode() in head


@pytest.mark.parametrize("part", ["head", "body"])
async def test_an_answer_can_drip(part):
    """From that part on, every byte is sent by itself."""
    sent = []
    transport = types.SimpleNamespace(write=sent.append, close=lambda: sent.append(b"end"))
    http = types.SimpleNamespace(transport=transport, writer=mock.AsyncMock())

    await FaultInjector().inject(
        Fault(drip=part, interval=0.000_001), http, lambda: SandboxResponse.of_text(200, "0123456789")
    )

    head = b"".join(sent).index(b"0123")
    assert sent[-11:] == [b"%d" % digit for digit in range(10)] + [b"end"]
    assert [len(data) for data in sent[:-11]] == ([1] * head if part == "head" else [head])


async def test_a_drip_comes_whole_in_the_end(sandbox, exchange):
    """It is slow, not wrong."""
    sandbox.fail(None, Fault(body="0123456789", drip="head", interval=0.000_001))

    head, body = await exchange(ASK)

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"0123456789"


@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
async def test_a_flood_never_ends(sandbox, connect, until, chunked):
    """It goes on for as long as the client listens, and no longer."""
    sandbox.fail(None, Fault.flood(chunked=chunked))
    reader, writer = await connect()

    writer.write(ASK)
    head = await reader.readuntil(b"\r\n\r\n")
    flood = await reader.readexactly(4 * 2**20)
    writer.transport.abort()
    await until(lambda: not sandbox._listener._tasks)

    assert (b"chunked" in head) is chunked
    assert flood.count(b"10000\r\n") == (64 if chunked else 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_points_elsewhere(sandbox, shop, ask_cryptoprocessing, status):
    """Status and target are those that were given."""
    sandbox.fail("shop", Fault.redirect("https://other.example/", status=status))

    response = await ask_cryptoprocessing(shop)

    assert (response.status, response.headers["Location"]) == (status, "https://other.example/")
