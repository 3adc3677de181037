"""The address on which a sandbox listens: started and stopped, refusing connections, or accepting without reading."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, cast

from aiohttp import web
from yarl import URL

from balancekit.http.listening_socket import ListeningSocket, family_of
from balancekit.http.messages import is_loopback
from balancekit.sandbox.certificates import Authority
from balancekit.sandbox.event_loop import SandboxLoop

_SHUTDOWN_TIMEOUT: Final = 0.01
"""Seconds, since aiohttp takes zero for no limit; every request that was being handled is cancelled by then."""


class Listener:
    """Serves one loopback address; port 0 means any that is free, and the same one at the next start.

    With an authority it speaks TLS. Raises ValueError for a host that is not loopback.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        host: str,
        port: int,
        authority: Authority | None,
        loop: SandboxLoop,
    ) -> None:
        if not is_loopback(host):
            raise ValueError(f"the sandbox serves loopback addresses only, not {host!r}")
        self._handler = handler
        self._host = host
        self._port = port
        self._authority = authority
        self._loop = loop
        self._runner: web.ServerRunner | None = None
        self._socket: ListeningSocket | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    def address(self) -> str:
        """Return the origin; RuntimeError before the port is known."""
        if not self._port:
            raise RuntimeError("the sandbox must be started first: its port is not known yet")
        scheme = "http" if self._authority is None else "https"
        return str(URL.build(scheme=scheme, host=self._host, port=self._port))

    async def start(self) -> None:
        """Begin to listen: RuntimeError if it does already, OSError if the port is not available."""
        if self._runner is not None:
            raise RuntimeError("the sandbox is started already")
        server = web.Server(self._handle, handler_cancellation=True, access_log=None, auto_decompress=False)
        context = None if self._authority is None else self._authority.server_context(self._host)
        self._runner = runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        try:
            await runner.setup()
            self._socket = ListeningSocket(self._host, self._port)
            await web.SockSite(runner, self._socket, ssl_context=context).start()
        except BaseException:
            await self.stop()
            raise
        self._port = self._socket.port

    async def stop(self) -> None:
        """Close every connection at once, and listen no more. Stopping twice does nothing."""
        runner, listening = self._runner, self._socket
        self._runner = self._socket = None
        if runner is None:
            return
        for task in self._tasks:
            task.cancel()
        if listening is None:
            await runner.cleanup()
        else:
            await listening.stop(runner.cleanup)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncGenerator[None, None]:
        """Refuse connections until the block ends."""
        await self._loop.call(self.stop)
        try:
            yield
        finally:
            await self._loop.call(self.start)

    @contextlib.asynccontextmanager
    async def not_reading(self) -> AsyncGenerator[None, None]:
        """Accept connections without reading from them until the block ends."""
        async with self.refusing():
            # The kernel accepts connections for a socket that listens.
            with socket.create_server((self._host, self._port), family=family_of(self._host)):
                yield

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await self._handler(http)
