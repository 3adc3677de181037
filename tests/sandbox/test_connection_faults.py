"""Faults of the bare connection: responses that end, stall, drip or never end in any part."""

import asyncio
import types
from unittest import mock

import pytest

from balancekit.sandbox import Fault
from balancekit.sandbox.fault_injection import FaultInjector
from balancekit.sandbox.responses import SandboxResponse

ASK = b"POST /api/v2/accounts/list HTTP/1.1\r\nHost: x\r\n\r\n"


async def read_to_the_end(reader):
    """Return what arrives on a connection, and whether it ends with a reset."""
    data = b""
    try:
        while chunk := await reader.read(65536):
            data += chunk
    except ConnectionResetError:
        return data, True
    return data, False


def check_half(data, part):
    """Check that a response was sent to the middle of its head or of its body, or not at all."""
    head, blank_line, body = data.partition(b"\r\n\r\n")
    assert (bool(head), bool(blank_line)) == (part != "start", part == "body")
    if part == "body":
        assert len(body) == int(head.rpartition(b"Content-Length: ")[2]) // 2


@pytest.mark.parametrize("part", ["start", "head", "body"])
@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_response_can_end_in_each_part(sandbox, connect, ending, part):
    """Before the end comes nothing, or half of the head, or the head with half of the body."""
    sandbox.fail(None, getattr(Fault, ending)(part))
    reader, writer = await connect()

    writer.write(ASK)
    data, was_reset = await read_to_the_end(reader)

    assert was_reset is (ending == "reset")
    check_half(data, part)


@pytest.mark.parametrize("part", ["start", "head", "body"])
async def test_a_response_can_stall_in_each_part(sandbox, connect, until, part):
    """Nothing follows, and the connection stays open."""
    sandbox.fail(None, Fault.stall(part))
    reader, writer = await connect()

    writer.write(ASK)
    await until(lambda: sandbox.requests)
    data = b"" if part == "start" else await reader.read(65536)

    check_half(data, part)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read()


async def test_a_response_that_is_not_sent_has_no_status(sandbox, exchange):
    """The log has a request without a status."""
    sandbox.fail(None, Fault.cut("start"))

    await exchange(ASK)

    assert sandbox.requests[-1].status is None


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_connection_can_end_after_a_complete_response(sandbox, connect, ending):
    """The head does not announce it, so that a client keeps a connection that is dead."""
    sandbox.fail(None, Fault(ending=ending))
    reader, writer = await connect()

    writer.write(ASK)
    data, was_reset = await read_to_the_end(reader)

    assert data.endswith(b'"code": "required_header_key"}')
    assert b"Connection" not in data
    assert was_reset is (ending == "reset")


async def test_a_connection_can_be_reset_by_the_next_request(sandbox, connect, exchange):
    """The second request on it meets a reset and is not in the log; another connection works."""
    sandbox.fail(None, Fault(ending="reset-next"))
    reader, writer = await connect()
    writer.write(ASK)
    first = await reader.readuntil(b"}")

    writer.write(ASK)

    assert first.startswith(b"HTTP/1.1 403 ")
    assert await read_to_the_end(reader) == (b"", True)
    assert len(sandbox.requests) == 1
    head, _ = await exchange(ASK.replace(b"Host", b"Connection: close\r\nHost"))
    assert head.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(("error", "announced"), [(7, 17), (-7, 3), (-70, 0)])
async def test_the_length_of_a_body_can_be_wrong(sandbox, exchange, error, announced):
    """The head announces more or less than is sent."""
    sandbox.fail(None, Fault(body="0123456789", length_error=error))

    head, body = await exchange(ASK)

    assert body == b"0123456789"
    assert f"\r\nContent-Length: {announced}".encode() in head


@pytest.mark.parametrize("part", ["head", "body"])
async def test_a_response_can_drip(part):
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


async def test_a_dripping_response_is_complete_in_the_end(sandbox, exchange):
    """It is slow, not wrong."""
    sandbox.fail(None, Fault(body="0123456789", drip="head", interval=0.000_001))

    head, body = await exchange(ASK)

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"0123456789"


@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
async def test_a_flood_never_ends(sandbox, connect, until, chunked):
    """It continues for as long as the client reads, and leaves no task after that."""
    before = asyncio.all_tasks()
    sandbox.fail(None, Fault.flood(chunked=chunked))
    reader, writer = await connect()

    writer.write(ASK)
    head = await reader.readuntil(b"\r\n\r\n")
    flood = await reader.readexactly(4 * 2**20)
    writer.transport.abort()
    await until(lambda: asyncio.all_tasks() == before)

    assert (b"chunked" in head) is chunked
    assert flood.count(b"10000\r\n") == (64 if chunked else 0)
