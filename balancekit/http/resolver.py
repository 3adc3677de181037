"""Finding the addresses of a name, without letting one name wait for another."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from aiohttp.abc import AbstractResolver, ResolveResult

from balancekit.http.messages import is_loopback

_Found = TypeVar("_Found")


class DaemonResolver(AbstractResolver):
    """Asks the operating system, in a daemon thread for each lookup.

    A lookup cannot be cancelled, and takes half a minute where the name server is dead. In the few threads of an event
    loop, six such names keep all others waiting, and `asyncio.run` waits for them at the end of a program.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; OSError if there are none."""
        return await in_daemon_thread(host, lambda: _look_up(host, port, family))

    async def close(self) -> None:
        """Release nothing: a lookup that is under way ends by itself."""


async def in_daemon_thread(host: str, look_up: Callable[[], _Found]) -> _Found:
    """Return what a lookup of a host returns, or raise what it raises; it does not keep the program from ending.

    A name that cannot be looked up is an OSError, as one that nobody knows is.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[_Found] = loop.create_future()

    def settle(settle_with: Callable[..., None], value: object) -> None:
        if not found.done():
            settle_with(value)

    def run() -> None:
        outcome: tuple[Callable[..., None], object]
        try:
            outcome = found.set_result, look_up()
        except UnicodeError:
            # The name cannot be encoded for a DNS query.
            problem = "the name has an empty part, or one of more than 63 characters"
            outcome = found.set_exception, socket.gaierror(socket.EAI_NONAME, problem)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who is in another thread
            outcome = found.set_exception, error
        # By now the event loop may be closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name=f"balancekit-lookup-{host}", daemon=True).start()
    return await found


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        # Windows without a network says that of itself.
        if not is_loopback(host):
            raise
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    results: list[ResolveResult] = []
    for kind, _, protocol, _, address in found:
        # The number of a link-local IPv6 address is no address without its interface.
        number = socket.getnameinfo(address, numeric)[0] if kind == socket.AF_INET6 else str(address[0])
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        results.append(
            {"hostname": host, "host": number, "port": port, "family": kind, "proto": protocol, "flags": flags}
        )
    return results
