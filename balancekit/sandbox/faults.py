"""Scripted faults: what can go wrong with an answer, and how it is played."""

import asyncio
import math
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.client import responses
from typing import Final

import attrs
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from balancekit.sandbox.answers import Answer

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING: Final = ("Content-Length", "Transfer-Encoding")
_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def _as_headers(headers: Mapping[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(headers))


def _as_bytes(body: bytes | str | None) -> bytes | None:
    return body.encode() if isinstance(body, str) else body


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong with one request; raises ValueError for parts that contradict each other.

    - `status`, `body` (text is sent as UTF-8): answered in the place of the usual answer, whatever the credentials are.
      A status without a body brings the error body that the provider documents for it, else none; a body without a
      status comes with 200. It is announced as JSON unless `headers` say otherwise.
    - `headers`: sent beside the others, in the place of those with the same names.
    - `cut_after`: the head announces the whole body, then the connection ends after that many bytes of it; a body that
      is not longer than that is announced one byte longer, so that it is always cut.
    - `delay`: seconds before anything is sent; with nothing else, the usual answer follows.
    - `raw`: these bytes go out in the place of a response, and the connection ends.
    - `hang`: nothing is ever sent; it ends when the client goes away or the sandbox closes.
    """

    status: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], converter=_as_headers)
    body: bytes | None = attrs.field(default=None, converter=_as_bytes)
    delay: float = 0.0
    cut_after: int | None = None
    raw: bytes | None = None
    hang: bool = False

    def __attrs_post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            raise ValueError(problem)

    def _problems(self) -> Iterator[str]:
        if self.status is not None and self.status not in range(200, 600):
            yield f"status must be from 200 to 599, not {self.status}"
        if not (math.isfinite(self.delay) and self.delay >= 0):
            yield f"delay must be a number of seconds, not {self.delay}"
        if self.cut_after is not None and self.cut_after < 0:
            yield f"cut_after must be a number of bytes, not {self.cut_after}"
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
                yield f"not a header: {name!r}"
        if any(name in self.headers for name in _FRAMING):
            yield "the framing of a body is not a header of a fault: use cut_after or raw"

        changed = self.replaces_answer or bool(self.headers) or self.cut_after is not None
        if self.raw is not None and (changed or self.hang):
            yield "raw bytes go out in the place of everything else"
        if self.hang and (changed or self.delay):
            yield "a fault that hangs sends nothing"
        if self.status in _BODILESS and (self.body or self.cut_after is not None):
            yield f"a response with status {self.status} has no body"
        if not (changed or self.delay or self.raw is not None or self.hang):
            yield "a fault in which nothing goes wrong"

    @property
    def replaces_answer(self) -> bool:
        """Whether the usual answer, and with it the check of the credentials, is left out."""
        return self.status is not None or self.body is not None


def faulty(fault: Fault, *, usual: Callable[[], Answer], documented: Callable[[int], Answer | None]) -> Answer:
    """Return the answer that a fault makes of the usual one, which is made only if it is needed."""
    if not fault.replaces_answer:
        answer = usual()
    else:
        status = HTTPStatus.OK.value if fault.status is None else fault.status
        known = documented(status) if fault.body is None else None
        answer = known or Answer.of_json_text(status, "")
        if fault.body is not None:
            answer = attrs.evolve(answer, body=fault.body)
    return answer.with_headers(fault.headers)


async def play(fault: Fault, http: web.BaseRequest, answer: Callable[[], Answer]) -> web.StreamResponse:
    """Play a fault on a connection; `answer` is called once, when the answer is due, unless none is sent."""
    await asyncio.sleep(fault.delay)
    if fault.hang:
        await asyncio.get_running_loop().create_future()
    if fault.raw is not None:
        return _send_last(http, fault.raw)
    if fault.cut_after is not None:
        return _send_last(http, _cut(answer(), fault.cut_after))
    return respond(answer())


def respond(answer: Answer) -> web.Response:
    """Return an answer as aiohttp sends it."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _cut(answer: Answer, length: int) -> bytes:
    head = [
        f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        f"Content-Length: {max(len(answer.body), length + 1)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + answer.body[:length]


def _send_last(http: web.BaseRequest, data: bytes) -> web.StreamResponse:
    if http.transport is not None:
        http.transport.write(data)
        # Not abort(), which would drop what the socket has not taken yet.
        http.transport.close()
    # aiohttp wants a response; the closed transport swallows it.
    return web.Response()
