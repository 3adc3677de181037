"""The scheduler: the callers that wait for accounts, what each is given, and when its waiting ends."""

import asyncio
import functools
import math
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sized
from contextlib import asynccontextmanager
from itertools import chain
from operator import attrgetter
from typing import Final

import aiohttp

from balancekit.client.account_state import Moment
from balancekit.client.accounts import Account, Outcome
from balancekit.client.admission import in_order, known_outcome, late_permits
from balancekit.client.dispatcher import Dispatcher
from balancekit.client.flights import CallOptions, Flight, Flights, Waiter
from balancekit.client.lookups import Lookups
from balancekit.client.options import ReadOptions
from balancekit.client.origins import Origin
from balancekit.client.recorder import Recorder
from balancekit.client.shared_failures import SharedFailures
from balancekit.client.unread import closed_error, cooldown_error, no_permit_error, removed_error, still_queued_error
from balancekit.errors import BalancekitError
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.stores.fail_open import FailOpenStore

# How many seconds a caller that leaves waits for the requests that this cancels: a provider may ignore cancellation.
_CANCEL_TIMEOUT: Final = 0.05
# After how many seconds without a response an account counts as down, when the deadline of one call has passed. It is
# less than the second that many calls wait, since a request is sent a little later than its call begins.
_HUNG_AFTER: Final = 0.8


