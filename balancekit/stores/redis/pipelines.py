"""Scripts that are called at about the same time, sent to Redis together: the way to it is waited for once for all."""

import asyncio
import functools
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Final, TypeAlias, cast

import attrs

from balancekit.stores.copied_errors import copied
from balancekit.stores.redis.connection import UNREACHABLE, AnyRedis, NoScriptError, ReadOnlyError, disconnect
from balancekit.stores.redis.refusals import refusal_of_connection
from balancekit.stores.tasks import ends_task

Argument: TypeAlias = str | bytes | int

MAX_CALLS: Final = 1000
"""How many calls one pipeline has at most: packing and parsing many more would keep the event loop busy."""


@attrs.frozen(eq=False)
class Call:
    """A script, its one key and its arguments; made in the event loop that it is run in."""

    source: str
    key: str
    args: tuple[Argument, ...]
    reply: "asyncio.Future[Any]" = attrs.field(init=False, factory=lambda: asyncio.get_running_loop().create_future())


class Pipelines:
    """Sends scripts, one pipeline after the other; what is called while one is under way goes with the next.

    Replies are bytes, even if the client decodes: a value that is not UTF-8 must not fail the other calls. When Redis
    has become a replica, the connections are closed, once for all calls of a pipeline: those in use if they are the
    store's `own`.
    """

    def __init__(self, redis: AnyRedis, *, own: bool) -> None:
        self._redis = redis
        self._own = own
        self._waiting: list[Call] = []
        self._sent: list[Call] = []
        self._task: asyncio.Task[None] | None = None
        self._pipeline: asyncio.Task[list[Any]] | None = None

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Return the reply to each call, which is an exception if it failed."""
        self._waiting += calls
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send())
        try:
            return [await call.reply for call in calls]
        except asyncio.CancelledError:
            for call in calls:
                call.reply.cancel()
            if self._pipeline is not None and all(call.reply.done() for call in self._sent):
                # Nobody waits for it any more, and those who wait for the next should not.
                self._pipeline.cancel()
            raise

    async def _send(self) -> None:
        # So that calls of the same turn of the loop go together with eager tasks, too.
        await asyncio.sleep(0)
        try:
            while self._waiting:
                next_calls, self._waiting = self._waiting[:MAX_CALLS], self._waiting[MAX_CALLS:]
                self._sent = [call for call in next_calls if not call.reply.done()]
                self._pipeline = asyncio.get_running_loop().create_task(self._execute(self._sent))
                await asyncio.wait([self._pipeline])
                if not self._pipeline.cancelled():
                    _resolve(self._sent, self._pipeline.result())
        finally:
            # If this is cancelled, its callers must not wait for ever.
            for call in (*self._sent, *self._waiting):
                call.reply.cancel()
            self._pipeline, self._sent, self._waiting = None, [], []

    async def _execute(self, calls: Sequence[Call]) -> list[Any]:
        task = asyncio.current_task()
        try:
            replies = await self._pipe("EVALSHA", calls)
            lost = [place for place, reply in enumerate(replies) if isinstance(reply, UNREACHABLE)]
            if lost:
                # A node of a cluster is gone, and others have, or will have, its keys.
                await disconnect(self._redis, in_use=self._own)
                await self._repeat("EVALSHA", calls, replies, lost)
            # With the source for the first call of each script, after which Redis has it; a node of a cluster has only
            # what was called there, so that a second time all go with their source.
            for command in ("EVAL once", "EVAL"):
                unknown = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
                await self._repeat(command, calls, replies, unknown)
            if any(isinstance(reply, ReadOnlyError) for reply in replies):
                await disconnect(self._redis, in_use=self._own)
        except BaseException as error:
            if ends_task(error, task):
                raise
            failure = refusal_of_connection(error) or error
            return [copied(failure) for _ in calls]
        return replies

    async def _repeat(self, command: str, calls: Sequence[Call], replies: list[Any], places: Sequence[int]) -> None:
        if places:
            again = await self._pipe(command, [calls[place] for place in places])
            for place, reply in zip(places, again, strict=True):
                replies[place] = reply

    async def _pipe(self, command: str, calls: Sequence[Call]) -> list[Any]:
        if not calls:
            return []
        pipeline: Any = self._redis.pipeline(transaction=False)
        sent: set[str] = set()
        for call in calls:
            has_source = command == "EVAL" or (command == "EVAL once" and call.source not in sent)
            sent.add(call.source)
            script = ("EVAL", call.source) if has_source else ("EVALSHA", _digest(call.source))
            pipeline.execute_command(*script, 1, call.key, *call.args, NEVER_DECODE=True)
        return cast("list[Any]", await pipeline.execute(raise_on_error=False))


@functools.cache
def _digest(source: str) -> str:
    # By which Redis knows a script that it has run before.
    return sha1(source.encode(), usedforsecurity=False).hexdigest()


def _resolve(calls: Sequence[Call], replies: Sequence[Any]) -> None:
    for call, reply in zip(calls, replies, strict=True):
        if not call.reply.done():
            call.reply.set_result(reply)
