"""One attempt to read an account, and what it needs first: a lease in a shared store, and a permit that all share."""

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final

import aiohttp
import attrs

from balancekit.client import instrumentation
from balancekit.client.account_state import Moment, elapsed
from balancekit.client.flights import Flight
from balancekit.client.further_permits import FurtherPermits
from balancekit.client.leases import Leases
from balancekit.client.options import ReadOptions
from balancekit.client.origins import Origin
from balancekit.client.shared_failures import SharedFailures
from balancekit.client.timeouts import SharedTimeout
from balancekit.client.unread import no_permit_error
from balancekit.errors import AuthenticationError, BalancekitError, ProviderError, RateLimitedError
from balancekit.http.clock_skew import use_offset
from balancekit.http.connections import open_connections
from balancekit.http.further_requests import use_before_next_request
from balancekit.http.rate_limit import RateLimit
from balancekit.http.sessions import stand_in_for
from balancekit.http.transport import is_lost_keepalive
from balancekit.money.balances import AccountBalances
from balancekit.stores.fail_open import FailOpenStore

# After how many seconds, at most, a flight that waits for a permit or for another process tries again: it may succeed
# sooner than was expected, and the store's message about that may be lost.
_POLL_INTERVAL: Final = 1.0

_MAX_AHEADS: Final = 100
"""How many values of `Moment.ahead` are kept as one object each: rounded to a quarter of a microsecond, few differ."""


@attrs.frozen
class RetryAfter:
    """A flight is to continue after `seconds`; `awaiting_lease`: or as soon as another process has read the account.

    `blocks_origin`: no other flight at the origin can do so sooner.
    """

    seconds: float
    awaiting_lease: bool = False
    blocks_origin: bool = False


