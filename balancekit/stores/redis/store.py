"""The store of many replicas: a Redis server, 7 or later, through the extra `redis`.

Ages are measured by the clock of Redis, so that replicas agree whose own clocks do not. Every version is random, and
set where there is none: a Redis that was flushed, restarted or short of memory makes snapshots invalid, and never valid
again. What a replica cannot read, since another release or somebody else wrote it, is absent to it.

A Redis that loses its data forgets the permits of the last window under a rate limit, too.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self, cast

from balancekit.http.rate_limit import RateLimit
from balancekit.http.redaction import SanitizedExceptions
from balancekit.http.secret import Secret
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Change, Stored
from balancekit.stores.redis import scripts as lua
from balancekit.stores.redis.connection import Redis, ResponseError, connect, listen
from balancekit.stores.redis.values import EVENT, Snapshots, read_change, write_change, write_owner, write_snapshot

_WEEK: Final = 7 * 86400.0
_IN_MICROSECONDS: Final = 1_000_000


class RedisStore:
    """Keeps snapshots in Redis, for all clients that use the same `prefix` there.

    `redis` is used and left open; it should have a `socket_timeout` and few retries, since a call may last as long as
    they allow. `keep` is after how many seconds an account that nobody reads is forgotten.
    """

    clock: Callable[[], float] | None = None
    """Tells the time in Unix seconds in the place of Redis; set in tests."""

    monotonic: Callable[[], float] = staticmethod(time.monotonic)
    """Tells seconds that only pass; replaced in tests."""

    def __init__(self, redis: Redis, *, prefix: str = "balancekit", keep: float = _WEEK) -> None:
        self._client = redis
        # Of one with connections of its own.
        self._url: Secret | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._prefix = prefix
        self._channel = f"{prefix}:changes"
        self._keep = max(1, round(keep))
        # By how many microseconds the clock of Redis is ahead of `monotonic`.
        self._ahead: int | None = None
        self._snapshots = Snapshots()
        self._scripts = {source: redis.register_script(source) for source in lua.ALL}

    @classmethod
    def from_url(cls, url: str | Secret, *, prefix: str = "balancekit", keep: float = _WEEK) -> Self:
        """Make a store with connections of its own, which `aclose` closes: `redis://:password@host:6379/0`.

        Raises ConfigError, which does not show the URL, if it is none.
        """
        url = Secret.of(url)
        store = cls(connect(url), prefix=prefix, keep=keep)
        store._url = url
        return store

    async def get(self, keys: Sequence[str]) -> list[Stored]:
        """Return what is known of each account, in the order of the keys."""
        with SanitizedExceptions():
            known, now = await self._read(keys)
            missing = [key for key, fields in zip(keys, known, strict=True) if fields[0] is None]
            opened = await self._opened(missing) if missing else {}
        return [
            Stored(opened[key]) if fields[0] is None else self._stored(key, fields[0], fields[1:], now)
            for key, fields in zip(keys, known, strict=True)
        ]

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot whose request was sent `age` seconds ago, unless a better one is there."""
        await self._run(
            lua.PUT,
            self._account(key),
            self._now(),
            secrets.token_hex(),
            self._keep,
            version,
            _microseconds(age),
            self._latest(age),
            write_snapshot(snapshot),
            self._channel,
            write_change(Change(key)),
        )

    async def invalidate(self, key: str) -> None:
        """Say that the balances may have changed: no request that was sent before now shows them."""
        change = write_change(Change(key, invalidated=True))
        await self._run(lua.INVALIDATE, self._account(key), secrets.token_hex(), self._keep, self._channel, change)

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Take, or renew, the right to read the account, for that many seconds; 0 if the owner has it now."""
        left = await self._run(lua.LEASE, self._key("lease", key), write_owner(owner), _milliseconds(seconds))
        return int(left) / 1000

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        change = write_change(Change(key))
        await self._run(lua.RELEASE, self._key("lease", key), write_owner(owner), self._channel, change)

    async def changes(self) -> AsyncGenerator[Change]:
        """Give what happens from now on; the first change, which has no key, says that it has begun.

        Another without a key says that the connection was lost meanwhile. Raises if it cannot be had again.
        """
        with SanitizedExceptions():
            async with aclosing(listen(self._redis, self._channel)) as published:
                async for text in published:
                    yield Change(None) if text is None else read_change(text)

    async def seen(self, event: str) -> bool:
        """Whether the event of that id has been remembered."""
        with SanitizedExceptions():
            return bool(await self._redis.exists(self._key("event", event)))

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the id of an event for at least that long."""
        await self._run(lua.REMEMBER, self._key("event", event), EVENT, _milliseconds(seconds))

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Return 0 if the request has a permit of the origin now, else the seconds after which to ask again."""
        wait = await self._run(
            lua.ACQUIRE_PERMIT,
            self._key("permits", origin),
            self._now(),
            limit.requests,
            _positive_microseconds(limit.per),
            _microseconds(hold),
            request_id,
        )
        return int(wait) / _IN_MICROSECONDS

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release the permit of a request that has ended, if it has one."""
        per, unique = _positive_microseconds(limit.per), secrets.token_hex(8)
        await self._run(lua.RELEASE_PERMIT, self._key("permits", origin), self._now(), per, request_id, unique)

    async def aclose(self) -> None:
        """Close the connections, if they are the store's own; another use opens them anew."""
        if self._url is not None:
            await self._redis.aclose()
            self._loop = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"RedisStore(prefix={self._prefix!r})"

    @property
    def _redis(self) -> Redis:
        loop = asyncio.get_running_loop()
        if self._url is not None and self._loop is not loop:
            # Nothing of an earlier loop can be used in this one.
            self._client, self._loop = connect(self._url), loop
        return self._client

    async def _run(self, source: str, key: str, *args: str | int) -> Any:  # noqa: ANN401 - as the script returns it
        with SanitizedExceptions():
            return await self._scripts[source]([key], args, self._redis)

    async def _read(self, keys: Sequence[str]) -> tuple[list[list[bytes | None]], int]:
        """Return the fields of each account, and the time thereafter."""
        async with self._pipeline() as pipeline:
            for key in keys:
                # As bytes, whatever the client is set to: what is no text must not fail the others.
                pipeline.execute_command(
                    "HMGET", self._account(key), "version", "read_at", "sent", "snapshot", NEVER_DECODE=True
                )
            pipeline.time()
            *replies, told = await pipeline.execute(raise_on_error=False)
        read_at = told[0] * _IN_MICROSECONDS + told[1]
        # A little less than it is, by the time that the answer took.
        self._ahead = read_at - _microseconds(self.monotonic())
        now = self._now()
        return [_fields(reply) for reply in replies], int(now) if now else read_at

    async def _opened(self, keys: Sequence[str]) -> dict[str, str]:
        async with self._pipeline() as pipeline:
            for key in keys:
                await self._scripts[lua.OPEN]([self._account(key)], [secrets.token_hex(), self._keep], pipeline)
            versions = await pipeline.execute()
        return {key: _text(version) for key, version in zip(keys, versions, strict=True)}

    def _pipeline(self) -> Any:  # noqa: ANN401 - its methods are not typed in full
        return self._redis.pipeline(transaction=False)

    def _stored(self, key: str, version: bytes, fields: list[bytes | None], now: int) -> Stored:
        read_at, sent, text = fields
        snapshot = None if text is None else self._snapshots.read(key, text)
        if snapshot is None or sent is None or not sent.isdigit():
            return Stored(_text(version))
        age = (now - int(sent)) / _IN_MICROSECONDS
        # One from the future was put before the clock went back: nobody knows its age.
        return Stored(_text(version), snapshot, max(age, 0.0), read_at == version and age >= 0)

    def _account(self, key: str) -> str:
        return self._key("account", key)

    def _key(self, kind: str, name: str) -> str:
        # In a cluster, all of one account is in one place.
        return f"{self._prefix}:{kind}:{{{name}}}"

    def _latest(self, age: float) -> str:
        """Return the moment, by the clock of Redis, that was `age` seconds ago, or a little earlier; empty if unknown.

        A Redis that has stood still takes in what was sent to it before, and must not make that younger by its pause.
        """
        if self._ahead is None or self.clock is not None:
            return ""
        return str(self._ahead + _microseconds(self.monotonic() - age))

    def _now(self) -> str:
        return "" if self.clock is None else str(_microseconds(self.clock()))


def _fields(reply: object) -> list[bytes | None]:
    if not isinstance(reply, ResponseError):
        return cast("list[bytes | None]", reply)
    if not str(reply).startswith("WRONGTYPE"):
        raise reply
    return [None] * 4


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * _IN_MICROSECONDS))


def _positive_microseconds(seconds: float) -> int:
    # A limit per less than a microsecond is one permit at a time all the same.
    return max(1, _microseconds(seconds))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
