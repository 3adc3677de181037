"""Flights: one read of an account for all callers that wait for it, and which callers those are."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable

import attrs

from balancekit.client.accounts import CLOCK_DRIFT, Account, Outcome
from balancekit.client.instrumentation import FetchSpan
from balancekit.client.retry import RetryState
from balancekit.client.timeouts import Deadline
from balancekit.money.balances import AccountFailure


class Waiter:
    """One `fetch` or `stream`, which waits for exactly one outcome of each of its accounts.

    An account is `queued` until there is a flight for it, and `pending` until its outcome arrives. No snapshot whose
    request was sent before `since` (in the time of the event loop) is fresh enough. `may_join`: it may wait for a
    flight that was begun for another caller. `store_result`: what is read for it is kept for later. At the deadline
    `expire` is called, which must end what is left.
    """

    def __init__(
        self,
        accounts: int,
        *,
        max_age: float,
        deadline: float,
        store_result: bool,
        expire: Callable[["Waiter"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.since: float = self._loop.time() - max_age
        self.may_join: bool = max_age > 0
        self.store_result = store_result
        self.span: FetchSpan = FetchSpan(accounts)
        # Two deques side by side, and no flight for each account yet: `stream` may be given ten thousand.
        self.queued: deque[Account] = deque()
        self._versions: deque[str] = deque()
        self.pending: dict[str, Flight] = {}
        # Tasks that were cancelled because this caller left.
        self.cancelled: set[asyncio.Task[None]] = set()
        self._outcomes: deque[Outcome] = deque()
        self._wakeup: asyncio.Future[None] | None = None
        self._wants_all = False
        self._failures = 0
        # Last, since nothing would stop its timer if this constructor raised.
        self.deadline: Deadline = Deadline(deadline, lambda: expire(self))

    @property
    def is_waiting(self) -> bool:
        """Whether an outcome is still to come."""
        return bool(self.pending or self.queued)

    def enqueue(self, account: Account, version: str) -> None:
        """Queue an account, which the store knows at that version."""
        self.queued.append(account)
        self._versions.append(version)

    def dequeue(self) -> tuple[Account, str]:
        """Take the next queued account, and its version."""
        return self.queued.popleft(), self._versions.popleft()

    def set_outcome(self, outcome: Outcome) -> None:
        """Take the outcome of an account, which is no longer pending."""
        self.pending.pop(outcome.account, None)
        self._outcomes.append(outcome)
        self._failures += isinstance(outcome, AccountFailure)
        if self._wakeup is not None and not self._wakeup.done() and not (self._wants_all and self.is_waiting):
            self._wakeup.set_result(None)

    async def next(self) -> Outcome | None:
        """Wait for the next outcome; None if there are no more."""
        while not self._outcomes and self.is_waiting:
            await self._wait()
        return self._outcomes.popleft() if self._outcomes else None

    async def all(self) -> Iterable[Outcome]:
        """Wait for all outcomes: however many accounts there are, the caller wakes once."""
        self._wants_all = True
        while self.is_waiting:
            await self._wait()
        return self._outcomes

    def close(self) -> None:
        """Stop the deadline and end the span; what has not arrived counts as a failure."""
        self.deadline.cancel()
        self.span.end(self._failures + len(self.pending) + len(self.queued))

    async def _wait(self) -> None:
        self._wakeup = self._loop.create_future()
        await self._wakeup


@attrs.define(eq=False, weakref_slot=False)
class Flight:
    """One read of an account that is under way, or has ended with a snapshot that may still be fresh enough.

    `version` is that of the account before the request was sent. No waiter takes a snapshot whose request was sent
    before `since` (in the time of the event loop). `may_share`: another process may do the reading. `store_result`: its
    snapshot is kept for later.
    """

    account: Account
    version: str
    since: float
    may_share: bool
    span: FetchSpan
    store_result: bool = False
    waiters: dict[Waiter, None] = attrs.field(factory=dict[Waiter, None])
    outcome: Outcome | None = None
    retry: RetryState = attrs.field(factory=RetryState)
    sent_at: float | None = None
    # The same moment in Unix seconds, since the loop's time stands still while the machine is suspended.
    sent_wall: float = 0.0
    worker: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def ends_at(self) -> float:
        """The deadline of the waiter that waits longest, in the time of the event loop."""
        return max((waiter.deadline.at for waiter in self.waiters), default=self.since)

    def is_fresh_for(self, version: str, since: float) -> bool:
        """Return whether its snapshot is fresh enough for a caller that finds the account at that version.

        It is not if its request was sent before the balances may have changed, or before `since`.
        """
        if self.version != version:
            return False
        return self.sent_at is None or (self.sent_at >= since and not self._was_suspended_since(self.sent_at))

    def mark_sent(self, at: float) -> None:
        """Note that the request is sent, or was, at that time of the event loop."""
        self.sent_at = at
        self.sent_wall = time.time() - (asyncio.get_running_loop().time() - at)

    def _was_suspended_since(self, sent_at: float) -> bool:
        return time.time() - self.sent_wall > asyncio.get_running_loop().time() - sent_at + CLOCK_DRIFT


class Flights:
    """The latest flight of each account. One that has ended stays for as long as its snapshot may be used."""

    def __init__(self) -> None:
        self._latest: dict[str, Flight] = {}

    def join(self, waiter: Waiter, account: Account, version: str) -> Flight | None:
        """Have a caller wait for the account's flight if that is fresh enough, else for a new one, and return that."""
        flight = self._latest.get(account.label)
        new = None
        if flight is None or not waiter.may_join or not flight.is_fresh_for(version, waiter.since):
            flight = new = Flight(account, version, waiter.since, waiter.may_join, waiter.span)
            self._latest[account.label] = flight
        flight.store_result = flight.store_result or waiter.store_result
        if flight.outcome is not None:
            waiter.set_outcome(flight.outcome)
        else:
            flight.waiters[waiter] = None
            flight.since = max(flight.since, waiter.since)
            waiter.pending[account.label] = flight
        return new

    def forget(self, flight: Flight) -> None:
        """Let no further caller join a flight."""
        if self._latest.get(flight.account.label) is flight:
            del self._latest[flight.account.label]

    def land(self, flight: Flight, outcome: Outcome, *, reusable: bool) -> None:
        """Give all waiters the outcome; unless it is reusable, later callers do not get it."""
        flight.outcome = outcome
        if not reusable:
            self.forget(flight)
        for waiter in flight.waiters:
            waiter.set_outcome(outcome)
        flight.waiters.clear()
