"""A server for both APIs that has every response ready, so that its clients are measured rather than itself.

It checks no signature, and parses only the end and the account of a request. Run as
`python -m benchmarks.server`, it writes the ports that it listens on to its output, and ends with its input.
"""

import argparse
import asyncio
import itertools
import json
import os
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Final, cast

from benchmarks.accounts import Account

_HEAD_END: Final = b"\r\n\r\n"
# `X-Processing-Key: ` and `Bs-Key-Id: `; each ends the search for the other API's requests.
_KEYS: Final = (b"-Processing-Key: ", b"-Key-Id: ")
_LENGTH: Final = b"content-length: "
_USAGE: Final = b"GET /usage"

# One more than the contenders that are timed in turn with it, so that none is sent the same twice in a row.
_VERSIONS: Final = 3

_responses: dict[bytes, tuple[float, Iterator[bytes]]] = {}


def _framed(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: stand-in\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n\r\n"
    )
    return head.encode() + body


def _prepare(key_id: bytes) -> tuple[float, Iterator[bytes]]:
    account = Account.of_key(key_id.decode())
    versions = range(_VERSIONS if account.changes else 1)
    responses = [_framed(account.body(one)) for one in versions]
    prepared = _responses[key_id] = account.delay / 1e3, itertools.cycle(responses)
    return prepared


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        data = self._received + data if self._received else data
        end = data.find(_HEAD_END) + len(_HEAD_END)
        if end < len(_HEAD_END) or len(data) < end + self._body_length(data, end):
            # No contender sends a second request before the first has its response.
            self._received = data
            return
        self._received = b""
        if data.startswith(_USAGE):
            self._transport.write(_framed(json.dumps(time.process_time()).encode()))
            return
        key = next(key for key in _KEYS if key in data)
        start = data.index(key) + len(key)
        key_id = data[start : data.index(b"\r\n", start)]
        delay, responses = _responses.get(key_id) or _prepare(key_id)
        if delay:
            self._loop.call_later(delay, self._write, next(responses))
        else:
            self._transport.write(next(responses))

    def _write(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)

    @staticmethod
    def _body_length(data: bytes, end: int) -> int:
        if data.endswith(_HEAD_END):
            head = data[:end].lower()
            start = head.find(_LENGTH) + len(_LENGTH)
            return int(head[start : head.index(b"\r\n", start)]) if start >= len(_LENGTH) else 0
        # The two bytes of a body, or as much of them as there is.
        return 2


async def _serve(certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    ports = {"http": plain.sockets[0].getsockname()[1]}
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        secure = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024, ssl=context)
        ports["https"] = secure.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int)
    parser.add_argument("--certificate")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(options.certificate))


if __name__ == "__main__":
    main()
