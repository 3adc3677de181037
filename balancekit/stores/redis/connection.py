"""Connections to Redis that never wait for long, and that show no password."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

from balancekit.errors import ConfigError
from balancekit.http.secret import Secret

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as LostConnectionError, ResponseError, TimeoutError as NoAnswerError
except ImportError as _missing:
    raise ImportError("RedisStore needs redis-py: pip install 'balancekit[redis]'") from _missing

__all__ = ["Redis", "ResponseError", "connect", "listen"]

# In seconds. Redis answers within milliseconds, and whoever waits for it could be reading the provider.
_SOCKET_TIMEOUT: Final = 1.0
_MOST_CONNECTIONS: Final = 20
# After how many silent seconds a listener asks whether the other side is still there, and waits as long again.
_HEARTBEAT: Final = 5.0


def connect(url: Secret) -> Redis:
    """Make a client for a URL; ConfigError, which does not show it, if there is none."""
    try:
        pool = cast("Any", BlockingConnectionPool).from_url(  # its arguments, and the pool it makes, are not typed
            url.reveal(),
            max_connections=_MOST_CONNECTIONS,
            timeout=_SOCKET_TIMEOUT,
            socket_timeout=_SOCKET_TIMEOUT,
            socket_connect_timeout=_SOCKET_TIMEOUT,
            # A connection that Redis has closed meanwhile is opened again at once; a silent Redis is not asked twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(LostConnectionError,)),
            protocol=2,
        )
    except (TypeError, ValueError):
        pool = None
    if pool is None:
        raise ConfigError("url: expected redis://[[user]:password@]host[:port][/db], rediss://… or unix://…")
    return Redis.from_pool(pool)


async def listen(redis: Redis, channel: str) -> AsyncGenerator[object]:
    """Give what is published on a channel, and None whenever listening begins, the first time and after a gap.

    Raises when the connection is lost and cannot be had again, or when nothing comes from it any more.
    """
    loop = asyncio.get_running_loop()
    pubsub = cast("Any", redis).pubsub()  # its methods are not typed in full
    try:
        await pubsub.subscribe(channel)
        heard, asked = loop.time(), False
        while True:
            message = await pubsub.get_message(timeout=_HEARTBEAT)
            if message is not None:
                heard, asked = loop.time(), False
                if message["type"] == "subscribe":
                    yield None
                elif message["type"] == "message":
                    yield message["data"]
            elif loop.time() - heard >= 2 * _HEARTBEAT:
                raise NoAnswerError("nothing comes from Redis any more")
            elif not asked and loop.time() - heard >= _HEARTBEAT:
                asked = True
                await pubsub.ping()
    finally:
        await pubsub.aclose()
