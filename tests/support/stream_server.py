"""A server of bare streams on loopback that leaves nothing open when it stops."""

import asyncio
import contextlib

from balancekit.http.listening_socket import ListeningSocket


class StreamServer:
    """Serves each connection with the coroutine function `serve(reader, writer)`, and closes it when that returns.

    What `asyncio.start_server` leaves open when it is closed is reported in whatever test garbage is collected.
    """

    def __init__(self, serve, host="127.0.0.1"):
        self._serve = serve
        self._tasks = set()
        self._socket = ListeningSocket(host)
        self.url = f"http://{host}:{self._socket.port}"

    async def __aenter__(self):
        """Begin to listen."""
        await self.start()
        return self

    async def __aexit__(self, *_):
        """Stop."""
        await self.stop()

    async def start(self):
        """Begin to listen."""
        self._server = await asyncio.start_server(self._begin, sock=self._socket)

    async def stop(self):
        """Stop listening, cancel what still serves, and drop the connections."""
        await self._socket.stop(self._close)

    def _begin(self, reader, writer):
        self._tasks.add(asyncio.create_task(self._serve_and_close(reader, writer)))

    async def _serve_and_close(self, reader, writer):
        with contextlib.closing(writer):
            await self._serve(reader, writer)

    async def _close(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        # One may have ended with an error before, as when the client went away.
        await asyncio.gather(*self._tasks, return_exceptions=True)
