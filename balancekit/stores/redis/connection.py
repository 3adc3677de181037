"""Connections to Redis that never wait for long, and whose errors show no URL."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from balancekit.errors import ConfigError
from balancekit.http.resolver import in_daemon_thread
from balancekit.http.secret import Secret

try:
    from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, Redis, RedisCluster, SSLConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import (
        ClusterDownError,
        ConnectionError as RedisConnectionError,
        NoPermissionError,
        NoScriptError,
        ReadOnlyError,
        TimeoutError as RedisTimeoutError,
    )
except ImportError as _missing:
    raise ImportError("RedisStore needs redis-py: pip install 'balancekit[redis]'") from _missing

__all__ = [
    "UNREACHABLE",
    "AnyRedis",
    "NoPermissionError",
    "NoScriptError",
    "ReadOnlyError",
    "Redis",
    "RedisCluster",
    "close_all",
    "connect",
    "disconnect",
    "listen",
]

AnyRedis: TypeAlias = Redis | RedisCluster

UNREACHABLE: Final = (RedisConnectionError, RedisTimeoutError, ClusterDownError)
"""What is raised where the node of a key does not respond, or there is none."""

# In seconds. Redis responds within milliseconds; rather than wait longer, a client reads the providers.
SOCKET_TIMEOUT: Final = 1.0
MAX_CONNECTIONS: Final = 20
# After how many seconds without a message a listener sends a ping; it waits as long again for the response.
HEARTBEAT: Final = 5.0
# For how many seconds, after both, it looks once more for what has arrived: the event loop may have stood still.
_LAST_LOOK: Final = 0.01
# How many seconds the event loops of other threads may take to close their connections.
_CLOSING: Final = 1.0


class _LookingUp:
    """A connection to a host whose name is looked up in a thread of its own first.

    redis-py would do so in the few threads of the event loop. Where the name server is dead, one call after another
    would leave a lookup there, and whatever else of the program needs such a thread would wait for all of them.
    """

    host: str
    port: int

    async def _connect(self) -> None:
        async with asyncio.timeout(SOCKET_TIMEOUT):
            await in_daemon_thread(self.host, lambda: socket.getaddrinfo(self.host, self.port))
        await cast("Any", super())._connect()  # noqa: SLF001 - redis-py calls it, and has no other place


class _PlainConnection(_LookingUp, Connection):
    pass


class _TlsConnection(_LookingUp, SSLConnection):
    pass


_CONNECTIONS: Final[Mapping[type[object], type[object]]] = MappingProxyType(
    {Connection: _PlainConnection, SSLConnection: _TlsConnection}
)


def connect(url: Secret, *, cluster: bool = False) -> AnyRedis:
    """Make a client for a URL; raises ConfigError, which does not show the URL, if that cannot be used."""
    try:
        return _connect_cluster(url) if cluster else _connect_server(url)
    except Exception:  # noqa: BLE001, S110 - redis-py raises anything for the options of a URL, which frames hold
        pass
    kinds = "redis://[[user]:[password]@]host[:port][/db], rediss://… or unix://…"
    if cluster:
        kinds = "redis://[[user]:[password]@]host[:port] or rediss://… of one of the cluster's nodes"
    raise ConfigError(f"url: expected {kinds}, and after a ? only options that redis-py has")


def _connect_server(url: Secret) -> Redis:
    limits = {"max_connections": MAX_CONNECTIONS, "timeout": SOCKET_TIMEOUT}
    pool = cast("Any", BlockingConnectionPool).from_url(url.reveal(), **limits, **_settings())
    pool.connection_class = _CONNECTIONS.get(pool.connection_class, pool.connection_class)
    # It connects to nothing, but refuses an option that there is not, which no call would name.
    pool.make_connection()
    return Redis.from_pool(pool)


def _connect_cluster(url: Secret) -> RedisCluster:
    redis = cast("Any", RedisCluster).from_url(url.reveal(), **_settings())
    nodes = redis.nodes_manager
    kind = _CONNECTIONS[nodes.connection_kwargs["connection_class"]]
    nodes.connection_kwargs["connection_class"] = kind
    # The nodes of the URL exist already; all others are made from the settings above.
    for node in nodes.startup_nodes.values():
        node.connection_class = kind
    return cast("RedisCluster", redis)


def _settings() -> dict[str, Any]:
    timeouts = {"socket_timeout": SOCKET_TIMEOUT, "socket_connect_timeout": SOCKET_TIMEOUT}
    return {"retry": _retry(), "protocol": 2, **timeouts}


def _retry() -> Retry:
    # A connection that Redis has closed is opened again at once; a timeout is not retried.
    return Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))


async def disconnect(redis: AnyRedis, *, in_use: bool) -> None:
    """Close connections, so that the next commands go to wherever the address leads by then.

    A command on a connection in use is sent again over a new one, and a listener subscribes again, if the client is one
    of `connect`. Without `in_use`, only idle connections are closed. A client of a cluster finds its nodes anew.
    """
    if isinstance(redis, RedisCluster):
        await redis.aclose()
    else:
        await cast("Any", redis.connection_pool).disconnect(inuse_connections=in_use)


async def close_all(clients: Mapping[asyncio.AbstractEventLoop, AnyRedis]) -> None:
    """Close clients, each in the event loop that it was used in; one that has ended, or ends, is not waited for."""
    elsewhere: list[asyncio.Future[None]] = []
    for loop, redis in clients.items():
        if loop is asyncio.get_running_loop():
            await redis.aclose()
        elif loop.is_running():
            elsewhere.append(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(redis.aclose(), loop)))
        else:
            # They are closed, but cannot be waited for.
            with suppress(RuntimeError):
                await redis.aclose()
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING):
            await asyncio.gather(*elsewhere, return_exceptions=True)


@asynccontextmanager
async def _pubsub(redis: AnyRedis) -> AsyncGenerator[Any]:  # its methods are only partly typed
    if not isinstance(redis, RedisCluster):
        pubsub: Any = cast("Any", redis).pubsub()
        try:
            yield pubsub
        finally:
            await pubsub.aclose()
        return
    # Each node passes on what is published at any other.
    await redis.initialize()
    node: Any = redis.get_random_node()
    settings: dict[str, Any] = {**node.connection_kwargs, "retry": _retry()}
    pool = ConnectionPool(connection_class=node.connection_class, **settings)
    async with Redis.from_pool(pool) as client, _pubsub(client) as pubsub:
        yield pubsub


async def listen(redis: AnyRedis, channel: str) -> AsyncGenerator[object]:
    """Give what is published on a channel, and None whenever listening begins: at first, and after a lost connection.

    Raises if a lost connection cannot be restored, or if Redis does not respond to a ping.
    """
    loop = asyncio.get_running_loop()
    async with _pubsub(redis) as pubsub:
        await pubsub.subscribe(channel)
        last_message, pinged, waits = loop.time(), False, HEARTBEAT
        while True:
            message = await pubsub.get_message(timeout=waits)
            if message is not None:
                last_message, pinged, waits = loop.time(), False, HEARTBEAT
                if message["type"] == "subscribe":
                    yield None
                elif message["type"] == "message":
                    yield message["data"]
            elif waits < HEARTBEAT:
                raise RedisTimeoutError("nothing comes from Redis any more")
            elif pinged and loop.time() - last_message >= 2 * HEARTBEAT:
                waits = _LAST_LOOK
            elif not pinged and loop.time() - last_message >= HEARTBEAT:
                pinged = True
                await pubsub.ping()
