"""Reading a set of accounts at once, so that each of them ends in exactly one outcome, whatever happens."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, cast

import aiohttp
import attrs

from balancekit.balances import AccountBalances, AccountFailure, Balance
from balancekit.causes import blame
from balancekit.errors import (
    BalancekitError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
)
from balancekit.hosts import Host
from balancekit.provider import BalanceProvider, HttpProvider
from balancekit.rate_limit import RateLimiter
from balancekit.retry import RetryPolicy
from balancekit.telemetry import FetchSpan
from balancekit.transport import lost_connection, translate

Outcome = AccountBalances | AccountFailure
"""What became of reading one account."""

_log = logging.getLogger(__name__)

# How often an account that waits for its turn under a limit asks for it again.
_ASK_AGAIN: Final = 1.0
# A `Date` is told in whole seconds, and some time passes on the way.
_CLOCK_TOLERANCE: Final = 5.0
# How long a cancelled request may take to end before it is left to itself.
_GRACE: Final = 0.05
_LATE_HINT: Final = "The provider is slow or out of reach. Try again later, or give it more time"
_UNASKED_HINT: Final = "Other accounts took all the time. Give the client a longer deadline, or more concurrency"


@attrs.frozen
class Terms:
    """What a client allows for reading; `timeout` (of one attempt) and `deadline` (of all) are in seconds."""

    concurrency: int
    timeout: float
    deadline: float
    retry: RetryPolicy


@attrs.define(eq=False)
class Account:
    """One account and how to read it; its label and its provider's name are read once and checked.

    `down` is whether it could not be read the last time.
    """

    label: str
    provider: str
    source: BalanceProvider
    host: Host
    down: bool = False

    def __str__(self) -> str:
        return f"{self.label} ({self.provider})"

    def snapshot(self, balances: object, fetched_at: datetime) -> AccountBalances:
        """Make a snapshot of what the provider returned; MalformedResponseError if it is no balances of the account."""
        if isinstance(balances, Iterable):
            try:
                return AccountBalances(self.label, self.provider, cast("Iterable[Balance]", balances), fetched_at)
            except (TypeError, ValueError) as error:
                reason = str(error)
        else:
            reason = f"expected balances, got {type(balances).__name__}"
        raise MalformedResponseError(reason, account=self.label, provider=self.provider)

    def failure(self, error: BalancekitError) -> AccountFailure:
        """Return the outcome of reading the account in vain."""
        return AccountFailure(self.label, self.provider, error)

    def late(self, message: str, hint: str = _LATE_HINT) -> ProviderTimeoutError:
        """Return the error of an account that gave no answer in time."""
        return ProviderTimeoutError(message, account=self.label, provider=self.provider, hint=hint)

    def error(self, raised: BaseException) -> BalancekitError:
        """Return the error that reading the account ended with, whatever its provider raised."""
        # An error of somebody's own that leaves out its constructor has none of its facts.
        if isinstance(raised, BalancekitError) and (not isinstance(raised, ProviderError) or hasattr(raised, "hint")):
            return raised
        error: ProviderError | None = None
        with suppress(Exception):
            error = translate(raised, account=self.label, provider=self.provider)
        if error is None:
            message = f"the adapter raised {type(raised).__name__}"
            error = blame(ProviderError(message, account=self.label, provider=self.provider), raised)
        return error


@attrs.define(eq=False)
class _Job:
    account: Account
    attempts: int = 0
    # Each is granted once, and is no attempt of the account's: neither is the account's fault.
    reconnected: bool = False
    resigned: bool = False
    signed_with: float = 0.0


class Reading:
    """One reading of some accounts over a session; `slots` bounds what all readings of a client do at once."""

    def __init__(
        self, accounts: Iterable[Account], terms: Terms, session: aiohttp.ClientSession, slots: asyncio.Semaphore
    ) -> None:
        self._terms = terms
        self._session = session
        self._slots = slots
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + terms.deadline
        self._pending = {account.label: _Job(account) for account in accounts}
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._arrived: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._workers: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._stopped = False
        self._closed = False
        self._span = FetchSpan(len(self._pending))

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Give each account's outcome as it arrives, and at the deadline those of the accounts that remain."""
        for job in self._pending.values():
            self._jobs.put_nowait(job)
        for _ in range(min(self._terms.concurrency, len(self._pending))):
            self._hire()
        failures = 0
        try:
            while self._pending:
                outcome = await self._next()
                if outcome is None:
                    break
                if self._pending.pop(outcome.account, None) is not None:
                    failures += isinstance(outcome, AccountFailure)
                    yield outcome
            for job in list(self._pending.values()):
                # A client that is closed says nothing of its accounts.
                yield self._unread(job) if self._closed else self._final(job, self._unread(job))
        finally:
            self._span.end(failures + len(self._pending))
            await self._stop()

    def close(self) -> None:
        """End the reading now: what has not arrived fails, since the client was closed."""
        self._closed = True
        self._arrived.put_nowait(None)

    async def _stop(self) -> None:
        self._stopped = True
        for timer in self._timers:
            timer.cancel()
        for job in self._pending.values():
            if job.account.host.limiter is not None:
                job.account.host.limiter.leave(job)
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            # Not for ever: a provider that refuses to be cancelled must not keep the caller.
            await asyncio.wait(self._workers, timeout=_GRACE)

    async def _next(self) -> Outcome | None:
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await self._arrived.get()
        except TimeoutError:
            return None

    def _unread(self, job: _Job) -> AccountFailure:
        account, deadline = job.account, f"the deadline of {self._terms.deadline:g} s"
        if self._closed:
            message = "the client was closed before there was an answer"
            return account.failure(ProviderError(message, account=account.label, provider=account.provider))
        if job.attempts:
            return account.failure(account.late(f"no answer before {deadline}"))
        return account.failure(account.late(f"not asked before {deadline}", _UNASKED_HINT))

    # A few workers on one queue: a task for each account costs more.
    def _hire(self) -> None:
        worker = self._loop.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._replace)

    def _replace(self, worker: asyncio.Task[None]) -> None:
        # A provider may cancel the task that it runs in, and the accounts that are left need another. Going on in the
        # same task would be wrong: it may be the whole loop that is being shut down.
        self._workers.discard(worker)
        if not self._stopped:
            self._hire()

    async def _work(self) -> None:
        while not self._stopped:
            job = await self._jobs.get()
            try:
                outcome = await self._read(job)
            except BaseException as raised:
                outcome = job.account.failure(job.account.error(raised))
                if not isinstance(raised, Exception):
                    self._arrived.put_nowait(outcome)
                    raise
            if outcome is not None:
                self._arrived.put_nowait(outcome)

    async def _read(self, job: _Job) -> Outcome | None:
        """Make one attempt; None if the account waits for another, which comes after the first ones of all others."""
        host = job.account.host
        if host.limiter is not None:
            turn_in = host.limiter.ask(job, self._loop.time())
            if turn_in > 0:
                return self._wait_for_turn(job, host.limiter, turn_in)
        try:
            if not await self._slot_in_time():
                return self._unread(job)
            try:
                outcome = await self._attempt(job)
            finally:
                self._slots.release()
        finally:
            if host.limiter is not None:
                host.limiter.end(self._loop.time())
        if isinstance(outcome, AccountBalances):
            host.budget.succeeded()
            return self._final(job, outcome)
        error = outcome.error
        wait = self._wait_before_next(job, error) if isinstance(error, ProviderError) else None
        if wait is None:
            return self._final(job, outcome)
        self._later(wait, job)
        return None

    def _wait_for_turn(self, job: _Job, limiter: RateLimiter, wait: float) -> Outcome | None:
        if self._loop.time() + wait < self._ends_at:
            # Asked again from time to time, since a turn comes sooner when others give theirs up.
            self._later(min(wait, _ASK_AGAIN), job)
            return None
        limiter.leave(job)
        account = job.account
        return self._final(
            job,
            account.failure(
                RateLimitedError(
                    f"no turn before the deadline of {self._terms.deadline:g} s under the limit of {limiter.limit}",
                    account=account.label,
                    provider=account.provider,
                    hint=f"Come back in {wait:.0f} s, or ask for fewer accounts at a time",
                    retry_after=wait,
                )
            ),
        )

    def _wait_before_next(self, job: _Job, error: ProviderError) -> float | None:
        """Return the seconds to wait before the account is tried again, or None if it is not."""
        host, now = job.account.host, self._loop.time()
        if self._clock_was_wrong(job, error):
            return 0.0
        if not error.retryable:
            return None
        if lost_connection(error) and not job.reconnected and host.budget.take(now):
            job.reconnected = True
            job.attempts -= 1
            return 0.0
        wait = self._terms.retry.delay(job.attempts, retry_after=error.retry_after, remaining=self._ends_at - now)
        return wait if wait is not None and host.budget.take(now) else None

    def _clock_was_wrong(self, job: _Job, error: ProviderError) -> bool:
        host, offset = job.account.host, getattr(error, "clock_offset", None)
        if offset is None or job.resigned or abs(offset - job.signed_with) < _CLOCK_TOLERANCE:
            return False
        job.resigned = True
        if abs(offset - host.clock_offset) >= _CLOCK_TOLERANCE:
            host.clock_offset = offset
            _log.warning("the clock of %s is %+.0f s from this machine's: requests are signed by it", host.name, offset)
        job.attempts -= 1
        return True

    def _later(self, wait: float, job: _Job) -> None:
        if wait <= 0:
            self._jobs.put_nowait(job)
        else:
            self._timers.add(self._loop.call_later(wait, self._jobs.put_nowait, job))

    def _final(self, job: _Job, outcome: Outcome) -> Outcome:
        account, down = job.account, isinstance(outcome, AccountFailure)
        if isinstance(outcome, AccountFailure) and not account.down:
            _log.warning("%s is down: %s", account, _brief(outcome.error))
        elif account.down and not down:
            _log.info("%s is back", account)
        account.down = down
        return outcome

    async def _slot_in_time(self) -> bool:
        # Waiting for a slot is not the provider's fault, so it is outside the attempt's timeout.
        try:
            async with asyncio.timeout_at(self._ends_at):
                await self._slots.acquire()
        except TimeoutError:
            return False
        return True

    async def _attempt(self, job: _Job) -> Outcome:
        account = job.account
        job.signed_with = account.host.clock_offset
        if isinstance(account.source, HttpProvider):
            account.source.clock_offset = job.signed_with
        started = self._loop.time()
        remaining = self._ends_at - started
        fetched_at = datetime.now(UTC)
        job.attempts += 1
        scope = asyncio.timeout(min(self._terms.timeout, remaining))
        outcome: Outcome
        with self._span.attempt(account.label, account.provider, account.host.name, job.attempts) as told:
            try:
                async with scope:
                    balances = await account.source.fetch_balances(self._session)
                told.outcome = outcome = account.snapshot(balances, fetched_at)
            except Exception as raised:  # noqa: BLE001 - a provider may raise anything, and it is its account's failure alone
                if not scope.expired():
                    error = account.error(raised)
                elif remaining <= self._terms.timeout:
                    error = self._unread(job).error
                else:
                    error = account.late(f"no answer within {self._terms.timeout:g} s")
                told.outcome = outcome = account.failure(error)
        if _log.isEnabledFor(logging.DEBUG):
            said = _brief(outcome.error) if isinstance(outcome, AccountFailure) else "200"
            took = 1e3 * (self._loop.time() - started)
            _log.debug("%s: attempt %d: %s in %.0f ms", account, job.attempts, said, took)
        return outcome


def _brief(error: BalancekitError) -> str:
    """Name an error by what is known to be harmless: no word of an answer's body is written to a log."""
    facts = (error.status, error.code) if isinstance(error, ProviderError) else ()
    return " ".join(map(str, filter(None, (type(error).__name__, *facts))))
