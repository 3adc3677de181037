"""Flights: one read of an account for all callers that wait for it, and which callers those are."""

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable, Iterable

import attrs

from balancekit.client.account_state import CLOCK_DRIFT, Moment
from balancekit.client.accounts import Account, Outcome
from balancekit.client.instrumentation import FetchSpan
from balancekit.client.origins import Origin
from balancekit.client.retry import RetryState
from balancekit.client.timeouts import Deadline
from balancekit.clock import Clock, Timer
from balancekit.money.balances import AccountFailure


@attrs.frozen(kw_only=True)
class CallOptions:
    """What one caller accepts: ages and the deadline are in seconds.

    A snapshot that is no older than `max_age` is fresh; without any age the caller joins no request of another. One
    that is no older than `stale_while_revalidate` is given as well, marked as stale. `store_result`: what is read is
    kept for later. `buffer` is how many outcomes may wait for the caller before reading pauses. In the `background`,
    nobody waits for the outcomes.
    """

    max_age: float
    deadline: float
    stale_while_revalidate: float = 0.0
    store_result: bool = True
    buffer: int | None = None
    background: bool = False


class Waiter:
    """One `fetch` or `stream`, which waits for exactly one outcome of each of its accounts.

    An account is `queued`, perhaps after the others, until there is a flight for it, and `pending` until its outcome
    arrives. No snapshot whose request was sent before `since` is fresh enough. `context` is the caller's, in which its
    requests are sent. At the deadline `expire` is called, which must end what is left; `on_change` is called when
    outcomes are taken, and when none is left to come.
    """

    def __init__(
        self,
        accounts: int,
        options: CallOptions,
        clock: Clock,
        *,
        expire: Callable[["Waiter"], None],
        on_change: Callable[["Waiter"], None],
    ) -> None:
        self.options = options
        self.since: float = clock.monotonic() - options.max_age
        self.may_join: bool = options.max_age > 0 or options.background
        self.context: contextvars.Context = contextvars.copy_context()
        self.span: FetchSpan = FetchSpan(accounts)
        # With the version at which the store knows each account. No flight for each yet: there may be ten thousand.
        self.queued: dict[Account, str] = {}
        # Accounts that are to be queued only when most of those before them have been read.
        self.rest: dict[Origin, list[Account]] = {}
        self.pending: dict[str, Flight] = {}
        # Tasks that were cancelled because this caller left.
        self.cancelled: set[asyncio.Task[None]] = set()
        self._outcomes: deque[Outcome] = deque()
        self._wakeup: asyncio.Future[None] | None = None
        self._wants_all = False
        self._failures = 0
        # Whether all accounts were looked up, so that what is neither queued nor pending has its outcome.
        self.admitted = False
        self._on_change = on_change
        # Last, since nothing would stop its timer if this constructor raised.
        self.deadline: Deadline = Deadline(options.deadline, lambda: expire(self), clock)

    @property
    def is_waiting(self) -> bool:
        """Whether an outcome is still to come."""
        return bool(self.pending or self.queued or self.rest)

    @property
    def is_full(self) -> bool:
        """Whether so many outcomes have not been taken yet that reading is to pause, until half of them are."""
        return self.options.buffer is not None and len(self._outcomes) >= self.options.buffer

    def set_outcome(self, outcome: Outcome) -> None:
        """Take the outcome of an account, which is no longer pending."""
        self.pending.pop(outcome.account, None)
        self._failures += isinstance(outcome, AccountFailure)
        if self.options.background:
            if self.admitted and not self.is_waiting:
                self._on_change(self)
            return
        self._outcomes.append(outcome)
        # As `is_waiting` says, but without the call.
        if (
            self._wakeup is not None
            and not (self._wants_all and (self.pending or self.queued or self.rest))
            and not self._wakeup.done()
        ):
            self._wakeup.set_result(None)
        if len(self._outcomes) == self.options.buffer:
            self._on_change(self)

    async def next(self) -> Outcome | None:
        """Wait for the next outcome; None if there are no more."""
        while not self._outcomes and self.is_waiting:
            await self._wait()
        if not self._outcomes:
            return None
        outcome = self._outcomes.popleft()
        if self.options.buffer is not None and len(self._outcomes) == self.options.buffer // 2:
            self._on_change(self)
        return outcome

    async def all(self) -> Iterable[Outcome]:
        """Wait for all outcomes: however many accounts there are, the caller wakes once."""
        self._wants_all = True
        while self.is_waiting:
            await self._wait()
        return self._outcomes

    def close(self) -> None:
        """Stop the deadline and end the span; what has not arrived counts as a failure."""
        self.deadline.cancel()
        rest = sum(map(len, self.rest.values()))
        self.span.end(self._failures + len(self.pending) + len(self.queued) + rest)

    async def _wait(self) -> None:
        self._wakeup = asyncio.get_running_loop().create_future()
        await self._wakeup


