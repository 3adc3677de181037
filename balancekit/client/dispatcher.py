"""The dispatcher: runs flights in tasks, as many at a time as there are slots; `FairQueue` decides which is next.

Each flight runs in a task in the context of the caller that it was begun for, a *worker*, which goes on with other
flights of that caller: a task for each account would cost more.
"""

import asyncio
import contextvars
import math
from collections.abc import Callable, Coroutine, Iterable, Sized
from operator import is_
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import aiohttp

from balancekit.client.accounts import Account
from balancekit.client.admission import waiting_since
from balancekit.client.attempts import Attempts, RetryAfter
from balancekit.client.fair_queue import FairQueue
from balancekit.client.flights import Flight, Waiter
from balancekit.client.leases import PERMIT_MARGIN
from balancekit.client.options import ReadOptions
from balancekit.client.origins import Origin
from balancekit.client.shared_failures import SharedFailures
from balancekit.errors import BalancekitError
from balancekit.http.hints import ENDLESS_HINT
from balancekit.http.own_variables import OWN_VARIABLES
from balancekit.money.amounts import use_adapter_decimals
from balancekit.money.balances import AccountBalances
from balancekit.stores.fail_open import FailOpenStore
from balancekit.stores.tasks import end_tasks

if TYPE_CHECKING:
    from balancekit.clock import Timer

_CANCEL_TIMEOUT: Final = 0.05
"""How many seconds tasks that are cancelled have to end in: a provider or a store may ignore that."""

_Item: TypeAlias = Account | Flight


