"""Connections to Redis that never wait for long, and whose errors show no URL."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

from balancekit.errors import ConfigError
from balancekit.http.secret import Secret

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import (
        ConnectionError as RedisConnectionError,
        NoPermissionError,
        ReadOnlyError,
        ResponseError,
        TimeoutError as RedisTimeoutError,
    )
except ImportError as _missing:
    raise ImportError("RedisStore needs redis-py: pip install 'balancekit[redis]'") from _missing

__all__ = ["NoPermissionError", "ReadOnlyError", "Redis", "ResponseError", "connect", "disconnect", "listen"]

# In seconds. Redis responds within milliseconds; rather than wait longer, a client reads the providers.
SOCKET_TIMEOUT: Final = 1.0
MAX_CONNECTIONS: Final = 20
# After how many seconds without a message a listener sends a ping; it waits as long again for the response.
HEARTBEAT: Final = 5.0


def connect(url: Secret) -> Redis:
    """Make a client for a URL; raises ConfigError, which does not show the URL, if that cannot be used."""
    try:
        pool = cast("Any", BlockingConnectionPool).from_url(  # neither its arguments nor its result are typed
            url.reveal(),
            max_connections=MAX_CONNECTIONS,
            timeout=SOCKET_TIMEOUT,
            socket_timeout=SOCKET_TIMEOUT,
            socket_connect_timeout=SOCKET_TIMEOUT,
            # A connection that Redis has closed is opened again at once; a timeout is not retried.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            protocol=2,
        )
    except (TypeError, ValueError):
        pool = None
    if pool is None:
        raise ConfigError("url: expected redis://[[user]:password@]host[:port][/db], rediss://… or unix://…")
    return Redis.from_pool(pool)


async def disconnect(redis: Redis, *, in_use: bool) -> None:
    """Close connections, so that the next commands go to wherever the address leads by then.

    A command on a connection in use is sent again over a new one, and a listener subscribes again, if the client is one
    of `connect`. Without `in_use`, only idle connections are closed.
    """
    await cast("Any", redis.connection_pool).disconnect(inuse_connections=in_use)


async def listen(redis: Redis, channel: str) -> AsyncGenerator[object]:
    """Give what is published on a channel, and None whenever listening begins: at first, and after a lost connection.

    Raises if a lost connection cannot be restored, or if Redis does not respond to a ping.
    """
    loop = asyncio.get_running_loop()
    pubsub = cast("Any", redis).pubsub()  # its methods are only partly typed
    try:
        await pubsub.subscribe(channel)
        last_message, pinged = loop.time(), False
        while True:
            message = await pubsub.get_message(timeout=HEARTBEAT)
            if message is not None:
                last_message, pinged = loop.time(), False
                if message["type"] == "subscribe":
                    yield None
                elif message["type"] == "message":
                    yield message["data"]
            elif loop.time() - last_message >= 2 * HEARTBEAT:
                raise RedisTimeoutError("nothing comes from Redis any more")
            elif not pinged and loop.time() - last_message >= HEARTBEAT:
                pinged = True
                await pubsub.ping()
    finally:
        await pubsub.aclose()