@attrs.define(eq=False, weakref_slot=False)
class Flight:
    """One read of an account that is under way.

    `version` is that of the account before the request was sent. No waiter takes a snapshot whose request was sent
    before `since`. `may_share`: another process may do the reading. `store_result`: its snapshot is kept for later. It
    runs in the `context` of the caller that it was begun for, and has one of the slots while it `has_slot`. It
    `is_running` once its worker has begun with it.
    """

    account: Account
    version: str
    since: float
    may_share: bool
    span: FetchSpan
    context: contextvars.Context
    store_result: bool = False
    waiters: dict[Waiter, None] = attrs.field(factory=dict[Waiter, None])
    retry: RetryState = attrs.field(factory=RetryState)
    # When its last request was sent, or None during a retry's delay; as of which moment; and when the first was sent.
    sent_at: float | None = None
    sent: Moment | None = None
    first_sent_at: float | None = None
    # Whether this process has sent the last one, rather than another with the same store.
    is_own: bool = False
    worker: asyncio.Task[None] | None = None
    timer: Timer | None = None
    has_slot: bool = False
    is_running: bool = False

    @property
    def ends_at(self) -> float:
        """The deadline of the waiter that waits longest."""
        return max((waiter.deadline.at for waiter in self.waiters), default=self.since)

    def serves(self, version: str, since: float, moment: Moment) -> bool:
        """Return whether its snapshot will be fresh enough for a caller that finds the account at that version.

        It is not if its request was sent before the balances may have changed, or before `since`.
        """
        if self.version != version:
            return False
        if self.sent_at is None:
            return True
        return self.sent_at >= since and (self.sent is None or moment.ahead - self.sent.ahead <= CLOCK_DRIFT)

    def mark_read_elsewhere(self, sent_at: float, moment: Moment) -> None:
        """Note at a moment that another process has read the account with a request that was sent at `sent_at`."""
        self.sent_at, self.sent, self.is_own = sent_at, moment, False
        if self.first_sent_at is None:
            self.first_sent_at = sent_at

    def add(self, waiter: Waiter) -> None:
        """Have a caller wait for this flight."""
        self.waiters[waiter] = None
        self.since = max(self.since, waiter.since)
        self.store_result = self.store_result or waiter.options.store_result
        waiter.pending[self.account.label] = self


class Flights:
    """The flights that are under way, the latest of each account; and the callers whose accounts are still queued."""

    def __init__(self) -> None:
        self._latest: dict[str, Flight] = {}
        # Those that may share a flight, by account.
        self._queued_by: dict[Account, dict[Waiter, None]] = {}
        # How many flights the queued accounts at each origin need.
        self._queued_at: Counter[Origin] = Counter()

    def queued_at(self, origin: Origin) -> int:
        """Return how many flights at an origin are still to begin."""
        return self._queued_at[origin]

    def is_queued(self, account: Account) -> bool:
        """Return whether a flight of the account is still to begin that others may join."""
        return account in self._queued_by

    def is_under_way(self, account: Account, version: str) -> bool:
        """Return whether the account, at that version, is being read, or is going to be."""
        flight = self._latest.get(account.label)
        return account in self._queued_by or (flight is not None and flight.version == version)

    def join(self, waiter: Waiter, account: Account, version: str, moment: Moment) -> bool:
        """Have a caller wait for the flight that is under way, if there is one that is fresh enough."""
        flight = self._latest.get(account.label)
        if flight is None or not waiter.may_join or not flight.serves(version, waiter.since, moment):
            return False
        flight.add(waiter)
        return True

    def enqueue(self, waiter: Waiter, account: Account, version: str) -> None:
        """Note that a caller waits for a flight of the account to begin."""
        waiter.queued[account] = version
        if not (waiter.may_join and account in self._queued_by):
            self._queued_at[account.origin] += 1
        if waiter.may_join:
            self._queued_by.setdefault(account, {})[waiter] = None

    def begin(self, waiter: Waiter, account: Account) -> Flight | None:
        """Begin a flight for a caller, and all others that may share it; None if the caller does not wait any more."""
        if account not in waiter.queued:
            return None
        if waiter.may_join:
            version = self._dequeue(waiter, account)
        else:
            # As `_dequeue` does, but without the call: this is done for every account.
            version = waiter.queued.pop(account)
            self._count_down(account.origin)
        flight = Flight(
            account,
            version,
            waiter.since,
            waiter.may_join,
            waiter.span,
            waiter.context,
            store_result=waiter.options.store_result,
            waiters={waiter: None},
        )
        waiter.pending[account.label] = flight
        if waiter.may_join:
            for other in list(self._queued_by.get(account, ())):
                if other.queued[account] == version:
                    self._dequeue(other, account)
                    flight.add(other)
        self._latest[account.label] = flight
        return flight

    def leave_queue(self, waiter: Waiter) -> None:
        """Forget all that a caller has queued."""
        for account in list(waiter.queued):
            self._dequeue(waiter, account)

    def drop(self, waiter: Waiter, account: Account) -> None:
        """Forget an account that a caller has queued, if it has."""
        if account in waiter.queued:
            self._dequeue(waiter, account)

    def forget(self, flight: Flight) -> None:
        """Let no further caller join a flight."""
        if self._latest.get(flight.account.label) is flight:
            del self._latest[flight.account.label]

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """Give all waiters the outcome."""
        # As `forget` does, but without the call.
        if self._latest.get(flight.account.label) is flight:
            del self._latest[flight.account.label]
        waiters, flight.waiters = flight.waiters, {}
        for waiter in waiters:
            waiter.set_outcome(outcome)

    def _dequeue(self, waiter: Waiter, account: Account) -> str:
        version = waiter.queued.pop(account)
        if waiter.may_join:
            waiters = self._queued_by[account]
            del waiters[waiter]
            if waiters:
                return version
            del self._queued_by[account]
        self._count_down(account.origin)
        return version

    def _count_down(self, origin: Origin) -> None:
        self._queued_at[origin] -= 1
        if not self._queued_at[origin]:
            del self._queued_at[origin]
