"""Reading the body of a response, as aiohttp receives it: within bounds, decoded, and whole."""

import asyncio
from codecs import BOM_UTF8
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, METH_HEAD, TRANSFER_ENCODING

from balancekit.http.content_encoding import EncodingError, decode_body
from balancekit.http.messages import MAX_ERROR_BODY
from balancekit.money.exact_json import ShapeError, decode_json

MAX_RESPONSE_BODY: Final = 10 * 2**20
"""How many bytes the body of a 200 may have, decompressed; of any other, `MAX_ERROR_BODY` are read."""

_MAX_CHUNKS: Final = 100_000
"""How many chunks a body may have: to read one takes the time of hundreds of bytes, however small it is."""

_CHUNKS_AT_ONCE: Final = 2_000
"""After how many of them the event loop goes on with something else: all may have arrived."""

_PIECES_AT_ONCE: Final = 8
"""The same for the pieces of a body that is decoded."""

_ERROR_BODY_TIMEOUT: Final = 1.0
"""How many seconds the body of an error response may take once its head has arrived."""

_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class BodyTooLargeError(ValueError):
    """The body of a response is larger than `MAX_RESPONSE_BODY`, or has more chunks than any should."""


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read the body of a success; raises BodyTooLargeError, EncodingError or ClientPayloadError."""
    content = response.content
    body: bytes | bytearray = await content.readany()
    # Most bodies have arrived whole by now, and need no copy.
    if not content.at_eof():
        body = bytearray(body)
        await _read_up_to(MAX_RESPONSE_BODY, body, content)
    if CONTENT_ENCODING in response.headers and len(body) <= MAX_RESPONSE_BODY:
        encoded, body = bytes(body), bytearray()
        await _decode_up_to(MAX_RESPONSE_BODY, body, encoded, response)
    if len(body) > MAX_RESPONSE_BODY:
        raise BodyTooLargeError(f"the body is larger than {MAX_RESPONSE_BODY} bytes")
    whole = bytes(body)
    if CONTENT_LENGTH not in response.headers:
        _check_is_whole(whole, response)
    return whole


async def read_error_body(response: aiohttp.ClientResponse) -> bytes:
    """Read the start of the body of any other response: what has come of it within a second, and can be decoded.

    The status alone makes the error, even if the body is cut, cannot be decoded or never arrives.
    """
    body = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError, BodyTooLargeError):
        try:
            async with asyncio.timeout(_ERROR_BODY_TIMEOUT):
                await _read_up_to(MAX_ERROR_BODY, body, response.content)
        except asyncio.CancelledError:
            # A 429 is heeded, as if all of it had come a moment before its caller left.
            if response.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
    decoded = bytearray()
    # It may have been cut here.
    with suppress(EncodingError):
        await _decode_up_to(MAX_ERROR_BODY, decoded, bytes(body), response)
    return bytes(decoded[:MAX_ERROR_BODY])


def _check_is_whole(body: bytes, response: aiohttp.ClientResponse) -> None:
    """Raise ClientPayloadError for a body that the end of the connection alone ends, unless it shows that it is whole.

    One JSON document or a page does; of anything else, such as lines, a part may pass for all of it.
    Source: RFC 9112, 8.
    """
    is_chunked = "chunked" in response.headers.get(TRANSFER_ENCODING, "").lower()
    has_no_body = response.status in _WITHOUT_BODY or response.method == METH_HEAD
    # Without a version it is from no connection: tools for tests make such responses.
    if is_chunked or has_no_body or response.version is None:
        return
    # A byte order mark is refused where the body is read, and named there.
    text = body.removeprefix(BOM_UTF8).lstrip()
    if text[:1] == b"<":
        return
    if text[:1] in {b"{", b"["}:
        with suppress(ShapeError):
            decode_json(text)
            return
    raise aiohttp.ClientPayloadError("nothing shows whether the body is complete: it came without a length or chunks")


async def _decode_up_to(limit: int, decoded: bytearray, body: bytes, response: aiohttp.ClientResponse) -> None:
    """Append a body without its encoding, to its end, or until it is longer than the limit; raises EncodingError."""
    for number, piece in enumerate(decode_body(body, ",".join(response.headers.getall(CONTENT_ENCODING, ())))):
        decoded += piece
        if len(decoded) > limit:
            return
        if number % _PIECES_AT_ONCE == _PIECES_AT_ONCE - 1:
            await asyncio.sleep(0)


async def _read_up_to(limit: int, body: bytearray, content: aiohttp.StreamReader) -> None:
    """Append to the body until its end, or until it is longer than the limit; BodyTooLargeError for too many chunks."""
    chunks = 0
    while len(body) <= limit:
        data, ends_chunk = await content.readchunk()
        if not (data or ends_chunk):
            return
        body += data
        chunks += ends_chunk
        if chunks % _CHUNKS_AT_ONCE == _CHUNKS_AT_ONCE - 1:
            await asyncio.sleep(0)
        if chunks > _MAX_CHUNKS:
            raise BodyTooLargeError(f"the body has more than {_MAX_CHUNKS} chunks")
