"""How faults are played on a connection, on its bare transport where aiohttp would not misbehave."""

import asyncio
import socket
import struct
from collections.abc import Callable
from http.client import responses
from typing import Final, cast

from aiohttp import web

from balancekit.sandbox.faults import Fault
from balancekit.sandbox.responses import SandboxResponse

_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


async def inject_fault(
    fault: Fault, http: web.BaseRequest, build_response: Callable[[], SandboxResponse]
) -> web.StreamResponse:
    """Play a fault on a connection; `build_response` is called once, when the response is due, unless none is sent.

    What "reset-next" does comes with the next request: see `reset_connection`.
    """
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
        # In one write, since it can matter to a client whether the body comes with the head or later.
        await _send(http, head + body, fault.interval if fault.drip else 0.0)
    while fault.endless is not None and http.transport is not None:
        await _send(http, fault.endless, 0.0)
    return await _end(fault, http)


def to_aiohttp(response: SandboxResponse) -> web.Response:
    """Return an answer as aiohttp sends it."""
    return web.Response(status=response.status, headers=response.headers, body=response.body)


def reset_connection(http: web.BaseRequest) -> web.StreamResponse:
    """Reset a connection; what is returned goes nowhere."""
    if http.transport is not None:
        # With this, closing a socket sends an RST in the place of a FIN.
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
        # Not abort(), which would drop what the socket has not taken yet.
        http.transport.close()
    # aiohttp wants a response; the closed transport swallows it.
    return web.Response()


async def _hang() -> None:
    await asyncio.get_running_loop().create_future()


def _encode(fault: Fault, response: SandboxResponse) -> tuple[bytes, bytes]:
    """Return the head and the body that are sent."""
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
        # Not more than the client takes: an endless answer must not fill this side's memory either.
        await http.writer.drain()
        await asyncio.sleep(interval)
