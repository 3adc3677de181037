"""One attempt to read an account, and what it needs first: a lease in a shared store, a permit under a rate limit."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import aiohttp
import attrs

from balancekit.client import instrumentation
from balancekit.client.accounts import Account
from balancekit.client.flights import Flight
from balancekit.client.leases import Leases
from balancekit.client.options import ReadOptions
from balancekit.client.timeouts import SharedTimeout
from balancekit.errors import AuthenticationError, BalancekitError, ProviderError, RateLimitedError
from balancekit.http.clock_skew import use_offset
from balancekit.http.hints import NO_PERMIT_HINT
from balancekit.http.rate_limit import RateLimiter
from balancekit.http.transport import is_lost_keepalive
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import SnapshotStore
from balancekit.stores.fail_open import FailOpenStore

# After how many seconds, at most, a flight that waits for a permit or for another process tries again: it may succeed
# sooner than was expected, and the store's message about that may be lost.
_POLL_INTERVAL: Final = 1.0


@attrs.frozen
class RetryAfter:
    """A flight is to continue after `seconds`; `awaiting_lease`: or as soon as another process has read the account."""

    seconds: float
    awaiting_lease: bool = False


class Attempts:
    """Makes the attempts of flights over a session, and puts what they read into the store.

    If other processes may share the store, a lease keeps them from reading an account at the same time, and rate limits
    hold for all of them together.
    """

    def __init__(
        self, options: ReadOptions, session: aiohttp.ClientSession, store: SnapshotStore | FailOpenStore
    ) -> None:
        self._options = options
        self._session = session
        self._store = store
        self._leases = Leases(store, attempt_seconds=options.timeout) if isinstance(store, FailOpenStore) else None
        self._timeout = SharedTimeout(options.timeout)
        self._loop = asyncio.get_running_loop()

    @property
    def idle(self) -> bool:
        """Whether no attempt is under way."""
        return self._timeout.idle

    async def run(self, flight: Flight) -> AccountBalances | BalancekitError | RetryAfter:
        """Make one attempt, unless another process does or there is no permit yet."""
        if self._leases is not None and flight.may_share:
            snapshot, wait = await self._leases.acquire(flight)
            if snapshot is not None:
                return snapshot
            if wait > 0:
                return RetryAfter(min(wait, _POLL_INTERVAL), awaiting_lease=True)
        limiter, permit = flight.account.origin.limiter, ""
        if limiter is not None:
            wait = limiter.acquire(flight, self._loop.time())
            if wait <= 0 and self._leases is not None:
                permit, wait = await self._acquire_shared_permit(self._leases, flight, limiter)
            if wait > 0:
                return self._wait_for_permit(flight, limiter, wait)
        try:
            return await self._attempt(flight)
        finally:
            if limiter is not None:
                limiter.release(flight, self._loop.time())
                if self._leases is not None:
                    self._leases.release_permit(flight.account.origin.name, limiter.limit, permit)

    async def store(self, flight: Flight, snapshot: AccountBalances) -> None:
        """Keep what a flight has ended with, for later and for other processes; no caller waits for this."""
        # What another process has read is in the store already.
        is_own = flight.retry.attempts > 0
        sent_at = self._loop.time() if flight.sent_at is None else flight.sent_at
        age = self._loop.time() - sent_at
        if flight.store_result and is_own:
            flight.account.remember(snapshot, sent_at=sent_at)
        elif flight.store_result:
            flight.account.remember_stored(snapshot, age=age)
        try:
            if is_own and (flight.store_result or self._leases is not None):
                await self._store.put(flight.account.key, snapshot, version=flight.version, age=age)
        finally:
            # Release the lease after storing the snapshot: its next holder looks for that first. Without a shared store
            # there is nothing to release.
            if self._leases is not None:
                self.release(flight)

    def release(self, flight: Flight) -> None:
        """Give back what a flight holds: its place in the queue for permits, and its lease."""
        if flight.account.origin.limiter is not None:
            # Another process may have read the account while this flight waited for a permit.
            flight.account.origin.limiter.leave_queue(flight)
        if self._leases is not None:
            self._leases.release(flight)

    async def _attempt(self, flight: Flight) -> AccountBalances | BalancekitError | RetryAfter:
        origin, retry = flight.account.origin, flight.retry
        clock_offset = origin.clock.offset if retry.clock_offset is None else retry.clock_offset
        retry.attempts += 1
        retry.requested = True
        flight.mark_sent(self._loop.time())
        # Skip the wrapper when neither DEBUG logging nor tracing is on.
        observed = flight.span.is_recording or instrumentation.logs_attempts()
        if observed:
            result = await self._observe_attempt(flight, clock_offset)
        else:
            result = await run_attempt(flight.account, self._session, self._timeout, clock_offset)
        if isinstance(result, AccountBalances):
            origin.budget.succeeded()
            is_other = clock_offset != origin.clock.offset
            if is_other and flight.account.signs_time and origin.clock.accepted(clock_offset):
                instrumentation.log_clock_skew(origin)
            return result
        if not isinstance(result, ProviderError):
            return result
        if (
            isinstance(result, AuthenticationError)
            and flight.account.signs_time
            and retry.correct_clock(clock_offset, result.clock_offset)
        ):
            delay: float | None = 0.0
        else:
            now = self._loop.time()
            delay = retry.next_delay(
                result,
                policy=self._options.retry,
                budget=origin.budget,
                is_lost_keepalive=is_lost_keepalive(result),
                now=now,
                remaining=flight.ends_at - now,
            )
        if delay is None:
            return result
        flight.sent_at = None
        return RetryAfter(delay)

    async def _observe_attempt(self, flight: Flight, clock_offset: float) -> AccountBalances | BalancekitError:
        """Make an attempt within a span, and log its result at DEBUG."""
        account, number = flight.account, flight.retry.attempts
        started = self._loop.time()
        with flight.span.attempt(account.label, account.provider, account.origin.name, number) as span:
            span.result = result = await run_attempt(account, self._session, self._timeout, clock_offset)
        instrumentation.log_attempt(account, number, result, self._loop.time() - started)
        return result

    async def _acquire_shared_permit(self, leases: Leases, flight: Flight, limiter: RateLimiter) -> tuple[str, float]:
        # The local permit is taken as well: if the store goes down now, the local limit still holds.
        try:
            permit, wait = await leases.acquire_permit(flight.account.origin.name, limiter.limit)
        except BaseException:
            limiter.cancel(flight)
            raise
        if wait > 0:
            limiter.cancel(flight)
        return permit, wait

    def _wait_for_permit(self, flight: Flight, limiter: RateLimiter, wait: float) -> BalancekitError | RetryAfter:
        if self._loop.time() + wait < flight.ends_at:
            # Not for the whole time at once: a permit comes sooner when others give theirs back.
            return RetryAfter(min(wait, _POLL_INTERVAL))
        return RateLimitedError(
            f"no permit before the deadline of {self._options.deadline:g} s under the limit of {limiter.limit}",
            account=flight.account.label,
            provider=flight.account.provider,
            hint=NO_PERMIT_HINT.format(wait=wait),
            retry_after=wait,
        )


async def run_attempt(
    account: Account, session: aiohttp.ClientSession, shared_timeout: SharedTimeout, clock_offset: float
) -> AccountBalances | BalancekitError:
    """Call the account's provider once; only a cancellation, and what ends the whole program, is raised."""
    use_offset(clock_offset)
    fetched_at = datetime.now(UTC)
    timeout = shared_timeout.start()
    try:
        with timeout:
            balances = await account.source.fetch_balances(session)
        return account.to_snapshot(balances, fetched_at)
    except Exception as raised:  # noqa: BLE001 - a provider may raise anything, and it is its account's failure alone
        if timeout.expired:
            return account.timeout_error(f"no response within {shared_timeout.seconds:g} s")
        return account.to_error(raised)
