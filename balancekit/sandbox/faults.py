"""Faults: what can go wrong with a response."""

import math
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias, get_args

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

Part: TypeAlias = Literal["start", "head", "body"]
"""Where a response stops: before its first byte, in the middle of its head, or in the middle of its body."""

Ending: TypeAlias = Literal["close", "reset", "stall", "reset-next"]
"""How a connection ends."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING: Final = ("Content-Length", "Transfer-Encoding")
_STATUSES_WITHOUT_BODY: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_REPR_BYTES: Final = 60
_MEBIBYTE: Final = 2**20
_CHUNK_SIZE: Final = 64 * 2**10


def _as_headers(headers: Mapping[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(headers))


def _as_bytes(body: bytes | str | None) -> bytes | None:
    return body.encode() if isinstance(body, str) else body


def _short_repr(data: bytes | None) -> str:
    return repr(data) if data is None or len(data) <= _REPR_BYTES else f"<{len(data)} bytes: {data[:_REPR_BYTES]!r}…>"


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong with one request; raises ValueError for parts that contradict each other.

    - `status`, `body` (text is sent as UTF-8): sent instead of the usual response, whatever the credentials are. A
      status without a body comes with the error body that the provider documents for it, else with none; a body without
      a status comes with 200. The content type is JSON unless `headers` has another.
    - `headers`: added to the response; they replace those of the same names.
    - `cut_after`: the head announces the whole body, then the connection ends after that many bytes of it; a body that
      is not longer than that is announced one byte longer, so that it is always cut.
    - `stop`: the same, by the part of the response: "start", "head" or "body"; see `cut`, `reset` and `stall`.
    - `length_error`: how many bytes more, or fewer if it is negative, the head announces than the body has.
    - `drip`: from the "head" or the "body" on, the response is sent byte by byte, `interval` seconds apart.
    - `delay`: seconds before anything is sent; with nothing else, the usual response follows.
    - `raw`: these bytes are sent instead of a response, and the connection ends.
    - `endless`: these bytes follow `raw` again and again, until the client goes away.
    - `ending`: how the connection ends after the last byte, also after a complete response: "close" (FIN; the default
      wherever a part above ends the connection), "reset" (RST), "stall" (it stays open and silent), or "reset-next":
      it is kept alive after a complete response, and reset by the next request on it.
    - `hang`: nothing is ever sent, until the client goes away or the sandbox closes.
    """

    status: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], converter=_as_headers)
    body: bytes | None = attrs.field(default=None, converter=_as_bytes, repr=_short_repr)
    delay: float = 0.0
    cut_after: int | None = None
    stop: Part | None = None
    length_error: int = 0
    drip: Literal["head", "body"] | None = None
    interval: float = 0.001
    raw: bytes | None = attrs.field(default=None, repr=_short_repr)
    endless: bytes | None = attrs.field(default=None, repr=_short_repr)
    ending: Ending | None = None
    hang: bool = False

    @classmethod
    def cut(cls, part: Part) -> "Fault":
        """Close the connection (FIN) before the response or in the middle of its head or body."""
        return cls(stop=part, ending="close")

    @classmethod
    def reset(cls, part: Part) -> "Fault":
        """Reset the connection (RST) before the response or in the middle of its head or body."""
        return cls(stop=part, ending="reset")

    @classmethod
    def stall(cls, part: Part) -> "Fault":
        """Send nothing more, from before the response or the middle of its head or body; the connection stays open."""
        return cls(stop=part, ending="stall")

    @classmethod
    def redirect(cls, to: str, *, status: int = 302) -> "Fault":
        """Redirect to another URL; ValueError for a status that is not a redirect."""
        if status not in _REDIRECTS:
            raise ValueError(f"status must be one of {_REDIRECTS}, not {status}")
        return cls(status=status, headers={"Location": to})

    @classmethod
    def bomb(cls, *, mebibytes: int, encoding: Literal["gzip", "deflate"] = "gzip") -> "Fault":
        """Send blanks that decompress to so many MiB, from about a thousandth of that."""
        if mebibytes < 1:
            raise ValueError(f"mebibytes must be 1 or more, not {mebibytes}")
        if encoding not in {"gzip", "deflate"}:
            raise ValueError(f"encoding must be gzip or deflate, not {encoding!r}")
        return cls(body=_bomb(mebibytes, encoding), headers={"Content-Encoding": encoding})

    @classmethod
    def flood(cls, *, chunked: bool = False) -> "Fault":
        """Send blanks without end, chunked or not."""
        framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + framing + b"\r\n"
        blanks = b" " * _CHUNK_SIZE
        return cls(raw=head, endless=b"%x\r\n%b\r\n" % (_CHUNK_SIZE, blanks) if chunked else blanks)

    def __attrs_post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            raise ValueError(problem)

    def _problems(self) -> Iterator[str]:
        yield from self._wrong_values()
        changed = self.replaces_response or bool(self.headers)
        framed = self.cuts or bool(self.length_error)
        if self.raw is not None and (changed or framed or self.hang):
            yield "raw bytes go out in the place of everything else"
        if self.endless is not None and (self.raw is None or self.ending is not None):
            yield "endless bytes follow raw ones, and no end follows them"
        if self.hang and (changed or framed or self.delay or self.drip or self.ending):
            yield "a fault that hangs sends nothing"
        if (self.cut_after is not None) + (self.stop is not None) + bool(self.length_error) > 1:
            yield "one of cut_after, stop and length_error says what is missing"
        if self.ending == "reset-next" and (framed or self.raw is not None or self.drip):
            yield "only a whole response leaves a connection in the place where the next request may come"
        if self.status in _STATUSES_WITHOUT_BODY and (self.body or (framed and self.stop not in {"start", "head"})):
            yield f"a response with status {self.status} has no body"
        if not (changed or framed or self.delay or self.raw is not None or self.drip or self.ending or self.hang):
            yield "a fault needs something that goes wrong, such as status=503, delay=5 or hang=True"

    def _wrong_values(self) -> Iterator[str]:
        if self.status is not None and self.status not in range(200, 600):
            yield f"status must be from 200 to 599, not {self.status}"
        if not (math.isfinite(self.delay) and self.delay >= 0):
            yield f"delay must be a number of seconds, not {self.delay}"
        if not (math.isfinite(self.interval) and self.interval > 0):
            yield f"interval must be seconds above zero, not {self.interval}"
        if self.cut_after is not None and self.cut_after < 0:
            yield f"cut_after must be a number of bytes, not {self.cut_after}"
        for name, value, choices in (
            ("stop", self.stop, get_args(Part)),
            ("drip", self.drip, ("head", "body")),
            ("ending", self.ending, get_args(Ending)),
        ):
            if value not in (None, *choices):
                yield f"{name} must be one of {', '.join(choices)}, not {value!r}"
        if self.endless == b"":
            yield "endless must be a byte or more"
        for header, text in self.headers.items():
            if not _HEADER_NAME.fullmatch(header) or not text.isprintable():
                yield f"not a header: {header!r}"
        if any(name in self.headers for name in _FRAMING):
            yield "the framing of a body is not a header of a fault: use cut_after, length_error or raw"

    @property
    def replaces_response(self) -> bool:
        """Whether it replaces the usual response, so that the credentials are not checked."""
        return self.status is not None or self.body is not None

    @property
    def cuts(self) -> bool:
        """Whether a part of the response is missing."""
        return self.cut_after is not None or self.stop is not None


def _bomb(mebibytes: int, encoding: str) -> bytes:
    """Compress so many MiB of blanks, with one MiB in memory."""
    blanks = b" " * _MEBIBYTE
    compressor = zlib.compressobj(zlib.Z_BEST_COMPRESSION, wbits=-zlib.MAX_WBITS)
    # A fully flushed block refers to nothing before it, so it can be repeated instead of compressed again.
    block = compressor.compress(blanks) + compressor.flush(zlib.Z_FULL_FLUSH)
    deflated = block * mebibytes + compressor.flush()
    checksum, start = (zlib.crc32, 0) if encoding == "gzip" else (zlib.adler32, 1)
    for _ in range(mebibytes):
        start = checksum(blanks, start)
    if encoding == "gzip":
        # RFC 1952: no name, no time, and the size modulo 2^32.
        size = mebibytes * _MEBIBYTE % 2**32
        return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + deflated + struct.pack("<II", start, size)
    # RFC 1950, which is what HTTP calls deflate.
    return b"\x78\xda" + deflated + struct.pack(">I", start)
