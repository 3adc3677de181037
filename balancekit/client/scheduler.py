"""The scheduler: a few workers that take flights from one queue and run them, and the callers that wait for them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from balancekit.client.accounts import Account
from balancekit.client.attempts import Attempts, RetryAfter
from balancekit.client.flights import Flight, Flights, Waiter
from balancekit.client.instrumentation import log_transition
from balancekit.client.options import ReadOptions
from balancekit.errors import BalancekitError, ProviderError
from balancekit.http.hints import STILL_QUEUED_HINT
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import SnapshotStore, Stored
from balancekit.stores.fail_open import FailOpenStore

# How many seconds a caller that leaves waits for the requests that this cancels: a provider may ignore cancellation.
_CANCEL_TIMEOUT: Final = 0.05
# How many seconds a closed client waits for what has been read to be put into the store.
_DRAIN_TIMEOUT: Final = 1.0


class Scheduler:
    """Reads accounts with at most `options.concurrency` requests at a time, in order of arrival.

    It works in the event loop in which it was made. What is read is put into the store.
    """

    def __init__(
        self, options: ReadOptions, session: aiohttp.ClientSession, store: SnapshotStore | FailOpenStore
    ) -> None:
        self._options = options
        self._store = store
        self._shared = store if isinstance(store, FailOpenStore) else None
        self._attempts = Attempts(options, session, store)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._waiters: set[Waiter] = set()
        self._flights = Flights()
        # Flights that can run now, and waiters whose queued accounts are to become flights one by one.
        self._queue: deque[Flight | Waiter] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        # Workers that were cancelled and have not ended yet.
        self._cancelling: set[asyncio.Task[None]] = set()
        # Flights that wait for another process, by the account's key.
        self._awaiting_lease: dict[str, set[Flight]] = {}

    @property
    def busy(self) -> bool:
        """Whether a caller is waiting."""
        return bool(self._waiters)

    @property
    def idle(self) -> bool:
        """Whether nothing at all is left to do: no caller, no flight, no task and no timer."""
        queued = any(item.waiters if isinstance(item, Flight) else item.queued for item in self._queue)
        tasks = self._workers or self._cancelling
        return not (self._waiters or queued or tasks or self._awaiting_lease) and self._attempts.idle

    @asynccontextmanager
    async def wait_for(
        self, accounts: Sequence[Account], max_age: float, *, store_result: bool = True
    ) -> AsyncGenerator[Waiter]:
        """Read the accounts for a caller; when it leaves, flights that no other caller waits for are cancelled.

        A snapshot whose request was sent no more than `max_age` seconds ago, and that is still valid, is used as it is.
        Without `store_result`, what is read for this caller alone is not kept in this process.
        """
        waiter = Waiter(
            len(accounts),
            max_age=max_age,
            deadline=self._options.deadline,
            store_result=store_result,
            expire=self._expire,
        )
        self._waiters.add(waiter)
        try:
            called_at = self._loop.time()
            stored = await self._look_up(waiter, accounts)
            for account, known in zip(accounts, stored, strict=True):
                snapshot = known.snapshot
                if snapshot is not account.last:
                    snapshot = account.accept(snapshot)
                    if store_result and snapshot is not None:
                        account.remember_stored(snapshot, age=known.age + self._loop.time() - called_at)
                if known.valid and snapshot is not None and waiter.may_join and known.age <= max_age:
                    waiter.set_outcome(snapshot)
                else:
                    waiter.enqueue(account, known.version)
            # Not kept while the caller waits: it may hold thousands of snapshots.
            del stored
            if self._closed:
                self._fail_closed(waiter)
            elif waiter.deadline.passed:
                self._expire(waiter)
            else:
                self._begin(waiter)
            yield waiter
        finally:
            await self._leave(waiter)

    def close(self) -> None:
        """Fail everything that has not arrived, now."""
        self._closed = True
        for waiter in self._waiters:
            self._fail_closed(waiter)

    async def drain(self) -> None:
        """Wait, for a limited time, for what is still being put into the store."""
        if self._workers:
            await asyncio.wait(self._workers, timeout=_DRAIN_TIMEOUT)

    def resume_awaiting_lease(self, key: str | None) -> None:
        """Resume the flights that wait for another process: those of the account with that key, or all."""
        for waiting in list(self._awaiting_lease) if key is None else [key]:
            for flight in self._awaiting_lease.pop(waiting, ()):
                if flight.timer is not None:
                    flight.timer.cancel()
                    self._enqueue(flight)

    async def _look_up(self, waiter: Waiter, accounts: Sequence[Account]) -> Sequence[Stored]:
        keys = [account.key for account in accounts]
        if self._shared is None:
            return await self._store.get(keys)
        try:
            async with asyncio.timeout_at(waiter.deadline.at):
                return await self._store.get(keys)
        except TimeoutError:
            return [Stored("")] * len(keys)

    def _begin(self, waiter: Waiter) -> None:
        if len(waiter.queued) <= self._options.concurrency:
            while waiter.queued:
                flight = self._flights.join(waiter, *waiter.dequeue())
                if flight is not None:
                    self._enqueue(flight)
            return
        # More flights than workers would only wait, so each account becomes a flight when a worker is free.
        self._queue.append(waiter)
        for _ in range(self._options.concurrency):
            self._spawn_worker()

    async def _leave(self, waiter: Waiter) -> None:
        waiter.close()
        self._waiters.discard(waiter)
        self._detach_all(waiter)
        waiter.queued.clear()
        if waiter.cancelled:
            await asyncio.wait(waiter.cancelled, timeout=_CANCEL_TIMEOUT)

    def _fail_closed(self, waiter: Waiter) -> None:
        for account, _ in self._give_up(waiter):
            # Not logged: that a client is closed says nothing about its accounts.
            message = "the client was closed before there was a response"
            error = ProviderError(message, account=account.label, provider=account.provider)
            waiter.set_outcome(account.to_failure(error))

    def _expire(self, waiter: Waiter) -> None:
        for account, error in self._give_up(waiter):
            log_transition(account, error)
            waiter.set_outcome(account.to_failure(error))

    def _give_up(self, waiter: Waiter) -> list[tuple[Account, BalancekitError]]:
        """Stop a caller's waiting; returns each account that has no outcome yet, with its error at the deadline."""
        left = [(flight.account, self._deadline_error(waiter, flight)) for flight in waiter.pending.values()]
        self._detach_all(waiter)
        left += [(account, self._queued_error(waiter, account)) for account in waiter.queued]
        waiter.queued.clear()
        return left

    def _deadline_error(self, waiter: Waiter, flight: Flight) -> BalancekitError:
        account, deadline = flight.account, waiter.deadline
        if flight.sent_at is None and flight.retry.error is not None:
            return flight.retry.error
        if flight.retry.requested:
            return account.timeout_error(f"no response before {deadline}")
        if flight in self._awaiting_lease.get(account.key, ()):
            return account.timeout_error(f"another process has not read it before {deadline}")
        return self._queued_error(waiter, account)

    def _queued_error(self, waiter: Waiter, account: Account) -> BalancekitError:
        return account.timeout_error(f"no request sent before {waiter.deadline}", STILL_QUEUED_HINT)

    def _detach_all(self, waiter: Waiter) -> None:
        for flight in waiter.pending.values():
            flight.waiters.pop(waiter, None)
            if not flight.waiters and flight.outcome is None:
                self._cancel(flight, waiter)

    def _cancel(self, flight: Flight, waiter: Waiter) -> None:
        """End a flight that has no waiter left; this caller was the last."""
        self._flights.forget(flight)
        if flight.timer is not None:
            flight.timer.cancel()
        self._stop_awaiting_lease(flight)
        if flight.worker is not None:
            flight.worker.cancel()
            # Another worker may start at once, since this one may never end.
            self._workers.discard(flight.worker)
            self._cancelling.add(flight.worker)
            waiter.cancelled.add(flight.worker)
            if self._queue:
                self._spawn_worker()
        self._attempts.release(flight)

    # Workers share one queue, since a task for each account costs more.
    def _enqueue(self, flight: Flight) -> None:
        flight.timer = None
        self._queue.append(flight)
        self._spawn_worker()

    def _spawn_worker(self) -> None:
        if len(self._workers) < self._options.concurrency:
            # Not by the loop's task factory: a worker that it started at once would not be one of `_workers` yet.
            worker = asyncio.Task(self._work(), loop=self._loop)
            self._workers.add(worker)
            worker.add_done_callback(self._on_worker_done)

    def _on_worker_done(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._cancelling.discard(worker)
        if not worker.cancelled():
            # The waiters have the error already; retrieving it keeps asyncio from logging it.
            worker.exception()
        # A provider may have cancelled its task, and what is queued needs another worker. The same task must not go on:
        # it may be the whole loop that is shut down.
        if self._queue:
            self._spawn_worker()

    async def _work(self) -> None:
        worker = asyncio.current_task()
        while worker in self._workers and (flight := self._next()) is not None:
            flight.worker = worker
            try:
                result = await self._attempts.run(flight)
                if isinstance(result, RetryAfter):
                    self._defer(flight, result)
                else:
                    self._finish(flight, result)
                    # The waiters have the snapshot by now and do not wait for the store. What no caller
                    # waits for any more is not stored.
                    if isinstance(result, AccountBalances) and worker in self._workers:
                        await self._attempts.store(flight, result)
            except BaseException as raised:
                self._finish(flight, flight.account.to_error(raised))
                if not isinstance(raised, Exception):
                    raise
            finally:
                flight.worker = None
            if worker.cancelling():
                # The cancellation, whatever its source, must not hit the next account.
                break
        # Now, and not when the task has ended: what is queued in between needs another worker.
        self._workers.discard(worker)

    def _next(self) -> Flight | None:
        while self._queue:
            head = self._queue[0]
            if isinstance(head, Waiter) and head.queued:
                flight = self._flights.join(head, *head.dequeue())
                if flight is not None:
                    return flight
                continue
            self._queue.popleft()
            if isinstance(head, Flight) and head.waiters:
                return head
        return None

    def _defer(self, flight: Flight, retry_after: RetryAfter) -> None:
        if not flight.waiters:
            # All callers have left while the last attempt came to its end.
            return
        if retry_after.awaiting_lease:
            self._awaiting_lease.setdefault(flight.account.key, set()).add(flight)
        if retry_after.seconds <= 0:
            self._enqueue(flight)
        else:
            flight.timer = self._loop.call_later(retry_after.seconds, self._resume, flight)

    def _resume(self, flight: Flight) -> None:
        self._stop_awaiting_lease(flight)
        self._enqueue(flight)

    def _stop_awaiting_lease(self, flight: Flight) -> None:
        waiting = self._awaiting_lease.get(flight.account.key)
        if waiting is not None:
            waiting.discard(flight)
            if not waiting:
                del self._awaiting_lease[flight.account.key]

    def _finish(self, flight: Flight, result: AccountBalances | BalancekitError) -> None:
        """Give all waiters what a flight has ended with."""
        error = result if isinstance(result, BalancekitError) else None
        if error is not None:
            self._attempts.release(flight)
        if not flight.waiters:
            return
        log_transition(flight.account, error)
        if isinstance(result, BalancekitError):
            self._flights.land(flight, flight.account.to_failure(result), reusable=False)
            return
        # Without a version of the store's own nobody could find out whether the snapshot is still valid.
        known = self._shared is None or self._shared.is_known(flight.version)
        self._flights.land(flight, result, reusable=flight.store_result and known)
