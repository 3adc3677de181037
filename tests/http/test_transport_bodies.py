"""Reading bodies of responses within their limits, whatever their encoding and size."""

import asyncio
import contextlib
import gzip
import tracemalloc

import pytest

from balancekit import MalformedResponseError, Request
from balancekit.http.bodies import MAX_RESPONSE_BODY, BodyTooLargeError
from balancekit.http.transport import send
from tests.http.conftest import failure_of
from tests.support.loopback_origin import OK, raw_response


async def test_a_compressed_body_is_read(session, origin):
    """A proxy may compress a response."""
    origin.response = raw_response(200, gzip.compress(b'{"data": []}'), "Content-Encoding: gzip")

    response = await send(session, Request("POST", origin.url))

    assert response.body == b'{"data": []}'


async def test_a_body_of_the_greatest_size_is_read(session, origin):
    """The limit itself is within the limit."""
    origin.response = raw_response(200, b" " * MAX_RESPONSE_BODY)

    response = await send(session, Request("POST", origin.url))

    assert len(response.body) == MAX_RESPONSE_BODY


@pytest.mark.parametrize("encode", [bytes, gzip.compress], ids=["plain", "compressed"])
async def test_a_body_over_the_limit_is_refused(session, origin, encode):
    """The limit counts decompressed bytes, so that a small response cannot fill the memory."""
    encoding = "X-Plain: yes" if encode is bytes else "Content-Encoding: gzip"
    origin.response = raw_response(200, encode(b" " * (MAX_RESPONSE_BODY + 1)), encoding)

    with pytest.raises(BodyTooLargeError, match="larger than 10485760 bytes"):
        await send(session, Request("POST", origin.url))


async def test_a_body_of_too_many_chunks_is_refused(session, origin):
    """Each takes the event loop as long as hundreds of bytes, however few are in it."""
    origin.response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200_000

    with pytest.raises(BodyTooLargeError, match="more than 100000 chunks"):
        await send(session, Request("POST", origin.url))


async def test_an_error_response_of_too_many_chunks_keeps_its_status(session, origin):
    """What is read of its body ends long before."""
    origin.response = b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200_000

    assert (await send(session, Request("POST", origin.url))).status == 503


async def test_a_body_in_many_chunks_is_read(session, origin):
    """Servers that write JSON by tokens send each in a chunk."""
    origin.response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\n1,\r\n" * 90_000 + b"0\r\n\r\n"

    assert (await send(session, Request("POST", origin.url))).body == b"1," * 90_000


async def test_the_event_loop_goes_on_while_a_body_in_many_chunks_is_read(session, origin):
    """All of them may have arrived, and to read each takes microseconds: others wait for a few thousand at most."""
    origin.response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\n1,\r\n" * 90_000 + b"0\r\n\r\n"
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    await send(session, Request("POST", origin.url))
    turning.cancel()

    assert turns > 90_000 / 4_000


async def test_informational_responses_come_before_the_response(session, origin):
    """A few are read over, as HTTP wants it."""
    origin.response = b"HTTP/1.1 102 Processing\r\n\r\n" * 20 + OK

    assert (await send(session, Request("POST", origin.url))).body == b"{}"


async def test_informational_responses_for_ever_are_refused(session, origin):
    """They would keep the event loop busy until the attempt's timeout; another attempt would read the same."""
    origin.response = b"HTTP/1.1 102 Processing\r\n\r\n" * 21 + OK

    failure = await failure_of(session, origin.url)

    assert type(failure) is MalformedResponseError
    assert failure.message == "more than 20 informational responses came before the response"
    assert (failure.status, failure.retryable) == (None, False)


@pytest.mark.parametrize("status", [200, 503])
async def test_a_decompression_bomb_takes_little_memory(session, origin, status):
    """64 KiB that would be 64 MiB are never inflated beyond the limit; aiohttp before 3.14.1 inflates all at once."""
    bomb = gzip.compress(bytes(64 * 2**20))
    origin.response = raw_response(status, bomb, "Content-Encoding: gzip")

    tracemalloc.start()
    try:
        with contextlib.suppress(BodyTooLargeError):
            await send(session, Request("POST", origin.url))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(bomb) < 2**16
    assert peak < 2 * MAX_RESPONSE_BODY


@pytest.mark.parametrize("encode", [bytes, gzip.compress], ids=["plain", "compressed"])
async def test_a_long_body_of_an_error_response_is_cut(session, origin, encode):
    """No message shows more than its start, and the status alone makes the error."""
    encoding = "X-Plain: yes" if encode is bytes else "Content-Encoding: gzip"
    origin.response = raw_response(503, encode(b"down " * 4 * 2**20), encoding)

    response = await send(session, Request("POST", origin.url))

    assert response.status == 503
    assert response.body.startswith(b"down down ")
    assert len(response.body) <= 2**16


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 403 Forbidden\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["truncated", "not gzip"],
)
async def test_an_error_response_whose_body_is_broken_keeps_its_status(session, origin, broken):
    """That the credentials are refused is known before the body, and must not look like a lost connection."""
    origin.response = broken

    response = await send(session, Request("POST", origin.url))

    assert response.status == 403
