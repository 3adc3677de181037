"""A server on loopback that sends raw bytes, valid HTTP or not, and one that relays to a sandbox."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from multidict import CIMultiDict

from tests.support.stream_server import StreamServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class LoopbackOrigin:
    """Sends the same bytes on every connection, and keeps the requests if it `reads_requests`."""

    def __init__(self):
        self.response = OK
        self.reads_requests = True
        self.requests = []

    async def start(self):
        """Begin to listen."""
        self._server = StreamServer(self._serve)
        await self._server.start()
        self.url = self._server.url

    async def stop(self):
        """Stop listening, and drop every connection."""
        await self._server.stop()

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            if self.reads_requests:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(headers_of(head).get("Content-Length", 0))
                self.requests.append(head + await reader.readexactly(length))
            writer.write(self.response)
            await writer.drain()
            if self.response == b"":
                writer.transport.abort()
            writer.close()
            await writer.wait_closed()


def headers_of(request):
    """Return the headers of a request as they were on the wire."""
    head = request.partition(b"\r\n\r\n")[0].decode()
    return CIMultiDict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def raw_response(status, body=b"", *headers):
    """Return the bytes of a response."""
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextlib.asynccontextmanager
async def relay_to(sandbox):
    """Pass connections on to a sandbox; give the relay's origin, and a writer to the client for each connection."""
    writers = []

    async def pass_on(reader, writer):
        writers.append(writer)
        upstream = urlsplit(sandbox.address)
        from_sandbox, to_sandbox = await asyncio.open_connection(upstream.hostname, upstream.port)
        with contextlib.closing(to_sandbox):
            await asyncio.gather(copy(reader, to_sandbox), copy(from_sandbox, writer))

    async def copy(reader, writer):
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()

    async with StreamServer(pass_on) as server:
        yield server.url, writers
