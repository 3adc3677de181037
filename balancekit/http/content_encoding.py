"""Undoing the `Content-Encoding` of a body: pure. Source: RFC 9110, 8.4.1."""

import zlib
from collections.abc import Iterator
from typing import Final

ACCEPTED_ENCODINGS: Final = "gzip, deflate"
"""The encodings that requests ask for."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_MAX_MEMBERS: Final = 100
"""How many members a gzip may have: starting one takes as long as decoding hundreds of bytes."""

_PIECE: Final = 2**16


class EncodingError(ValueError):
    """A body is not in the encoding that its Content-Encoding names."""


class UnsupportedEncodingError(EncodingError):
    """A body is encoded in a way that was not asked for; the message names it."""


def decode_body(body: bytes, encoding: str) -> Iterator[bytes]:
    """Yield a body decoded, in pieces of at most 64 KiB: how long it becomes is not known before.

    A body that ends too early is decoded as far as it goes. With any other token the body is returned as it is: some
    servers write there what belongs elsewhere. Raises UnsupportedEncodingError for brotli and zstd, and EncodingError
    for a body that is not what it should be.
    """
    name = encoding.strip().lower()
    if name in {"br", "zstd"}:
        raise UnsupportedEncodingError(f"the response is encoded in another way than asked for: {name}")
    if name not in {"gzip", "x-gzip", "deflate"}:
        yield body
        return
    # Some servers leave out the zlib header that RFC 9110 wants before a deflate stream.
    has_header = bool(body) and body[0] & 0x0F == zlib.DEFLATED
    window = (zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS) if name == "deflate" else _GZIP
    try:
        yield from _inflate(body, window)
        return
    except zlib.error:
        pass
    # Raised out here, since the frames of the error above hold the body.
    raise EncodingError(f"the body is not {name}, although its Content-Encoding says so")


def _inflate(body: bytes, window: int) -> Iterator[bytes]:
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(window)
        piece = b""
        # Output may be left when all input has been taken.
        while (body or len(piece) == _PIECE) and not inflater.eof:
            piece = inflater.decompress(body, _PIECE)
            body = inflater.unconsumed_tail
            yield piece
        body = inflater.unused_data
        if not body:
            return
    raise zlib.error
