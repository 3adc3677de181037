"""Reading a set of accounts at once, so that each of them ends in exactly one outcome, whatever happens."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, cast

import aiohttp
import attrs

from balancekit.balances import AccountBalances, AccountFailure, Balance
from balancekit.causes import blame
from balancekit.errors import BalancekitError, MalformedResponseError, ProviderError, ProviderTimeoutError
from balancekit.provider import BalanceProvider
from balancekit.retry import RetryPolicy
from balancekit.transport import translate

Outcome = AccountBalances | AccountFailure
"""What became of reading one account."""

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


@attrs.frozen
class Account:
    """One account and how to read it; its label and its provider's name are read once and checked."""

    label: str
    provider: str
    source: BalanceProvider

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

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Give each account's outcome as it arrives, and at the deadline those of the accounts that remain."""
        for job in self._pending.values():
            self._jobs.put_nowait(job)
        for _ in range(min(self._terms.concurrency, len(self._pending))):
            self._hire()
        try:
            while self._pending:
                outcome = await self._next()
                if outcome is None:
                    break
                if self._pending.pop(outcome.account, None) is not None:
                    yield outcome
            for job in list(self._pending.values()):
                yield self._unread(job)
        finally:
            await self._stop()

    def close(self) -> None:
        """End the reading now: what has not arrived fails, since the client was closed."""
        self._closed = True
        self._arrived.put_nowait(None)

    async def _stop(self) -> None:
        self._stopped = True
        for timer in self._timers:
            timer.cancel()
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
        if not await self._slot_in_time():
            return self._unread(job)
        try:
            outcome = await self._attempt(job)
        finally:
            self._slots.release()
        if isinstance(outcome, AccountBalances):
            return outcome
        error = outcome.error
        if not isinstance(error, ProviderError) or not error.retryable:
            return outcome
        remaining = self._ends_at - self._loop.time()
        wait = self._terms.retry.delay(job.attempts, retry_after=error.retry_after, remaining=remaining)
        if wait is None:
            return outcome
        self._timers.add(self._loop.call_later(wait, self._jobs.put_nowait, job))
        return None

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
        remaining = self._ends_at - self._loop.time()
        fetched_at = datetime.now(UTC)
        job.attempts += 1
        scope = asyncio.timeout(min(self._terms.timeout, remaining))
        try:
            async with scope:
                balances = await account.source.fetch_balances(self._session)
            return account.snapshot(balances, fetched_at)
        except Exception as raised:  # noqa: BLE001 - a provider may raise anything, and it is its account's failure alone
            if not scope.expired():
                return account.failure(account.error(raised))
        if remaining <= self._terms.timeout:
            return self._unread(job)
        return account.failure(account.late(f"no answer within {self._terms.timeout:g} s"))
