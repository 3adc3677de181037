"""The store of many replicas: a Redis server or cluster, 7 or later, through the extra `redis`.

Ages are measured by the clock of Redis, so that replicas agree even if their own clocks do not. A version is random,
and belongs to one history of the data: if a Redis was flushed, restored from a dump, short of memory or replaced by its
replica, earlier snapshots become invalid, and never valid again; if keys were restored while it was running, from the
next read of a process on that had seen their later versions. A value that cannot be parsed, since another release
or another program wrote it, counts as absent.

A Redis that loses its data forgets the permits of the last window under a rate limit, too.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast

import attrs

from balancekit.clock import MonotonicClock
from balancekit.errors import ConfigError, without_frames
from balancekit.http.bodies import MAX_RESPONSE_BODY
from balancekit.http.durations import positive_seconds
from balancekit.http.rate_limit import RateLimit
from balancekit.http.redaction import SanitizedExceptions
from balancekit.http.secret import Secret
from balancekit.logs import Log
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Change, Stored, StoredFailure
from balancekit.stores.forks import forget_parent_after_fork
from balancekit.stores.redis import clocks, scripts as lua
from balancekit.stores.redis.clocks import LatestVersions, ServerClocks, is_restored
from balancekit.stores.redis.connection import (
    AnyRedis,
    NoPermissionError,
    Redis,
    RedisCluster,
    close_all,
    connect,
    listen,
)
from balancekit.stores.redis.pipelines import Argument, Call, Pipelines
from balancekit.stores.redis.refusals import refusal_of, refusal_of_connection
from balancekit.stores.redis.values import (
    ParsedSnapshot,
    ParsedSnapshots,
    open_failure,
    parse_change,
    seal_failure,
    write_change,
    write_snapshot,
)
from balancekit.stores.subscribers import SharedChanges
from balancekit.stores.tasks import finish

_log = Log(__name__, without_context=True)

_WEEK: Final = 7 * 86400.0

_LARGE: Final = 2**15
"""The length from which on snapshots are read one by one: garbage must not keep those of others from being read."""

_LARGE_TIMEOUT: Final = 0.2
"""For how many seconds of a call they are; the others of it are read later, and count as absent until then."""

_EVENT: Final = "1"
"""What is written for an event, of which nothing but its existence matters."""


@attrs.frozen(eq=False)
class _Connected:
    """What works only in the event loop that it was made in."""

    redis: AnyRedis
    pipelines: Pipelines
    changes: SharedChanges


class RedisStore:
    """Keeps everything in Redis, for all clients that use the same `prefix` there.

    `redis` is a `redis.asyncio.Redis` or `RedisCluster`. It is used and left open; it should have a `socket_timeout`
    and few retries, since a call may last as long as they allow. `keep` is after how many seconds an account is
    forgotten that is neither read nor invalidated. Raises ConfigError for any other object.

    Every method raises StoreRefusedError if Redis responds, but is full or does not permit what is needed; otherwise
    the errors of redis-py.
    """

    clock: Callable[[], float] | None = None
    """Returns the time in Unix seconds instead of Redis; set in tests."""

    @without_frames
    def __init__(self, redis: AnyRedis, *, prefix: str = "balancekit", keep: float = _WEEK) -> None:
        given = cast("object", redis)
        if not isinstance(given, Redis | RedisCluster):
            found = f"got {type(given).__name__}; for a URL use from_url"
            raise ConfigError(f"redis: expected a redis.asyncio.Redis or RedisCluster, {found}")
        if not isinstance(cast("object", prefix), str):
            raise ConfigError(f"prefix: expected text, got {type(prefix).__name__}")
        # None if the store has connections of its own, for each event loop, which `_connect` opens.
        self._lent: AnyRedis | None = redis
        self._connect: Callable[[], AnyRedis] = lambda: redis
        # By event loop: there may be one in each of several threads.
        self._connected: dict[asyncio.AbstractEventLoop, _Connected] = {}
        self._prefix = prefix
        self._channel = f"{prefix}:changes"
        self._keep = max(1, round(positive_seconds("keep", keep)))
        # Not that of the event loop: some look at the time once an iteration.
        self.monotonic: Callable[[], float] = MonotonicClock()
        self._clocks, self._parsed, self._latest = ServerClocks(), ParsedSnapshots(), LatestVersions()
        # The history of the server that was read last.
        self._last_history: str | None = None
        # The commands that Redis does not permit, each of which is logged once.
        self._denied: set[str] = set()
        forget_parent_after_fork(self)

    @classmethod
    def from_url(
        cls, url: str | Secret, *, prefix: str = "balancekit", keep: float = _WEEK, cluster: bool = False
    ) -> Self:
        """Make a store with connections of its own, which `aclose` closes: `redis://:password@host:6379/0`.

        With `cluster`, the URL is that of any node of a Redis Cluster. Raises ConfigError, which does not show the URL,
        if that cannot be used.
        """
        url = Secret.of(url)
        store = cls(connect(url, cluster=cluster), prefix=prefix, keep=keep)
        store._lent, store._connect = None, lambda: connect(url, cluster=cluster)
        return store

    async def get(self, keys: Sequence[str]) -> list[Stored]:
        """Return what is known of each account, in the order of the keys."""
        asked_at = clocks.microseconds(self.monotonic())
        known = [self._parsed.get(key) for key in keys]
        # As known before Redis is asked: another thread may learn of a later one while a reply is on its way.
        latest = [self._latest.get(key) for key in keys]
        replies = await self._run([self._read(*one, _LARGE) for one in zip(keys, known, strict=True)])
        await self._note_servers(replies, asked_at)
        stored = [self._to_stored(key, parsed, reply) for key, parsed, reply in zip(keys, known, replies, strict=True)]
        large = [place for place, reply in enumerate(replies) if self._is_left(keys[place], reply)]
        with suppress(TimeoutError):
            async with asyncio.timeout(_LARGE_TIMEOUT if large else None):
                for place in large:
                    key = keys[place]
                    (reply,) = await self._run([self._read(key, None, MAX_RESPONSE_BODY)])
                    stored[place] = self._to_stored(key, None, reply)
        return await self._renew_restored(keys, stored, latest)

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot whose request was sent `age` seconds ago, unless a better one is there."""
        mark, text = secrets.token_hex(), write_snapshot(key, snapshot)
        await self._publish(
            lua.PUT,
            self._key("account", key),
            self._time_override(),
            secrets.token_hex(),
            self._keep,
            version,
            clocks.microseconds(age),
            self._latest_sent(version, age),
            mark,
            text,
            self._channel,
            write_change(Change(key)),
            *self._clocks.suspect(clocks.history_of(version), key),
        )
        if len(text) > _LARGE:
            self._parsed.note(key, mark.encode(), snapshot)

    async def invalidate(self, key: str) -> None:
        """Note that the balances may have changed: no request that was sent before now shows them."""
        await self._invalidate([key])

    async def put_failure(self, key: str, text: str, *, version: str | None, cooldown: float) -> None:
        """Keep a failure for so many seconds, unless it is of an earlier version."""
        await self._publish(
            lua.PUT_FAILURE,
            self._key("account", key),
            self._time_override(),
            secrets.token_hex(),
            self._keep,
            version or "",
            clocks.microseconds(cooldown),
            seal_failure(key, text),
            self._channel,
            write_change(Change(key)),
        )

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Return 0 if the owner has the lease of the account from now on, else for how many seconds another has it."""
        left = await self._run_one(lua.LEASE, self._key("lease", key), owner, clocks.milliseconds(seconds))
        return int(left) / 1000

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        change = write_change(Change(key, released=True))
        await self._publish(lua.RELEASE, self._key("lease", key), owner, self._channel, change)

    async def changes(self) -> AsyncGenerator[Change]:
        """Give what happens from now on; the first change, which has no key, says that it has begun.

        Another change without a key says that the connection was lost for a while. Raises if it cannot be restored.
        """
        with SanitizedExceptions():
            async with aclosing(self._here().changes.subscribe()) as changes:
                async for change in changes:
                    yield change

    async def seen(self, event: str) -> bool:
        """Whether the event with that id is remembered."""
        return bool(await self._run_one(lua.SEEN, self._key("event", event), _EVENT))

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the id of an event for at least that long."""
        await self._run_one(lua.REMEMBER, self._key("event", event), _EVENT, clocks.milliseconds(seconds))

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Return 0 if the request has a permit of the origin now, else the seconds after which to ask again."""
        wait = await self._run_one(
            lua.ACQUIRE_PERMIT,
            self._key("permits", origin),
            self._time_override(),
            limit.requests,
            clocks.positive_microseconds(limit.per),
            clocks.microseconds(hold),
            request_id,
        )
        return int(wait) / clocks.IN_MICROSECONDS

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release the permit of a request that has ended, if it has one."""
        per, unique = clocks.positive_microseconds(limit.per), secrets.token_hex(8)
        await self._run_one(
            lua.RELEASE_PERMIT, self._key("permits", origin), self._time_override(), per, request_id, unique
        )

    async def aclose(self) -> None:
        """Close the connections, if they are the store's own; the next call opens new ones."""
        if self._lent is None:
            clients = {loop: self._connected.pop(loop).redis for loop in list(self._connected)}
            # Even if the caller is cancelled: nobody else knows these connections any more.
            await finish(partial(close_all, clients))

    def forget_parent(self) -> object:
        """Forget, in a child process, the parent's connections, which are returned; the next call opens new ones."""
        inherited, self._connected = self._connected, {}
        return inherited

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
        # Error trackers call this even while the constructor raises.
        return f"RedisStore(prefix={vars(self).get('_prefix')!r})"

    def _here(self) -> _Connected:
        loop = asyncio.get_running_loop()
        if loop not in self._connected:
            for other in [one for one in list(self._connected) if one.is_closed()]:
                self._connected.pop(other, None)
            redis = self._connect()
            pipelines = Pipelines(redis, own=self._lent is None)
            self._connected[loop] = _Connected(redis, pipelines, SharedChanges(self._listen))
        return self._connected[loop]

    async def _run(self, calls: Sequence[Call]) -> list[Any]:
        with SanitizedExceptions():
            replies = await self._here().pipelines.run(calls)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise refusal_of(reply) or reply
        return replies

    async def _run_one(self, source: str, key: str, *args: Argument) -> Any:  # noqa: ANN401 - as the script returns it
        (reply,) = await self._run([Call(source, key, args)])
        return reply

    def _read(self, key: str, parsed: ParsedSnapshot | None, longest: int) -> Call:
        args = self._time_override(), secrets.token_hex(), self._keep, parsed.mark if parsed else "", longest
        return Call(lua.READ, self._key("account", key), args)

    def _is_left(self, key: str, reply: Sequence[Any]) -> bool:
        """Return whether a snapshot was too long to be read with the others."""
        parsed, mark = self._parsed.get(key), reply[3]
        return mark is not None and (parsed is None or parsed.mark != mark)

    async def _invalidate(self, keys: Sequence[str]) -> list[str]:
        """Return the new versions of accounts."""
        calls: list[Call] = []
        for key in keys:
            change = write_change(Change(key, invalidated=True))
            latest = self._latest.get(key)
            args = self._time_override(), secrets.token_hex(), self._keep, self._channel, change, latest
            calls.append(Call(lua.INVALIDATE, self._key("account", key), args))
        replies = await self._run(calls)
        versions = [version.decode() for version, _ in replies]
        for key, version in zip(keys, versions, strict=True):
            self._latest.note(key, version)
        if any(denied is not None for _, denied in replies):
            self._report_denied("PUBLISH")
        return versions

    async def _renew_restored(self, keys: Sequence[str], stored: list[Stored], latest: list[str]) -> list[Stored]:
        """Give another version to accounts that were restored while Redis was running: they lack invalidations."""
        restored: dict[int, str] = {}
        for place, (key, known) in enumerate(zip(keys, stored, strict=True)):
            version = known.version.rpartition(":")[2]
            if is_restored(latest[place], version):
                restored[place] = key
            self._latest.note(key, version)
        if restored:
            _log.warning("Redis has older versions of %d accounts, as from a backup: they are read anew", len(restored))
            versions = await self._invalidate([*restored.values()])
            for place, renewed in zip(restored, versions, strict=True):
                version = f"{clocks.history_of(stored[place].version)}:{renewed}"
                stored[place] = attrs.evolve(stored[place], version=version, valid=False, failure=None)
        return stored

    async def _publish(self, source: str, key: str, *args: Argument) -> None:
        if await self._run_one(source, key, *args) is not None:
            self._report_denied("PUBLISH")

    async def _listen(self) -> AsyncGenerator[Change]:
        with SanitizedExceptions():
            async with aclosing(listen(self._here().redis, self._channel)) as published:
                try:
                    async for text in published:
                        yield Change(None) if text is None else parse_change(text)
                except Exception as error:
                    if isinstance(error, NoPermissionError):
                        self._report_denied("SUBSCRIBE")
                    refusal = refusal_of_connection(error)
                    if refusal is None:
                        raise
                    raise refusal from None

    def _report_denied(self, command: str) -> None:
        # Everything else works, so nobody would notice but by changes that arrive late.
        if command not in self._denied:
            self._denied.add(command)
            problem = "Redis does not permit %s on the channel %s, so processes learn late of each other's changes"
            _log.warning(problem, command, self._channel)

    def _to_stored(self, key: str, parsed: ParsedSnapshot | None, reply: Sequence[Any]) -> Stored:
        version, read_at, sent, mark, text, failure, failed_at, until, now, deleted = reply
        if deleted:
            _log.warning("a value in Redis is no account, and counts as absent")
        if text is not None:
            parsed = self._parsed.parse(key, mark, text)
        stored = Stored(version.decode())
        if failure is not None and (opened := open_failure(key, failure)) is not None:
            since, left = int(now) - int(failed_at), int(until) - int(now)
            shared = StoredFailure(opened, since / clocks.IN_MICROSECONDS, left / clocks.IN_MICROSECONDS)
            stored = attrs.evolve(stored, failure=shared)
        if parsed is None or parsed.mark != mark or parsed.snapshot is None:
            return stored
        age = int(now) - int(sent)
        # A snapshot from the future was put before the clock was set back, so that its age is unknown.
        valid = read_at == version and age >= 0
        age += self._clocks.set_back_since(clocks.history_of(stored.version), key, mark, int(sent))
        return attrs.evolve(stored, snapshot=parsed.snapshot, age=max(age, 0) / clocks.IN_MICROSECONDS, valid=valid)

    async def _note_servers(self, replies: Sequence[Sequence[Any]], asked_at: int) -> None:
        answered_at = clocks.microseconds(self.monotonic())
        times = {clocks.history_of(version.decode()): int(now) for version, *_, now, _ in replies}
        for history, now in times.items():
            self._clocks.note(history, now, asked_at=asked_at, answered_at=answered_at)
        connected = self._here()
        if isinstance(connected.redis, RedisCluster) or not times:
            return
        earlier, self._last_history = self._last_history, [*times][-1]
        if earlier not in {None, self._last_history}:
            # The address leads to another server, or to one that was restored: a listener may still be at the former.
            await connected.changes.restart()

    def _key(self, kind: str, name: str) -> str:
        # The braces keep all of one account on one node of a cluster.
        return f"{self._prefix}:{kind}:{{{name}}}"

    def _latest_sent(self, version: str, age: float) -> str:
        """Return the moment `age` seconds ago by the clock of Redis, or a little earlier; empty if unknown.

        A Redis that was paused runs commands from before the pause, which must not make a snapshot younger.
        """
        latest = self._clocks.at_least(clocks.history_of(version), clocks.microseconds(self.monotonic() - age))
        return "" if latest is None or self.clock is not None else str(latest)

    def _time_override(self) -> str:
        return "" if self.clock is None else str(clocks.microseconds(self.clock()))