class Scheduler:
    """Reads accounts for callers with at most `options.concurrency` requests at a time.

    It works in the event loop in which it was made. `on_read` is called with each account of which something new is
    known.
    """

    def __init__(
        self,
        options: ReadOptions,
        session: aiohttp.ClientSession,
        store: FailOpenStore | None,
        origins: Sized,
        on_read: Callable[[Account], None],
    ) -> None:
        self._options = options
        self._clock = options.clock
        self._loop = asyncio.get_running_loop()
        self._on_read = on_read
        self.closed: bool = False
        self._waiters: set[Waiter] = set()
        self._flights = Flights()
        failures: SharedFailures | None = None
        if store is not None and store.shares_failures:
            failures = SharedFailures(store, options.clock, on_read)
        self._lookups = None if store is None else Lookups(store, failures, options.clock, on_read)
        self._recorder = Recorder(store, failures, on_read)
        self._dispatcher = Dispatcher(
            options, session, store, failures, origins, begin=self._begin_flight, finish=self._finish, end=self.close
        )

    @property
    def idle(self) -> bool:
        """Whether nothing at all is left to do: no caller, no flight, no task and no timer."""
        return not self._waiters and self._dispatcher.idle

    @asynccontextmanager
    async def wait_for(self, accounts: Collection[Account], options: CallOptions) -> AsyncGenerator[Waiter]:
        """Read the accounts for a caller; when it leaves, flights that no other caller waits for are cancelled.

        A snapshot that is fresh enough is used as it is, and a failure whose cooldown is not over is given again.
        """
        waiter = self._new_waiter(len(accounts), options)
        try:
            await self._admit(waiter, accounts)
            yield waiter
        finally:
            await self._leave(waiter)

    def refresh(self, accounts: Collection[Account], *, max_age: float) -> None:
        """Read accounts in the background, unless they are being read, are in a cooldown, or are fresh enough."""
        if self.closed or not accounts:
            return
        # Without a deadline: it waits for as long as a rate limit or a cooldown wants.
        options = CallOptions(max_age=max_age, deadline=math.inf, background=True)
        waiter = self._new_waiter(len(accounts), options)
        if self._lookups is None:
            self._admit_known(waiter, accounts)
        else:
            self._dispatcher.run_in_background(self._admit(waiter, accounts))

    def close(self) -> None:
        """Fail everything that has not arrived, now."""
        self.closed = True
        # First, so that no request follows those that end here.
        self._dispatcher.close()
        self._fail_closed(list(self._waiters))

    def abandon(self) -> None:
        """Give back what the flights hold of that which outlives the event loop, which does not run any more."""
        for waiter in self._waiters:
            for flight in waiter.pending.values():
                self._dispatcher.abandon(flight)

    async def drain(self, seconds: float) -> None:
        """Wait, no longer than that, for what is still being put into the store."""
        await self._dispatcher.drain(seconds)

    def forget(self, account: Account) -> None:
        """Drop an account: callers that still wait for it get a failure that says so."""
        moment = self._moment()
        for waiter in list(self._waiters):
            flight = waiter.pending.get(account.label)
            rest = waiter.rest.get(account.origin, [])
            if account in rest:
                rest.remove(account)
                if not rest:
                    del waiter.rest[account.origin]
                waiter.set_outcome(account.to_failure(removed_error(account), moment))
            if account in waiter.queued or (flight is not None and flight.account is account):
                self._fail(waiter, account, account.to_failure(removed_error(account), moment))
        # With an origin less, fewer slots are reserved.
        self._dispatcher.dispatch()

    def resume_awaiting_lease(self, key: str | None) -> None:
        """Resume the flights that wait for another process: those of the account with that key, or all."""
        self._dispatcher.resume_awaiting_lease(key)

    def _moment(self) -> Moment:
        return Moment.of(self._clock)

    def _new_waiter(self, accounts: int, options: CallOptions) -> Waiter:
        waiter = Waiter(accounts, options, self._clock, expire=self._expire, on_change=self._on_change)
        self._waiters.add(waiter)
        return waiter

    async def _admit(self, waiter: Waiter, accounts: Collection[Account]) -> None:
        """Give a caller what is known of its accounts, and have it wait for the rest."""
        if self._lookups is None:
            self._admit_known(waiter, accounts)
            return
        known = await self._lookups.look_up(accounts, waiter.options, ends_at=waiter.deadline.at)
        self._begin(waiter, known, self._moment())

    def _admit_known(self, waiter: Waiter, accounts: Collection[Account]) -> None:
        # Without a tuple for each of ten thousand accounts.
        self._begin(waiter, zip(accounts, map(_version, accounts), strict=True), self._moment())

    def _begin(self, waiter: Waiter, accounts: Iterable[tuple[Account, str]], moment: Moment) -> None:
        refresh: list[Account] = []
        queued: dict[Origin, list[Account]] = {}
        options, ends_at = waiter.options, waiter.deadline.at
        accepts_old = options.max_age > 0 or options.stale_while_revalidate > 0
        for account, version in accounts:
            if accepts_old or account.origin.cooldown.times or account.is_removed:
                outcome, is_old = known_outcome(account, version, options, moment)
                if outcome is None and account.origin.cooldown.times:
                    remaining = account.origin.cooldown.remaining(moment.now)
                    if 0 < remaining >= ends_at - moment.now:
                        outcome = self._not_asked(account, remaining, moment, version)
                if is_old and not self._flights.is_under_way(account, version):
                    refresh.append(account)
                if outcome is not None:
                    self._set_known(waiter, account, outcome)
                    continue
            if not waiter.may_join or not self._flights.join(waiter, account, version, moment):
                queued.setdefault(account.origin, []).append(account)
                if options.buffer is None:
                    waiter.queued[account] = version
        self._queue_all(waiter, queued, moment)
        waiter.admitted = True
        if self.closed:
            self._fail_closed([waiter])
        elif waiter.deadline.passed:
            self._expire(waiter)
        self._on_change(waiter)
        self._dispatcher.dispatch()
        self.refresh(refresh, max_age=waiter.options.max_age)

    def _set_known(self, waiter: Waiter, account: Account, outcome: Outcome) -> None:
        waiter.set_outcome(outcome)
        if waiter.options.background:
            # The keeper waits for news of each account that it asked for.
            self._on_read(account)

    def _queue_all(self, waiter: Waiter, queued: dict[Origin, list[Account]], moment: Moment) -> None:
        for origin, at_origin in queued.items():
            origin.listeners.add(self)
            if waiter.options.buffer is None:
                self._enqueue(waiter, origin, at_origin, moment)
            else:
                waiter.rest[origin] = in_order(at_origin, origin, moment)
                self._queue_rest(waiter, origin, moment)

    def _queue_rest(self, waiter: Waiter, origin: Origin, moment: Moment) -> None:
        """Queue some more accounts at an origin for a caller that may have given very many, unless enough are."""
        few = self._options.concurrency
        while origin in waiter.rest and not waiter.is_full and self._dispatcher.queued_at(origin, waiter) < few:
            rest = waiter.rest[origin]
            # Twice as many as are read at once, so that the next are queued before these are used up.
            some = rest[: 2 * few]
            del rest[: 2 * few]
            if not rest:
                del waiter.rest[origin]
            for account in some:
                waiter.queued[account] = account.state.version
            self._enqueue(waiter, origin, some, moment)
        if waiter.is_full:
            self._dispatcher.pause(waiter)

    def _begin_flight(self, waiter: Waiter, account: Account) -> Flight | None:
        flight = self._flights.begin(waiter, account)
        origin = account.origin
        if origin in waiter.rest and self._dispatcher.queued_at(origin, waiter) < self._options.concurrency:
            self._queue_rest(waiter, origin, self._moment())
        return flight

    def _enqueue(self, waiter: Waiter, origin: Origin, accounts: list[Account], moment: Moment) -> None:
        """Queue accounts at one origin; under a rate limit, fail those whose permit would come too late."""
        accounts = in_order(accounts, origin, moment)
        if origin.limit is not None:
            late = late_permits(
                accounts,
                origin.permits,
                origin.limit,
                now=moment.now,
                ends_at=waiter.deadline.at,
                ahead=self._flights.queued_at(origin),
                is_shared=self._flights.is_queued if waiter.may_join else _never,
            )
            for account, wait in late.items():
                del waiter.queued[account]
                waiter.set_outcome(account.to_failure(no_permit_error(account, waiter.deadline, wait), moment))
            accounts = [account for account in accounts if account not in late] if late else accounts
        for account in accounts:
            self._flights.enqueue(waiter, account, waiter.queued[account])
        if accounts:
            self._dispatcher.enqueue(waiter, origin, accounts)

    def _on_change(self, waiter: Waiter) -> None:
        if waiter.options.background:
            if waiter.admitted and not waiter.is_waiting:
                waiter.close()
                self._waiters.discard(waiter)
                self._dispatcher.discard(waiter)
        elif waiter.is_full:
            self._dispatcher.pause(waiter)
        elif waiter.options.buffer is not None:
            self._dispatcher.unpause(waiter)
            for origin in list(waiter.rest):
                self._queue_rest(waiter, origin, self._moment())
            self._dispatcher.dispatch()

    async def _leave(self, waiter: Waiter) -> None:
        waiter.close()
        self._waiters.discard(waiter)
        waiter.rest.clear()
        self._flights.leave_queue(waiter)
        self._dispatcher.discard(waiter)
        for flight in list(waiter.pending.values()):
            self._detach(waiter, flight)
        if waiter.cancelled:
            await asyncio.wait(waiter.cancelled, timeout=_CANCEL_TIMEOUT)

    def _fail_closed(self, waiters: Iterable[Waiter]) -> None:
        moment = self._moment()

        # Not logged: that a client is closed says nothing about its accounts. One for all callers, who get their own
        # errors later.
        @functools.cache
        def failure_of(account: Account) -> AccountFailure:
            return account.to_failure(closed_error(account), moment)

        for waiter in waiters:
            self._fail_rest(waiter, failure_of)

    def _fail_rest(self, waiter: Waiter, failure_of: Callable[[Account], AccountFailure]) -> None:
        rest = chain.from_iterable(waiter.rest.values())
        accounts = [*(flight.account for flight in waiter.pending.values()), *waiter.queued, *rest]
        waiter.rest.clear()
        for account in accounts:
            self._fail(waiter, account, failure_of(account))

    def _fail(self, waiter: Waiter, account: Account, failure: AccountFailure) -> None:
        """End a caller's waiting for one account."""
        flight = waiter.pending.get(account.label)
        if flight is not None and flight.account is account:
            self._detach(waiter, flight)
        else:
            self._flights.drop(waiter, account)
        waiter.set_outcome(failure)

    def _expire(self, waiter: Waiter) -> None:
        """End what has not arrived for a caller by its deadline.

        A request that was sent goes on until the client's own deadline, so that the next caller has what it brings:
        one of each account, lest an account that hangs use a slot for each call.
        """
        # First, so that the slots of what ends here are not given to this caller.
        self._dispatcher.discard(waiter)
        moment, is_short = self._moment(), waiter.options.deadline < self._options.deadline
        going_on = {label for other in self._waiters if other.options.background for label in other.pending}
        for flight in list(waiter.pending.values()):
            account, error, sent_at = flight.account, self._deadline_error(waiter, flight, moment), flight.first_sent_at
            if sent_at is not None:
                seconds = sent_at + self._options.deadline - moment.now
                goes_on = is_short and seconds > 0 and not waiter.options.background
                if not goes_on or moment.now - sent_at >= _HUNG_AFTER:
                    # A retry that waits does so since the last attempt failed.
                    failed_at = flight.retry.failed_at if error is flight.retry.error else moment.now
                    self._recorder.failed(flight, error, Moment(failed_at, moment.ahead))
                if goes_on and len(flight.waiters) == 1 and account.label not in going_on:
                    self._continue_in_background(flight, seconds)
            self._fail(waiter, account, account.to_failure(error, moment))

        def failure_of(account: Account) -> AccountFailure:
            # In the next call its turn comes before that of those that were read in this one.
            account.state.waiting_since = account.state.waiting_since or moment.now
            return account.to_failure(still_queued_error(account, waiter.deadline, now=moment.now), moment)

        self._fail_rest(waiter, failure_of)

    def on_cooldown(self, origin: Origin) -> None:
        """Fail what an origin's cooldown keeps from being read in time, whichever client has met the 429."""
        loop = asyncio.get_running_loop()
        # One that was left in another event loop has no callers here.
        if loop is self._loop:
            # Once the flight that has found this out has ended, or waits to try again.
            loop.call_soon(self._fail_too_late, origin)

    def _fail_too_late(self, origin: Origin) -> None:
        """Fail what is still to be sent to an origin for callers whose deadline comes before it may be."""
        moment = self._moment()
        remaining = origin.cooldown.remaining(moment.now)
        for waiter in list(self._waiters):
            if waiter.deadline.at > moment.now + remaining:
                continue
            retried = [flight.account for flight in waiter.pending.values() if flight.sent_at is None]
            for account in [*retried, *waiter.queued, *waiter.rest.pop(origin, ())]:
                if account.origin is origin:
                    self._fail(waiter, account, self._not_asked(account, remaining, moment))

    def _not_asked(self, account: Account, remaining: float, moment: Moment, version: str = "") -> AccountFailure:
        """Fail an account that is not asked in a cooldown; record it, unless that version of it is being read."""
        error = cooldown_error(account, remaining)
        if not version or not self._flights.is_under_way(account, version):
            self._recorder.not_asked(account, error, moment)
        return account.to_failure(error, moment)

    def _continue_in_background(self, flight: Flight, seconds: float) -> None:
        options = CallOptions(max_age=0.0, deadline=seconds, store_result=flight.store_result, background=True)
        background = self._new_waiter(1, options)
        background.admitted = True
        background.since = flight.since
        flight.add(background)

    def _deadline_error(self, waiter: Waiter, flight: Flight, moment: Moment) -> BalancekitError:
        account, deadline = flight.account, waiter.deadline
        if flight.sent_at is None and flight.retry.error is not None:
            return flight.retry.error
        if flight.first_sent_at is not None:
            return account.timeout_error(f"no response before {deadline}")
        if self._dispatcher.is_awaiting_lease(flight):
            return account.timeout_error(f"another process has not read it before {deadline}")
        return still_queued_error(account, deadline, now=moment.now)

    def _detach(self, waiter: Waiter, flight: Flight) -> None:
        """Take a caller from a flight; with the last one, the flight ends."""
        waiter.pending.pop(flight.account.label, None)
        del flight.waiters[waiter]
        if not flight.waiters:
            self._flights.forget(flight)
            worker = self._dispatcher.cancel(flight)
            if worker is not None:
                waiter.cancelled.add(worker)

    def _finish(self, flight: Flight, result: AccountBalances | BalancekitError) -> None:
        """Remember what a flight has ended with, and give it to all waiters."""
        if not flight.waiters:
            return
        account = flight.account
        if isinstance(result, BalancekitError):
            moment = self._moment()
            self._recorder.failed(flight, result, moment)
            self._flights.land(flight, account.to_failure(result, moment))
            return
        self._recorder.succeeded(flight, result, flight.sent or self._moment())
        self._flights.land(flight, result)


_version: Final = attrgetter("state.version")


def _never(_: Account) -> bool:
    return False
