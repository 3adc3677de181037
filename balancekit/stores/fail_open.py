"""A store that fails open: calls are bounded in time, and while it is down or slow, accounts are read without it."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

from balancekit.clock import Clock, Timer
from balancekit.errors import text_of
from balancekit.http.rate_limit import RateLimit
from balancekit.logs import Log
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Change, FailureStore, SnapshotStore, Stored, StoreRefusedError
from balancekit.stores.joined_lookups import AT_ONCE, JoinedLookups
from balancekit.stores.quiet_log import QuietLog
from balancekit.stores.recent_events import RecentEvents
from balancekit.stores.returned import is_sound, sound_seconds
from balancekit.stores.tasks import end_tasks, ends_task, start_timers, wait_or_cancel
from balancekit.stores.unknown_versions import UnknownVersions, is_known

_log = Log(__name__, without_context=True)
_Result = TypeVar("_Result")

_CALL_TIMEOUT: Final = 0.5
"""How many seconds one call to the store may take."""

_COOLDOWN: Final = 1.0
"""How many seconds pass before a store that failed is called again, and before listening to it begins again."""


class _UnavailableError(Exception):
    """The store failed, refused the call, or is in its cooldown; never leaves this module."""


class FailOpenStore:
    """A store as a client uses it: no call raises, and none takes longer than a second.

    A lookup may take that long for each thousand accounts. While the store is unavailable every snapshot counts as
    unknown, so that the providers are read; leases and permits are granted. Invalidations are kept as long as the
    process lives, and sent to the store once it is back, even if no other call is made; until then the snapshots of
    these accounts count as unknown. `pending_invalidations` are those left from an earlier event loop. The log has one
    line when the store is lost, and one when it is back.

    A call that the store refuses, or for which it is too slow while it answers others, is treated alike, but other
    calls go on. The log has one line for each such message, and another if it occurs again after an hour without it.

    `on_change` is called with every change from the first `listen` on.
    """

    def __init__(
        self,
        store: SnapshotStore,
        on_change: Callable[[Change], None],
        clock: Clock,
        *,
        pending_invalidations: Mapping[str, object] | None = None,
    ) -> None:
        self._store = store
        self.shares_failures: bool = isinstance(store, FailureStore)
        self._on_change = on_change
        self._clock = clock
        self._reachable = True
        self._retry_at = self._answered_at = 0.0
        self._messages = QuietLog(_log, clock)
        self._unknown = UnknownVersions()
        # By key, a new object for every invalidation: one that follows while an earlier one is being sent is not lost.
        self._pending_invalidations: dict[str, object] = dict(pending_invalidations or {})
        # Also kept in the store; here for when the store is unavailable.
        self._recent_events = RecentEvents(clock)
        self._lookups = JoinedLookups(self._get_batch, self._unknown_of, self._start)
        self._listening = asyncio.Event()
        self._listen_task: asyncio.Task[None] | None = None
        self._flush_task: asyncio.Task[None] | None = None
        # All that are to end when this is closed.
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def reachable(self) -> bool:
        """Whether the last call to the store succeeded."""
        return self._reachable

    @property
    def pending_invalidations(self) -> Mapping[str, object]:
        """The invalidations that have not been sent to the store yet, by key."""
        return self._pending_invalidations

    async def get(self, keys: Sequence[str]) -> Sequence[Stored]:
        """Return what is known of each account; concurrent calls are joined into one of the store."""
        return await self._lookups.get(keys)

    def unknown(self, keys: Sequence[str]) -> Sequence[Stored]:
        """Return what is known of accounts as long as the store says nothing of them."""
        return [*map(self._unknown_of, keys)]

    @staticmethod
    def is_known(version: str) -> bool:
        """Whether the store itself said that version: a snapshot of another is of no use to later callers."""
        return is_known(version)

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot, unless the store is unavailable."""
        with suppress(_UnavailableError):
            await self._call(lambda: self._store.put(key, snapshot, version=version, age=age))

    async def put_failure(self, key: str, text: str, *, version: str | None, cooldown: float) -> None:
        """Share a failure of an account or an origin, unless the store is unavailable; it must be a FailureStore."""
        store = cast("FailureStore", self._store)
        with suppress(_UnavailableError):
            await self._call(lambda: store.put_failure(key, text, version=version, cooldown=cooldown))

    async def invalidate(self, key: str) -> None:
        """Note that the balances may have changed, now or as soon as the store is available."""
        try:
            await self._call_in_task(lambda: self._store.invalidate(key))
        except (_UnavailableError, asyncio.CancelledError) as error:
            self._pending_invalidations[key] = object()
            self._ensure_flushing()
            if isinstance(error, asyncio.CancelledError):
                raise
        # Lookups may be refused although this is not.
        self._unknown.forget(key)

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Take, or renew, the right to read the account; without the store every process has it."""
        try:
            return await self._call(lambda: sound_seconds(self._store.lease(key, owner, seconds=seconds)))
        except _UnavailableError:
            return 0.0

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back; if the store is unavailable, the lease expires by itself."""
        with suppress(_UnavailableError):
            await self._call(lambda: self._store.release(key, owner))

    async def seen(self, event: str) -> bool:
        """Whether the event is remembered, by this process or by the store."""
        if event in self._recent_events:
            return True
        try:
            return await self._call_in_task(lambda: self._store.seen(event))
        except _UnavailableError:
            return False

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember an event, in this process and in the store."""
        self._recent_events.add(event, seconds=seconds)
        with suppress(_UnavailableError):
            await self._call_in_task(lambda: self._store.remember(event, seconds=seconds))

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Acquire a permit; without the store every request has one, and the limit holds within this process only."""
        try:
            acquire = partial(self._store.acquire_permit, origin, limit, request_id, hold=hold)
            return await self._call(lambda: sound_seconds(acquire()))
        except _UnavailableError:
            return 0.0

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release a permit; one that cannot be released counts as held until its `hold` is over."""
        with suppress(_UnavailableError):
            await self._call(lambda: self._store.release_permit(origin, limit, request_id))

    async def listen(self) -> None:
        """Call `on_change` from now on; returns when that has begun, or if the store is unavailable."""
        # It is done if the program has cancelled all of its tasks.
        if self._listen_task is None or self._listen_task.done():
            self._listening.clear()
            self._listen_task = self._start(self._listen(), contextvars.Context())
        with suppress(TimeoutError):
            async with self._clock.timeout(_CALL_TIMEOUT):
                await self._listening.wait()
        # Nobody waits for it again.
        self._listening.set()

    def forget(self, key: str) -> None:
        """Forget an account that is not read any more; what other processes are to know of it is still sent."""
        self._unknown.forget(key)

    def run_in_background(self, call: Coroutine[Any, Any, None]) -> None:
        """Run a call without waiting for it; none is started once this is closed."""
        if self._closed:
            call.close()
        else:
            self._start(call)

    def abandon(self) -> None:
        """Start no call any more: the event loop does not run. Should it run again, calls under way are cancelled."""
        self._closed = True
        for task in self._tasks:
            # Which needs a loop that is not closed.
            with suppress(RuntimeError):
                task.cancel()

    def stop_looking_up(self) -> None:
        """Answer every lookup at once, also those that are under way: nothing is known."""
        self._lookups.stop()

    async def aclose(self) -> None:
        """Send pending invalidations, and end the calls under way; the store itself is left open."""
        self._closed = True
        self.stop_looking_up()
        for endless in (self._listen_task, self._flush_task):
            if endless is not None:
                endless.cancel()
        if self._pending_invalidations:
            self._start(self._send_pending())
        # So many seconds to end in, and then to end in after they were cancelled.
        await end_tasks(self._tasks, 0.4, 0.1)
        if self._pending_invalidations:
            _log.warning("the store does not know that %d accounts may have changed", len(self._pending_invalidations))

    def _start(self, call: Coroutine[Any, Any, None], context: contextvars.Context | None = None) -> asyncio.Task[None]:
        """Begin a task; what outlives its caller gets a context without the caller's request."""
        create = asyncio.get_running_loop().create_task
        # In the context, not with it: a task factory of the host's may take no such argument.
        task = create(call) if context is None else context.run(create, call)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard, context=context)
        return task

    async def _call(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        task, called_at, was_reachable = asyncio.current_task(), self._clock.monotonic(), self._reachable
        self._ensure_flushing()
        if not was_reachable:
            if called_at < self._retry_at:
                raise _UnavailableError
            # This call tries whether the store is back; during the next cooldown no other does.
            self._retry_at = called_at + _COOLDOWN
        timers: list[Timer] = []
        failure: list[BaseException] = []
        try:
            async with asyncio.timeout(None) as timeout:
                start_timers(timers, timeout, _CALL_TIMEOUT, self._clock)
                result = await call()
        except BaseException as error:
            if ends_task(error, task):
                raise
            failure.append(error)
        else:
            self._note_answer(was_reachable=was_reachable)
            return result
        finally:
            for timer in timers:
                timer.cancel()
        # Out here, so that no traceback of what a log handler raises has what the store raised.
        self._note_failure(failure.pop(), called_at, was_reachable=was_reachable)
        raise _UnavailableError

    async def _call_in_task(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """As `_call`, for callers without a deadline: a store may ignore that the call is cancelled."""
        results: list[_Result] = []

        async def run() -> None:
            with suppress(_UnavailableError):
                results.append(await self._call(call))

        try:
            await wait_or_cancel(self._start(run()), 2 * _CALL_TIMEOUT, self._clock)
        except TimeoutError as error:
            self._fail(error)
        if not results:
            raise _UnavailableError
        return results[0]

    def _note_answer(self, *, was_reachable: bool) -> None:
        self._answered_at = self._clock.monotonic()
        # An answer to a call that was made before the store failed does not mean that it is back.
        if not was_reachable and not self._reachable:
            self._reachable = True
            _log.info("the store is back")

    def _note_failure(self, error: BaseException, called_at: float, *, was_reachable: bool) -> None:
        if isinstance(error, StoreRefusedError):
            self._note_answer(was_reachable=was_reachable)
            self._messages.warn(f"the store refuses a call: {text_of(error)}")
        elif isinstance(error, TimeoutError) and self._answered_at > called_at:
            self._messages.warn(f"the store is slow: it answers, but not every call within {_CALL_TIMEOUT:g} s")
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._retry_at = self._clock.monotonic() + _COOLDOWN
        if self._reachable:
            self._reachable = False
            self._unknown.forget_all()
            # Only the name of the error, whose text may hold an address with a password.
            _log.warning("the store is out of reach (%s): accounts are read without it", type(error).__name__)

    def _ensure_flushing(self) -> None:
        is_flushing = self._flush_task is not None and not self._flush_task.done()
        if self._pending_invalidations and not is_flushing and not self._closed:
            self._flush_task = self._start(self._flush_pending(), contextvars.Context())

    async def _flush_pending(self) -> None:
        # In a task of its own, since a process that only receives webhooks may make no other call for hours. It yields
        # first, so that with eager tasks `_flush_task` is set before a call to the store would begin another.
        await asyncio.sleep(0)
        while self._pending_invalidations:
            await self._send_pending()
            if self._pending_invalidations:
                await self._clock.sleep(_COOLDOWN)

    async def _send_pending(self) -> None:
        # Cooldown or not: callers need not wait for this, and other processes should know soon.
        self._retry_at = 0.0
        pending = list(self._pending_invalidations.items())
        for start in range(0, len(pending), AT_ONCE):
            with suppress(_UnavailableError):
                await self._call(partial(self._send_invalidations, pending[start : start + AT_ONCE]))

    async def _send_invalidations(self, pending: Sequence[tuple[str, object]]) -> None:
        """Send invalidations all at once; raise the error of one that failed, that of an outage before a refusal."""
        results = await asyncio.gather(*(self._send(*one) for one in pending), return_exceptions=True)
        errors = [result for result in results if result is not None]
        if errors:
            raise min(errors, key=lambda error: isinstance(error, StoreRefusedError))

    async def _send(self, key: str, mark: object) -> None:
        await self._store.invalidate(key)
        self._answered_at = self._clock.monotonic()
        # Unless it was invalidated again in the meantime.
        if self._pending_invalidations.get(key) is mark:
            del self._pending_invalidations[key]

    def _unknown_of(self, key: str) -> Stored:
        return Stored(self._unknown.version_of(key))

    async def _get_batch(self, keys: list[str]) -> dict[str, Stored]:
        async def get() -> dict[str, Stored]:
            return dict(zip(keys, await self._store.get(keys), strict=True))

        # Before the call: what the store says while one of these is being sent may be from before it.
        pending = self._pending_invalidations.keys() & set(keys)
        try:
            known = await self._call(get)
        except _UnavailableError:
            return dict(zip(keys, self.unknown(keys), strict=True))
        wrong = [key for key, stored in known.items() if not is_sound(stored)]
        if wrong:
            self._messages.warn("the store returns wrong types: accounts of which it does count as unknown")
            known |= zip(wrong, self.unknown(wrong), strict=True)
        self._unknown.forget(*known.keys() - pending - {*wrong})
        # Another version after each invalidation, whichever process made it.
        return known | {key: Stored(f"{self._unknown.version_of(key)} {known[key].version}") for key in pending}

    async def _listen(self) -> None:
        task = asyncio.current_task()
        while True:
            reason: str | None = None
            try:
                async with aclosing(self._store.changes()) as changes:
                    async for change in changes:
                        # A store may ignore that this was cancelled.
                        if self._closed:
                            return
                        self._listening.set()
                        self._unknown.on_change(change)
                        self._on_change(change)
            except BaseException as error:
                if ends_task(error, task):
                    raise
                # Anything else is not logged here: the next call will fail too, and log it once.
                reason = text_of(error) if isinstance(error, StoreRefusedError) else None
            if reason is not None:
                self._messages.warn(f"the store refuses a call: {reason}")
            self._listening.set()
            await self._clock.sleep(_COOLDOWN)