class Dispatcher:
    """Runs flights in the event loop in which it was made, and puts what they read into the store, if there is one.

    `begin` makes the flight of an account that is next, or None if nobody waits for it any more; `finish` is called
    with what a flight has ended with, and `end` when the event loop ends.
    """

    def __init__(
        self,
        options: ReadOptions,
        session: aiohttp.ClientSession,
        store: FailOpenStore | None,
        failures: SharedFailures | None,
        origins: Sized,
        *,
        begin: Callable[[Waiter, Account], Flight | None],
        finish: Callable[[Flight, AccountBalances | BalancekitError], None],
        end: Callable[[], None],
    ) -> None:
        self._clock = options.clock
        # An adapter may ignore the end of its attempt, and never give its permit back.
        self._hold = options.timeout + PERMIT_MARGIN
        self._stores = store is not None
        self._attempts = Attempts(options, session, store, failures, abandon=self._leave_behind)
        self._begin = begin
        self._finish = finish
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._closed = False
        # Accounts wait here for the connections of a session, rather than there, where it would count as their time.
        connector = session.connector
        limit, limit_per_host = (0, 0) if connector is None else (connector.limit, connector.limit_per_host)
        self._queue: FairQueue[Origin, Waiter, _Item] = FairQueue(
            min(options.concurrency, limit or options.concurrency), origins=origins, most=limit_per_host or None
        )
        # When the permits of an origin were last asked for.
        self._asked_at = 0.0
        # When each blocked origin is looked at again.
        self._blocked: dict[Origin, Timer] = {}
        self._workers: set[asyncio.Task[None]] = set()
        # Workers that were cancelled and have not ended yet.
        self._cancelling: set[asyncio.Task[None]] = set()
        # Flights that wait for another process, by the account's key.
        self._awaiting_lease: dict[str, set[Flight]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing at all is left to do: no flight, no task and no timer."""
        tasks = self._workers or self._cancelling
        # Once this is closed, nothing that is queued is begun, or taken out.
        has_work = self._queue.has_work and not self._closed
        return not (has_work or tasks or self._awaiting_lease) and self._attempts.idle

    def enqueue(self, waiter: Waiter, origin: Origin, accounts: Iterable[Account]) -> None:
        """Queue accounts at one origin for a caller; under a rate limit those that wait longest are first."""
        self._queue.add(origin, waiter, accounts, rank=None if origin.limit is None else _waiting_since)

    def queued_at(self, origin: Origin, waiter: Waiter) -> int:
        """Return how many accounts at an origin are queued for a caller."""
        return self._queue.count(origin, waiter)

    def discard(self, waiter: Waiter) -> None:
        """Drop what is queued for a caller."""
        self._queue.discard(waiter)

    def pause(self, waiter: Waiter) -> None:
        """Begin no more flights for a caller for now."""
        self._queue.pause(waiter)

    def unpause(self, waiter: Waiter) -> None:
        """Begin flights for a caller again."""
        self._queue.unpause(waiter)
        self.dispatch()

    def dispatch(self) -> None:
        """Start as many flights as there are slots for."""
        while (flight := self._next()) is not None:
            self._start(flight)

    def cancel(self, flight: Flight) -> asyncio.Task[None] | None:
        """End a flight that nobody waits for; returns the task that still has to end, if there is one."""
        if flight.timer is not None:
            flight.timer.cancel()
        self._stop_awaiting_lease(flight)
        worker = None if self._loop.is_closed() else flight.worker
        if worker is not None:
            worker.cancel()
            # Its slot is free at once, since it may never end.
            self._workers.discard(worker)
            self._cancelling.add(worker)
            if not flight.is_running:
                # A task that is cancelled before its first step never runs, so nothing else gives this back.
                flight.account.origin.permits.cancel(flight)
            self._release_slot(flight)
            self.dispatch()
        self._attempts.release(flight)
        return worker

    def is_awaiting_lease(self, flight: Flight) -> bool:
        """Return whether a flight waits for another process."""
        return flight in self._awaiting_lease.get(flight.account.key, ())

    def resume_awaiting_lease(self, key: str | None) -> None:
        """Resume the flights that wait for another process: those of the account with that key, or all."""
        for waiting in list(self._awaiting_lease) if key is None else [key]:
            for flight in self._awaiting_lease.pop(waiting, ()):
                if flight.timer is not None:
                    flight.timer.cancel()
                    self._resume(flight)

    def run_in_background(self, call: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that belongs to no flight."""
        self._adopt(self._loop.create_task(call))

    def abandon(self, flight: Flight) -> None:
        """Give back the permit of a flight."""
        origin = flight.account.origin
        if origin.limit is not None and flight.sent_at is not None:
            origin.permits.release(origin.limit, flight, self._clock.monotonic())
        origin.permits.cancel(flight)

    def close(self) -> None:
        """Begin nothing any more, and stop all timers."""
        self._closed = True
        for timer in self._blocked.values():
            timer.cancel()
        self._blocked.clear()

    async def drain(self, seconds: float) -> None:
        """Wait, no longer than that, for what is still being put into the store, and end the rest."""
        await end_tasks(self._workers, seconds, _CANCEL_TIMEOUT)

    def _next(self) -> Flight | None:
        """Take a slot for the flight that is next."""
        if self._closed:
            return None
        while (found := self._queue.next(self._seconds_until_permitted, self._block)) is not None:
            origin, waiter, item = found
            if isinstance(item, Flight):
                flight = item if item.waiters else None
            else:
                flight = None if waiter is None else self._begin(waiter, item)
            if flight is None:
                self._queue.release(origin)
                continue
            flight.has_slot = True
            if origin.limit is not None:
                origin.permits.acquire(origin.limit, flight, self._asked_at, hold=self._hold)
            return flight
        return None

    def _seconds_until_permitted(self, origin: Origin) -> float:
        limit, cooldown = origin.limit, origin.cooldown
        if limit is None and not cooldown.times:
            return 0.0
        now = self._asked_at = self._clock.monotonic()
        permit = 0.0 if limit is None else origin.permits.wait(limit, now)
        return max(cooldown.remaining(now), permit)

    def _block(self, origin: Origin, seconds: float) -> None:
        if (timer := self._blocked.get(origin)) is not None:
            timer.cancel()
        self._blocked[origin] = self._clock.call_at(self._clock.monotonic() + seconds, self._unblock, origin)

    def _unblock(self, origin: Origin) -> None:
        timer = self._blocked.pop(origin, None)
        if timer is not None:
            timer.cancel()
            self._queue.unblock(origin)
            self.dispatch()

    def _release_slot(self, flight: Flight) -> None:
        if flight.has_slot:
            flight.has_slot = False
            self._queue.release(flight.account.origin)

    def _start(self, flight: Flight) -> None:
        context = flight.context.copy()
        # Not by the loop's task factory: a worker that it started at once would not be one of `_workers` yet.
        worker = asyncio.Task(self._work(flight), loop=self._loop, context=context)
        flight.worker = worker
        self._adopt(worker)

    def _adopt(self, task: asyncio.Task[None]) -> None:
        self._workers.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._cancelling.discard(task)
        if not task.cancelled():
            # The waiters have the error already; retrieving it keeps asyncio from logging it.
            task.exception()
        # A provider may have cancelled its task, and what is queued needs another one.
        self.dispatch()

    async def _work(self, flight: Flight) -> None:  # noqa: PLR0912 - each part in a call of its own is a call an account
        worker, context = asyncio.current_task(), flight.context
        following: Flight | None = flight
        result: AccountBalances | BalancekitError | RetryAfter | None
        while following is not None:
            # The last result is released: it may hold thousands of balances, and the next may take long.
            flight, retry_after, ended, result = following, None, None, None
            failed: BaseException | None = None
            flight.worker, flight.is_running, sent_before = worker, True, flight.sent
            # Afresh for each account: not the caller's precision, and not what the last adapter has made of it.
            use_adapter_decimals()
            begun_in = contextvars.copy_context()
            try:
                try:
                    result = await self._attempts.run(flight)
                    retry_after = result if isinstance(result, RetryAfter) else None
                    if (
                        self._blocked
                        and flight.account.origin in self._blocked
                        and not (flight.is_own and flight.sent is not sent_before)
                        and not (retry_after is not None and retry_after.blocks_origin)
                    ):
                        # It has given back a permit with which it sent no request. If the store had none for it, it has
                        # none for the next flight either.
                        self._unblock(flight.account.origin)
                    if not isinstance(result, RetryAfter):
                        self._finish(flight, result)
                        # The waiters have what was read by now, and do not wait for the store.
                        if isinstance(result, BalancekitError):
                            # The next process with the lease looks for the failure first.
                            self._attempts.release(flight)
                        elif self._stores and worker in self._workers:
                            # Still a worker, so that some caller has waited: what none waits for is not stored.
                            await self._attempts.store(flight, result)
                except BaseException as raised:  # noqa: BLE001 - raised again, below, if it ends the task or the program
                    failed = raised
                if failed is not None:
                    # Out here, so that no traceback of what a log handler raises has what the adapter raised.
                    self._fail(flight, failed)
                    ended = [] if isinstance(failed, Exception) else [flight.account.to_exit(failed)]
                    failed = None
            finally:
                flight.worker, flight.is_running = None, False
                # As `_release_slot` does, but without the call: this is done for every request.
                if flight.has_slot:
                    flight.has_slot = False
                    self._queue.release(flight.account.origin)
            if ended:
                # Out here, so that its context is not what the adapter raised; the traceback keeps this frame.
                raise ended.pop()
            if retry_after is not None:
                # Only now, since it may be begun again at once: with another worker and another slot.
                self._defer(flight, retry_after)
            # A cancellation, whatever its source, must not hit the next account.
            if worker is None or worker not in self._workers or worker.cancelling():
                return
            following = self._next()
            # What an adapter has left in its context is not for the next account. Values may be of any kind.
            left = contextvars.copy_context()
            is_same = len(left) == len(begun_in) and all(map(is_, left.values(), map(begun_in.get, left)))
            if following is not None and (
                following.context is not context or not (is_same or _is_our_own(begun_in, left))
            ):
                self._start(following)
                return

    def _fail(self, flight: Flight, raised: BaseException) -> None:
        # When the event loop is closed, tasks that have not ended are thrown away, and so are the callers.
        if self._loop.is_closed():
            return
        is_cancelled = flight.waiters and flight.worker is not None and flight.worker.cancelling()
        if is_cancelled and all(task.cancelling() for task in asyncio.all_tasks()):
            # The loop ends, which says nothing about the account.
            self._end()
        self._finish(flight, flight.account.to_error(raised))
        self._attempts.release(flight)

    def _leave_behind(self, flight: Flight) -> None:
        """Fail a flight whose provider ignores cancellation, as one whose caller has left."""
        if flight.waiters:
            self._finish(flight, flight.account.timeout_error("no response, and it ignores cancellation", ENDLESS_HINT))
            self.cancel(flight)

    def _defer(self, flight: Flight, retry_after: RetryAfter) -> None:
        if not flight.waiters:
            # All callers have left while the last attempt came to its end.
            return
        if retry_after.awaiting_lease:
            self._awaiting_lease.setdefault(flight.account.key, set()).add(flight)
        if retry_after.blocks_origin:
            self._queue.block(flight.account.origin)
            self._block(flight.account.origin, retry_after.seconds)
            self._put_back(flight)
        elif retry_after.seconds <= 0:
            self._resume(flight)
        else:
            at = self._clock.monotonic() + retry_after.seconds
            flight.timer = self._clock.call_at(at, self._resume, flight)

    def _resume(self, flight: Flight) -> None:
        flight.timer = None
        self._stop_awaiting_lease(flight)
        self._put_back(flight)
        self.dispatch()

    def _put_back(self, flight: Flight) -> None:
        origin = flight.account.origin
        self._queue.resume(origin, flight, rank=None if origin.limit is None else _waiting_since)

    def _stop_awaiting_lease(self, flight: Flight) -> None:
        waiting = self._awaiting_lease.get(flight.account.key)
        if waiting is not None:
            waiting.discard(flight)
            if not waiting:
                del self._awaiting_lease[flight.account.key]


def _is_our_own(begun_in: contextvars.Context, left: contextvars.Context) -> bool:
    """Return whether all that differs in a context from that which a worker has begun in is of this package."""
    return all(begun_in.get(variable) is value or variable in OWN_VARIABLES for variable, value in left.items())


def _waiting_since(item: _Item) -> float:
    if not isinstance(item, Flight):
        return waiting_since(item)
    since = waiting_since(item.account)
    # A retry comes after an account that waits for its first request since the same moment.
    return math.nextafter(since, math.inf) if item.is_own else since
