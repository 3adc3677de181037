"""Undoing the `Content-Encoding` of a body: pure. Source: RFC 9110, 8.4.1."""

import zlib
from collections.abc import Iterator
from typing import Final

ACCEPTED_ENCODINGS: Final = "gzip, deflate"
"""The encodings that requests ask for."""

_MAX_HEADER: Final = 1_000
"""How many characters of the header are read: any more than a few names one encoding after another."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_MAX_MEMBERS: Final = 1_000
"""How many members a gzip may have: starting one takes as long as decoding hundreds of bytes."""

_SLICE: Final = 2**14
"""How many bytes are decoded at a time: a megabyte of blocks without content takes longer than 50 ms."""

_PIECE: Final = 2**16
"""How many bytes a piece may have once it is decoded."""


class EncodingError(ValueError):
    """A body is not in the encoding that its Content-Encoding names."""


class UnsupportedEncodingError(EncodingError):
    """A body is encoded in a way that was not asked for; the message names it."""


def decode_body(body: bytes, encodings: str) -> Iterator[bytes]:
    """Yield a body decoded, in pieces of at most 64 KiB, each within 2 ms; how long it becomes is not known before.

    `encodings` are the values of Content-Encoding, with commas between them. With a token that names no encoding the
    body is returned as it is: some servers write there what belongs elsewhere. Raises UnsupportedEncodingError for
    brotli and zstd, and EncodingError, at the end, for a body that is cut or not what it should be.
    """
    tokens = encodings[:_MAX_HEADER].lower().split(",")
    names = [name for token in tokens if (name := token.strip()) not in {"", "identity"}]
    unsupported = [name for name in names if name in {"br", "zstd"}]
    if unsupported:
        raise UnsupportedEncodingError(f"the response is encoded in another way than asked for: {unsupported[0]}")
    if names not in (["gzip"], ["x-gzip"], ["deflate"]) or not body:
        yield body
        return
    # Some servers leave out the zlib header that RFC 9110 wants before a deflate stream.
    has_header = body[0] & 0x0F == zlib.DEFLATED
    window = (zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS) if names == ["deflate"] else _GZIP
    try:
        yield from _inflate(body, window)
        return
    except zlib.error:
        pass
    # Raised out here, since the frames of the error above hold the body.
    raise EncodingError(f"the body is not {names[0]}, although its Content-Encoding says so")


def _inflate(body: bytes, window: int) -> Iterator[bytes]:
    at = 0
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(window)
        piece = left = b""
        while not inflater.eof:
            # Output may be left when all input has been taken.
            if not left and len(piece) < _PIECE:
                if at >= len(body):
                    raise EncodingError("the body is cut")
                left = body[at : at + _SLICE]
                at += len(left)
            piece = inflater.decompress(left, _PIECE)
            left = inflater.unconsumed_tail
            yield piece
        at -= len(inflater.unused_data)
        if at == len(body):
            return
    raise EncodingError(f"the body has more than {_MAX_MEMBERS} members of gzip")