class Attempts:
    """Makes the attempts of flights over a session, and puts what they read into the store.

    With a store, which other processes may share, a lease keeps them from reading an account at the same time, and rate
    limits hold for all of them together. A flight has this process's permit when it comes here. `abandon` is called
    with one whose provider goes on although its attempt has timed out, and was cancelled.
    """

    def __init__(
        self,
        options: ReadOptions,
        session: aiohttp.ClientSession,
        store: FailOpenStore | None,
        failures: SharedFailures | None,
        *,
        abandon: Callable[[Flight], None],
    ) -> None:
        self._options = options
        self._session = stand_in_for(session)
        self._store = store
        self._failures = failures
        self._leases = (
            None if store is None else Leases(store, options.clock, failures, attempt_seconds=options.timeout)
        )
        self._clock = options.clock
        # One float for each value of `Moment.ahead`, since every account would keep one of its own.
        self._aheads: dict[float, float] = {}
        self._timeout = SharedTimeout(options.timeout, options.clock, abandon)

    @property
    def idle(self) -> bool:
        """Whether no attempt is under way."""
        return self._timeout.idle

    async def run(self, flight: Flight) -> AccountBalances | BalancekitError | RetryAfter:
        """Make one attempt, unless another process does or there is no permit yet."""
        origin, permit, is_sent = flight.account.origin, "", False
        further: FurtherPermits | None = None
        try:
            if self._leases is not None and flight.may_share:
                known, wait = await self._leases.acquire(flight)
                if known is not None:
                    return known
                if wait > 0:
                    return RetryAfter(min(wait, _POLL_INTERVAL), awaiting_lease=True)
            elif self._failures is not None:
                await self._failures.look_up(origin)
            if self._leases is not None and origin.limit is not None:
                # The permit of this process is held as well: if the store goes down now, the local limit still holds.
                permit, wait = await self._leases.acquire_permit(origin.name, origin.limit)
                if wait > 0:
                    return self._wait_for_permit(flight, wait)
            # Another flight may have been sent a 429 while this one waited for the store.
            if origin.cooldown.times and (wait := origin.cooldown.remaining(self._clock.monotonic())) > 0:
                return RetryAfter(wait)
            is_sent = True
            if hasattr(flight.account.source, "exchange"):
                further = FurtherPermits(flight.account, flight, permit, self._leases, self._clock)
                use_before_next_request(further.acquire_next)
            return await self._attempt(flight)
        finally:
            if further is not None:
                permit = further.shared
                # This task goes on with other accounts.
                use_before_next_request(None)
            if origin.limit is not None:
                self._release_permits(flight, origin.limit, permit, is_sent=is_sent)

    async def store(self, flight: Flight, snapshot: AccountBalances) -> None:
        """Put what a flight has ended with into the store; no caller waits for this."""
        if self._store is None:
            return
        try:
            # What another process has read is in the store already, and what none can ask for is of no use there.
            if flight.is_own and flight.account.fingerprint:
                moment, age = Moment.of(self._clock), 0.0
                if flight.sent_at is not None:
                    ahead = moment.ahead if flight.sent is None else flight.sent.ahead
                    age = elapsed(flight.sent_at, ahead, moment)
                await self._store.put(flight.account.key, snapshot, version=flight.version, age=age)
        finally:
            # Release the lease after storing the snapshot: its next holder looks for that first.
            self.release(flight)

    def release(self, flight: Flight) -> None:
        """Give back the lease that a flight holds."""
        if self._leases is not None:
            self._leases.release(flight)

    def _release_permits(self, flight: Flight, limit: RateLimit, permit: str, *, is_sent: bool) -> None:
        origin = flight.account.origin
        if is_sent:
            origin.permits.release(limit, flight, self._clock.monotonic())
        else:
            origin.permits.cancel(flight)
        if self._leases is not None and permit:
            self._leases.release_permit(origin.name, limit, permit)

    async def _attempt(self, flight: Flight) -> AccountBalances | BalancekitError | RetryAfter:
        account, origin, retry = flight.account, flight.account.origin, flight.retry
        clock_offset = origin.clock.offset if retry.clock_offset is None else retry.clock_offset
        retry.attempts += 1
        # What is read from now on is of the account as it is now.
        flight.version = account.state.version
        # As `Moment.of` does, but without the call: this is done for every request.
        now = self._clock.monotonic()
        ahead = self._clock.time() - now
        if len(self._aheads) > _MAX_AHEADS:
            self._aheads.clear()
        moment = Moment(now, self._aheads.setdefault(ahead, ahead))
        flight.sent_at, flight.sent, flight.is_own = now, moment, True
        if flight.first_sent_at is None:
            flight.first_sent_at = moment.now
        account.state.waiting_since, account.state.requested_at = None, moment.now
        # Skip the wrapper when neither DEBUG logging nor tracing is on.
        observed = flight.span.is_recording or instrumentation.logs_attempts()
        if observed:
            result = await self._observe_attempt(flight, clock_offset, moment)
        else:
            result = await self._request(flight, clock_offset, moment)
        if isinstance(result, AccountBalances):
            origin.budget.succeeded()
            if origin.cooldown.times:
                origin.cooldown.succeeded(sent_at=moment.now)
            is_other = clock_offset != origin.clock.offset
            if is_other and account.signs_time and origin.clock.accepted(clock_offset):
                instrumentation.log_clock_skew(origin)
            return result
        if not isinstance(result, ProviderError):
            return result
        now = self._clock.monotonic()
        if isinstance(result, RateLimitedError):
            self._begin_cooldown(origin, result, moment)
        if (
            isinstance(result, AuthenticationError)
            and account.signs_time
            and retry.correct_clock(clock_offset, result.clock_offset)
        ):
            delay: float | None = 0.0
        else:
            delay = retry.next_delay(
                result,
                policy=self._options.retry,
                budget=origin.budget,
                is_lost_keepalive=is_lost_keepalive(result),
                now=now,
                # A read in the background has no deadline; those who join it have.
                remaining=min(flight.ends_at - now, self._options.deadline),
                cooldown=origin.cooldown.remaining(now),
            )
        if delay is None:
            return result
        flight.sent_at = None
        return RetryAfter(delay)

    def _begin_cooldown(self, origin: Origin, error: RateLimitedError, moment: Moment) -> None:
        origin.cooldown.begin(sent_at=moment.now, now=self._clock.monotonic(), retry_after=error.retry_after)
        if self._failures is not None:
            self._failures.share_cooldown(origin)
        origin.announce_cooldown()

    async def _observe_attempt(
        self, flight: Flight, clock_offset: float, moment: Moment
    ) -> AccountBalances | BalancekitError:
        """Make an attempt within a span, and log its result at DEBUG."""
        account, number = flight.account, flight.retry.attempts
        others = [waiter.span for waiter in flight.waiters] if len(flight.waiters) > 1 else []
        span = flight.span.attempt(account.label, account.provider, account.origin.name, number, others)
        ended = None
        try:
            result = ended = await self._request(flight, clock_offset, moment)
        finally:
            if span is not None:
                span.end(ended)
        instrumentation.log_attempt(account, number, result, self._clock.monotonic() - moment.now)
        return result

    async def _request(self, flight: Flight, clock_offset: float, moment: Moment) -> AccountBalances | BalancekitError:
        """Call the account's provider once; only a cancellation, and what ends the whole program, is raised."""
        account, opens_connection = flight.account, flight.retry.opens_connection
        use_offset(clock_offset)
        fetched_at = datetime.fromtimestamp(moment.now + moment.ahead, UTC)
        timeout = self._timeout.start(moment.now, flight)
        try:
            if opens_connection:
                open_connections(is_on=True)
            with timeout:
                balances = await account.source.fetch_balances(self._session)
            return account.to_snapshot(balances, fetched_at)
        except Exception as raised:  # noqa: BLE001 - a provider may raise anything, and it is its account's failure alone
            # A 429 is heeded however late it comes.
            if timeout.expired and not isinstance(raised, RateLimitedError):
                return account.timeout_error(f"no response within {self._timeout.seconds:g} s")
            return account.to_error(raised)
        finally:
            if opens_connection:
                # This task goes on with other accounts.
                open_connections(is_on=False)

    def _wait_for_permit(self, flight: Flight, wait: float) -> BalancekitError | RetryAfter:
        if self._clock.monotonic() + wait < flight.ends_at:
            # Not for the whole time at once: a permit comes sooner when others give theirs back.
            return RetryAfter(min(wait, _POLL_INTERVAL), blocks_origin=True)
        deadlines = [waiter.deadline for waiter in flight.waiters]
        return no_permit_error(flight.account, max(deadlines, key=attrgetter("at"), default="the deadline"), wait)
