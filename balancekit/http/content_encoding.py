"""Undoing the `Content-Encoding` of a body: pure. Source: RFC 9110, 8.4.1."""

import zlib
from collections.abc import Iterator
from typing import Final

ACCEPTED_ENCODINGS: Final = "gzip, deflate"
"""The encodings that requests ask for."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_MAX_MEMBERS: Final = 100
"""How many parts a gzip may have: to begin one takes the time of hundreds of bytes, however small it is."""

_STEP: Final = 2**16


class EncodingError(ValueError):
    """A body is not what the head of its response says it is."""


class UnknownEncodingError(EncodingError):
    """A body is encoded in a way that was not asked for; the message names it."""


def decode_body(body: bytes, encoding: str) -> Iterator[bytes]:
    """Yield a body decoded, in pieces of at most 64 KiB: how long it becomes is not known before.

    A body that ends too early is decoded as far as it goes. A token that is not the name of an encoding is ignored.
    Raises UnknownEncodingError for brotli and zstd, and EncodingError for a body that is not what it should be.
    """
    name = encoding.strip().lower()
    if name in {"br", "zstd"}:
        raise UnknownEncodingError(f"the response is encoded in another way than asked for: {name}")
    if name not in {"gzip", "deflate"}:
        yield body
        return
    # Some servers leave out the head that RFC 9110 wants around a deflate stream.
    has_head = bool(body) and body[0] & 0x0F == zlib.DEFLATED
    window = _GZIP if name == "gzip" else zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS
    try:
        yield from _inflate(body, window)
        return
    except zlib.error:
        pass
    # Raised out here, since the frames of the error above hold the body.
    raise EncodingError(f"the body is no {name}, as its head says")


def _inflate(body: bytes, window: int) -> Iterator[bytes]:
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(window)
        piece = b""
        # Output may be left when all input has been taken.
        while (body or len(piece) == _STEP) and not inflater.eof:
            piece = inflater.decompress(body, _STEP)
            body = inflater.unconsumed_tail
            yield piece
        body = inflater.unused_data
        if not body:
            return
    raise zlib.error
