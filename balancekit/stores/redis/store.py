"""The store of many replicas: a Redis server, 7 or later, through the extra `redis`.

Ages are measured by the clock of Redis, so that replicas agree even if their own clocks do not. Versions are random: if
a Redis was flushed, restarted or short of memory, earlier snapshots become invalid, and never valid again. A value that
cannot be parsed, since another release or another program wrote it, counts as absent.

A Redis that loses its data forgets the permits of the last window under a rate limit, too.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, cast

from balancekit.http.rate_limit import RateLimit
from balancekit.http.redaction import SanitizedExceptions
from balancekit.http.secret import Secret
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Change, Stored
from balancekit.stores.redis import scripts as lua
from balancekit.stores.redis.connection import (
    NoPermissionError,
    ReadOnlyError,
    Redis,
    ResponseError,
    connect,
    disconnect,
    listen,
)
from balancekit.stores.redis.values import (
    EVENT,
    SnapshotParser,
    parse_change,
    write_change,
    write_owner,
    write_snapshot,
)

_Result = TypeVar("_Result")
_Fields: TypeAlias = tuple[bytes, bytes | None, bytes | None, bytes | None]

_log = logging.getLogger(__name__)

# The versions that `secrets.token_hex` makes, and moments that every type of number can hold.
_VERSION: Final = re.compile(rb"[0-9a-f]{64}")
_SENT: Final = re.compile(rb"[0-9]{1,16}")

_WEEK: Final = 7 * 86400.0
_IN_MICROSECONDS: Final = 1_000_000


class RedisStore:
    """Keeps everything in Redis, for all clients that use the same `prefix` there.

    `redis` is used and left open; it should have a `socket_timeout` and few retries, since a call may last as long as
    they allow. `keep` is after how many seconds an account is forgotten that is neither read nor invalidated.
    """

    clock: Callable[[], float] | None = None
    """Returns the time in Unix seconds instead of Redis; set in tests."""

    monotonic: Callable[[], float] = staticmethod(time.monotonic)
    """Returns seconds of a clock that never goes back; replaced in tests."""

    def __init__(self, redis: Redis, *, prefix: str = "balancekit", keep: float = _WEEK) -> None:
        self._client = redis
        # If the store has connections of its own: where to, and in which event loop.
        self._url: Secret | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._prefix = prefix
        self._channel = f"{prefix}:changes"
        self._keep = max(1, round(keep))
        # By how many microseconds, at most, the clock of Redis is ahead of `monotonic`; None until that is known.
        self._clock_offset: int | None = None
        # The commands that Redis does not permit, each of which is logged once.
        self._denied: set[str] = set()
        # How often the connections were closed because Redis had become a replica.
        self._disconnected = 0
        self._parser = SnapshotParser()
        self._scripts = {source: redis.register_script(source) for source in lua.ALL}

    @classmethod
    def from_url(cls, url: str | Secret, *, prefix: str = "balancekit", keep: float = _WEEK) -> Self:
        """Make a store with connections of its own, which `aclose` closes: `redis://:password@host:6379/0`.

        Raises ConfigError, which does not show the URL, if that cannot be used.
        """
        url = Secret.of(url)
        store = cls(connect(url), prefix=prefix, keep=keep)
        store._url = url
        return store

    async def get(self, keys: Sequence[str]) -> list[Stored]:
        """Return what is known of each account, in the order of the keys."""
        with SanitizedExceptions():
            known, now = await self._read_accounts(keys)
            missing = [key for key, fields in zip(keys, known, strict=True) if fields is None]
            versions = await self._ensure_versions(missing) if missing else {}
        return [
            Stored(versions[key]) if fields is None else self._to_stored(key, fields, now)
            for key, fields in zip(keys, known, strict=True)
        ]

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot whose request was sent `age` seconds ago, unless a better one is there."""
        await self._publish(
            lua.PUT,
            self._account_key(key),
            self._time_override(),
            secrets.token_hex(),
            self._keep,
            version,
            _microseconds(age),
            self._latest_sent(age),
            write_snapshot(key, snapshot),
            self._channel,
            write_change(Change(key)),
        )

    async def invalidate(self, key: str) -> None:
        """Note that the balances may have changed: no request that was sent before now shows them."""
        change = write_change(Change(key, invalidated=True))
        await self._publish(
            lua.INVALIDATE, self._account_key(key), secrets.token_hex(), self._keep, self._channel, change
        )

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Return 0 if the owner has the lease of the account from now on, else for how many seconds another has it."""
        left = await self._run(lua.LEASE, self._key("lease", key), write_owner(owner), _milliseconds(seconds))
        return int(left) / 1000

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        change = write_change(Change(key))
        await self._publish(lua.RELEASE, self._key("lease", key), write_owner(owner), self._channel, change)

    async def changes(self) -> AsyncGenerator[Change]:
        """Give what happens from now on; the first change, which has no key, says that it has begun.

        Another change without a key says that the connection was lost for a while. Raises if it cannot be restored.
        """
        with SanitizedExceptions():
            async with aclosing(listen(self._redis, self._channel)) as published:
                try:
                    async for text in published:
                        yield Change(None) if text is None else parse_change(text)
                except NoPermissionError:
                    self._report_denied("SUBSCRIBE")
                    raise

    async def seen(self, event: str) -> bool:
        """Whether the event with that id is remembered."""
        return bool(await self._run(lua.SEEN, self._key("event", event), EVENT))

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the id of an event for at least that long."""
        await self._run(lua.REMEMBER, self._key("event", event), EVENT, _milliseconds(seconds))

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Return 0 if the request has a permit of the origin now, else the seconds after which to ask again."""
        wait = await self._run(
            lua.ACQUIRE_PERMIT,
            self._key("permits", origin),
            self._time_override(),
            limit.requests,
            _positive_microseconds(limit.per),
            _microseconds(hold),
            request_id,
        )
        return int(wait) / _IN_MICROSECONDS

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release the permit of a request that has ended, if it has one."""
        per, unique = _positive_microseconds(limit.per), secrets.token_hex(8)
        await self._run(
            lua.RELEASE_PERMIT, self._key("permits", origin), self._time_override(), per, request_id, unique
        )

    async def aclose(self) -> None:
        """Close the connections, if they are the store's own; the next call opens new ones."""
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
            # Connections work only in the event loop that they were opened in.
            self._client, self._loop = connect(self._url), loop
        return self._client

    async def _run(self, source: str, key: str, *args: str | bytes | int) -> Any:  # noqa: ANN401 - as the script returns it
        with SanitizedExceptions():
            return await self._write(self._scripts[source]([key], args, self._redis))

    async def _publish(self, source: str, key: str, *args: str | bytes | int) -> None:
        if await self._run(source, key, *args) is not None:
            self._report_denied("PUBLISH")

    def _report_denied(self, command: str) -> None:
        # Everything else works, so nobody would notice but by changes that arrive late.
        if command not in self._denied:
            self._denied.add(command)
            _log.warning(
                "Redis does not permit %s on the channel %s, so processes learn late of each other's changes",
                command,
                self._channel,
            )

    async def _write(self, call: Awaitable[_Result]) -> _Result:
        disconnected = self._disconnected
        try:
            return await call
        except ReadOnlyError:
            # The primary has become a replica, and the address leads to another one, or soon will. Once for all calls
            # that were under way, since the later ones would close each other's new connections.
            if disconnected == self._disconnected:
                self._disconnected += 1
                await disconnect(self._redis, in_use=self._url is not None)
            raise

    async def _read_accounts(self, keys: Sequence[str]) -> tuple[list[_Fields | None], int]:
        """Return version, read_at, sent and snapshot of each account that is known, and the time just after."""
        async with self._pipeline() as pipeline:
            for key in keys:
                # As bytes even if the client decodes: a value that is not UTF-8 must not fail the other accounts.
                pipeline.execute_command(
                    "HMGET", self._account_key(key), "version", "read_at", "sent", "snapshot", NEVER_DECODE=True
                )
            pipeline.time()
            *replies, (seconds, microseconds) = await pipeline.execute(raise_on_error=False)
        now = seconds * _IN_MICROSECONDS + microseconds
        # Too small by the time that the response took, so that a moment computed by it is never too late.
        self._clock_offset = now - _microseconds(self.monotonic())
        return [_account_fields(reply) for reply in replies], int(self._time_override() or now)

    async def _ensure_versions(self, keys: Sequence[str]) -> dict[str, str]:
        async with self._pipeline() as pipeline:
            for key in keys:
                await self._scripts[lua.ENSURE_VERSION](
                    [self._account_key(key)], [secrets.token_hex(), self._keep], pipeline
                )
            versions = await self._write(pipeline.execute())
        return {key: _text(version) for key, version in zip(keys, versions, strict=True)}

    def _pipeline(self) -> Any:  # noqa: ANN401 - its methods are not typed in full
        return self._redis.pipeline(transaction=False)

    def _to_stored(self, key: str, fields: _Fields, now: int) -> Stored:
        version, read_at, sent, text = fields
        snapshot = None if text is None else self._parser.parse(key, text)
        if snapshot is None or sent is None:
            return Stored(_text(version))
        age = (now - int(sent)) / _IN_MICROSECONDS
        # A snapshot from the future was put before the clock was set back, so that its age is unknown.
        return Stored(_text(version), snapshot, max(age, 0.0), read_at == version and age >= 0)

    def _account_key(self, key: str) -> str:
        return self._key("account", key)

    def _key(self, kind: str, name: str) -> str:
        # The braces keep all of one account on one node of a cluster.
        return f"{self._prefix}:{kind}:{{{name}}}"

    def _latest_sent(self, age: float) -> str:
        """Return the moment `age` seconds ago by the clock of Redis, or a little earlier; empty if unknown.

        A Redis that was paused runs commands from before the pause, which must not make a snapshot younger.
        """
        if self._clock_offset is None or self.clock is not None:
            return ""
        return str(self._clock_offset + _microseconds(self.monotonic() - age))

    def _time_override(self) -> str:
        return "" if self.clock is None else str(_microseconds(self.clock()))


def _account_fields(reply: object) -> _Fields | None:
    """Return the fields of an account, or None if there is none, or what no store has written, which is replaced."""
    if isinstance(reply, ResponseError):
        if not str(reply).startswith("WRONGTYPE"):
            raise reply
    else:
        fields = cast("list[bytes | None]", reply)
        version, _, sent, text = fields
        if version is sent is text is None:
            return None
        if _VERSION.fullmatch(version or b"") and (text is None if sent is None else _SENT.fullmatch(sent)):
            return cast("_Fields", tuple(fields))
    _log.warning("a value in Redis is no account, and counts as absent")
    return None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * _IN_MICROSECONDS))


def _positive_microseconds(seconds: float) -> int:
    # Redis would give a permit that is free again after no time to every request.
    return max(1, _microseconds(seconds))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
