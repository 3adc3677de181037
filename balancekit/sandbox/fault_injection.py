"""How faults reach requests and connections: on the bare transport where aiohttp always behaves well."""

import asyncio
import socket
import struct
from collections import defaultdict, deque
from collections.abc import Callable
from http import HTTPStatus
from http.client import responses
from typing import Final, cast
from weakref import WeakSet

import attrs
from aiohttp import web

from balancekit.sandbox.faults import Fault
from balancekit.sandbox.responses import SandboxResponse

_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


class FaultInjector:
    """Keeps the faults until requests meet them, and sends the responses that go wrong."""

    def __init__(self) -> None:
        # By the label of an account, or None for any request.
        self._queues = defaultdict[str | None, deque[Fault]](deque)
        # Connections: aiohttp serves all requests of one in the same task.
        self._reset_on_next_request = WeakSet[asyncio.Task[None]]()

    def add(self, account: str | None, fault: Fault, *, times: int) -> None:
        """Add a fault for the next requests, after those that wait already."""
        self._queues[account].extend([fault] * times)

    def take(self, account: str | None) -> Fault | None:
        """Remove and return the fault for a request: its account's own first, then one for any request."""
        queue = self._queues[account] or self._queues[None]
        return queue.popleft() if queue else None

    def clear(self) -> None:
        """Drop the faults that wait."""
        self._queues.clear()

    def resets(self, http: web.BaseRequest) -> bool:
        """Whether a request resets its connection because of a fault of the request before it."""
        return http.task in self._reset_on_next_request

    async def inject(
        self, fault: Fault, http: web.BaseRequest, build_response: Callable[[], SandboxResponse]
    ) -> web.StreamResponse:
        """Send a response with a fault; `build_response` is called once, at the time of sending, or never."""
        if fault.ending == "reset-next":
            self._reset_on_next_request.add(http.task)
        await asyncio.sleep(fault.delay)
        if fault.hang:
            await _hang()
        if fault.raw is not None:
            head, body = fault.raw, b""
        elif fault.stop == "start":
            head, body = b"", b""
        elif fault.cuts or fault.length_error or fault.drip or fault.ending in {"close", "reset", "stall"}:
            head, body = _encode(fault, build_response())
        else:
            return to_aiohttp(build_response())
        if fault.drip == "body":
            await _send(http, head, 0.0)
            await _send(http, body, fault.interval)
        else:
            # In one write, since a client may behave differently if the body comes after the head.
            await _send(http, head + body, fault.interval if fault.drip else 0.0)
        while fault.endless is not None and http.transport is not None:
            await _send(http, fault.endless, 0.0)
        return await _end(fault, http)


def apply_fault(
    fault: Fault,
    *,
    usual: Callable[[], SandboxResponse],
    documented_error: Callable[[int], SandboxResponse | None],
) -> SandboxResponse:
    """Return the response with a fault's status, body and headers; the usual one is built only if it is needed."""
    if not fault.replaces_response:
        response = usual()
    else:
        status = HTTPStatus.OK.value if fault.status is None else fault.status
        known = documented_error(status) if fault.body is None else None
        response = known or SandboxResponse.of_json_text(status, "")
        if fault.body is not None:
            response = attrs.evolve(response, body=fault.body)
    return response.with_headers(fault.headers)


def to_aiohttp(response: SandboxResponse) -> web.Response:
    """Return a response in the form that aiohttp sends."""
    return web.Response(status=response.status, headers=response.headers, body=response.body)


def reset_connection(http: web.BaseRequest) -> web.StreamResponse:
    """Reset a connection, and return a response that is never sent, since aiohttp wants one."""
    if http.transport is not None:
        # Closing the socket then sends an RST instead of a FIN.
        connection = cast("socket.socket", http.transport.get_extra_info("socket"))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        http.transport.abort()
    return web.Response()


async def _end(fault: Fault, http: web.BaseRequest) -> web.StreamResponse:
    if fault.ending == "stall":
        await _hang()
    if fault.ending == "reset":
        return reset_connection(http)
    if http.transport is not None:
        # Not abort(), which would drop what the socket has not sent yet.
        http.transport.close()
    # aiohttp wants a response; on the closed transport it is never sent.
    return web.Response()


async def _hang() -> None:
    await asyncio.get_running_loop().create_future()


def _encode(fault: Fault, response: SandboxResponse) -> tuple[bytes, bytes]:
    """Return the bytes of the head and the body that are sent."""
    whole = response.body
    kept = len(whole) // 2 if fault.stop == "body" else fault.cut_after
    announced = len(whole) + fault.length_error if kept is None else max(len(whole), kept + 1)
    lines = [
        f"HTTP/1.1 {response.status} {responses.get(response.status, '')}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        f"Content-Length: {max(announced, 0)}",
    ]
    head = "\r\n".join([*lines, "", ""]).encode()
    return (head[: len(head) // 2], b"") if fault.stop == "head" else (head, whole[:kept])


async def _send(http: web.BaseRequest, data: bytes, interval: float) -> None:
    for piece in [data[index : index + 1] for index in range(len(data))] if interval else [data]:
        if http.transport is None or not data:
            return
        http.transport.write(piece)
        # Wait for the client, so that an endless response does not fill the memory of this process.
        await http.writer.drain()
        await asyncio.sleep(interval)
