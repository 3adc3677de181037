"""HTTP/1.1 written by hand on an `asyncio.Protocol`: no library between this program and the sockets."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal, setcontext
from typing import cast
from urllib.parse import urlsplit

from benchmarks.accounts import EXACT, Account
from benchmarks.contenders.contender import Contender, Fetched, Signer, make_signers, share_out
from benchmarks.contenders.tuned import add

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"Content-Length: "


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._response: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is not a subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(exc or ConnectionResetError())

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        self._response = self._loop.create_future()
        self.transport.write(request)
        return self._response

    def data_received(self, data: bytes) -> None:
        data = self._received + data if self._received else data
        head = data.find(_HEAD_END)
        start = data.find(_LENGTH, 0, head) + len(_LENGTH)
        end = head + len(_HEAD_END)
        if head < 0 or len(data) < end + int(data[start : data.index(b"\r\n", start)]):
            self._received = data
            return
        self._received = b""
        assert self._response is not None
        if data.startswith(b"HTTP/1.1 200 "):
            self._response.set_result(data[end:])
        else:
            self._response.set_exception(ValueError("not a 200"))


class Raw(Contender):
    """A pool of connections, a worker for each; sums as *tuned* does."""

    name = "raw asyncio protocol"

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        super().__init__(base_url, accounts)
        self.signers = make_signers(base_url, accounts)
        self._host = urlsplit(base_url)
        # All of a request that does not change: for one of the two APIs that is everything.
        self._requests = [(signer, self._make_constant(signer)) for signer in self.signers]
        self._idle: list[_Connection] = []

    async def fetch(self) -> Fetched:
        """Read all accounts once."""
        totals: defaultdict[str, Decimal] = defaultdict(Decimal)

        async def work(requests: Iterator[tuple[Signer, bytes]]) -> None:
            setcontext(EXACT)
            connection = self._idle.pop() if self._idle else await self._connect()
            for signer, constant in requests:
                add(totals, signer.account, await connection.ask(_request(signer, constant)))
            self._idle.append(connection)

        await share_out(self._requests, work, min(self.concurrency, len(self.signers)))
        return Fetched(totals)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Connection, self._host.hostname, self._host.port))[1]

    def _make_constant(self, signer: Signer) -> bytes:
        path = signer.url.removeprefix(self.base_url)
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host.netloc}\r\nContent-Length: {len(signer.body or b'')}\r\n"
        return (head + (_lines(signer) if signer.body else "")).encode()

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in self._idle:
            connection.transport.close()


def _request(signer: Signer, constant: bytes) -> bytes:
    if signer.body:
        return constant + b"\r\n" + signer.body
    return constant + f"{_lines(signer)}\r\n".encode()


def _lines(signer: Signer) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in signer.headers().items()])
