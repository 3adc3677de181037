"""A server on loopback that plays the API of one account, and can spoil what it sends."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeAlias

from multidict import CIMultiDict, CIMultiDictProxy

from balancekit.http.listening_socket import ListeningSocket
from balancekit.http.messages import Request, Response

BASE_PATH: Final = "/base"
"""The path of the base URL, which belongs to every request."""

Reply: TypeAlias = Response | bytes | None
"""A response, or the bytes after which the connection ends, or nothing at all while it stays open."""

Change: TypeAlias = Callable[[int, Request, Response], Reply]
"""Makes what is sent of the index of a request, the request, and the response that the API would give."""


class Api:
    """Plays an API with `play`, and sends what `change` makes of its responses; a context manager.

    `requests` and `responses` are what was received and what `play` returned. What `play` raises is kept in `problem`,
    and responded to with a 400.
    """

    def __init__(self, play: Callable[[Request], Response], change: Change | None = None, port: int = 0) -> None:
        self.change = change
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.problem: Exception | None = None
        self.received: asyncio.Event = asyncio.Event()
        self.play = play
        self._port = port
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._socket = ListeningSocket("127.0.0.1", self._port)
        self._server = await asyncio.start_server(self._serve, sock=self._socket, limit=2**20)
        self.port: int = self._socket.port
        self.base_url: str = f"http://127.0.0.1:{self.port}{BASE_PATH}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._socket.stop(self._close)

    async def _close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (request := await _read_request(reader, self.base_url)) is not None:
                reply = self._respond(request)
                if reply is None:
                    await asyncio.Event().wait()
                writer.write(reply if isinstance(reply, bytes) else _to_bytes(reply or Response(500)))
                await writer.drain()
                if isinstance(reply, bytes):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client went away, or the test is over.
            pass
        finally:
            writer.close()
            self._connections.discard(task)

    def _respond(self, request: Request) -> Reply:
        index = len(self.requests)
        self.requests.append(request)
        self.received.set()
        try:
            response = self.play(request)
        except Exception as error:  # noqa: BLE001 - an author's code may raise anything; the test shows it
            self.problem = error
            response = Response(HTTPStatus.BAD_REQUEST)
        self.responses.append(response)
        return response if self.change is None else self.change(index, request, response)


async def _read_request(reader: asyncio.StreamReader, base_url: str) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = line.split(" ", 2)
    headers = CIMultiDict[str]()
    for name, _, value in (line.partition(":") for line in lines):
        headers.add(name, value.strip())
    body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    origin = base_url.removesuffix(BASE_PATH)
    return Request(method, f"{origin}{target}", CIMultiDictProxy(headers), body)


def _to_bytes(response: Response) -> bytes:
    headers = CIMultiDict(response.headers)
    headers.setdefault("Content-Type", "application/json")
    headers.setdefault("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()))
    headers["Content-Length"] = str(len(response.body))
    lines = [f"HTTP/1.1 {response.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + response.body
