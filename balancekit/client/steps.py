"""The steps of a read: whether its turn has come, one attempt, and what follows from what came of it."""

import asyncio
import logging
from typing import Final

import aiohttp
import attrs

from balancekit.client.accounts import Outcome
from balancekit.client.attempts import attempt
from balancekit.client.flights import Read
from balancekit.client.leases import Sharing
from balancekit.client.retry import RetryPolicy
from balancekit.client.timeouts import Alarm
from balancekit.errors import ProviderError, RateLimitedError
from balancekit.http.rate_limit import RateLimiter
from balancekit.http.transport import is_lost_keepalive
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import SnapshotStore
from balancekit.stores.fail_open import FailOpenStore

_log = logging.getLogger(__name__)

# How often a read that waits for its turn under a limit, or for another process, asks again: what it waits for may come
# sooner than it was told, and the word of it may be lost.
_ASK_AGAIN: Final = 1.0
# A `Date` is told in whole seconds, and some time passes on the way.
_CLOCK_TOLERANCE: Final = 5.0


@attrs.frozen
class Terms:
    """What a client allows for reading; `timeout` (of one attempt) and `deadline` (of a call) are in seconds."""

    concurrency: int
    timeout: float
    deadline: float
    retry: RetryPolicy


@attrs.frozen
class Later:
    """A read goes on in so many seconds; `elsewhere`, as soon as another process has read the account."""

    seconds: float
    elsewhere: bool = False


class Steps:
    """Makes steps over a session. What is read is put into the store.

    A guarded store is one that other processes may share: a lease keeps them from reading the same account at the same
    time, and limits on the rate hold for all of them together.
    """

    def __init__(self, terms: Terms, session: aiohttp.ClientSession, store: SnapshotStore | FailOpenStore) -> None:
        self._terms = terms
        self._session = session
        self._store = store
        self._sharing = Sharing(store, seconds=terms.timeout) if isinstance(store, FailOpenStore) else None
        self._alarm = Alarm(terms.timeout)
        self._loop = asyncio.get_running_loop()

    async def step(self, read: Read) -> Outcome | Later:
        """Bring a read one step on: one attempt at most."""
        if self._sharing is not None and read.shares:
            snapshot, wait = await self._sharing.claim(read)
            if snapshot is not None:
                return snapshot
            if wait > 0:
                return Later(min(wait, _ASK_AGAIN), elsewhere=True)
        account = read.account
        limiter = account.host.limiter
        if limiter is not None:
            wait = limiter.acquire(read, self._loop.time())
            if wait <= 0 and self._sharing is not None:
                wait = await self._shared_turn(self._sharing, read, limiter)
            if wait > 0:
                return self._wait_for_turn(read, limiter, wait)
        read.signed_with = account.host.clock_offset
        read.attempts += 1
        read.sent(self._loop.time())
        try:
            outcome = await attempt(account, self._session, read.span, self._alarm, number=read.attempts)
        finally:
            if limiter is not None:
                limiter.release(read, self._loop.time())
                if self._sharing is not None:
                    self._sharing.end_turn(read, limiter.limit)
        if isinstance(outcome, AccountBalances):
            account.host.budget.succeeded()
            return outcome
        pause = self._pause(read, outcome.error) if isinstance(outcome.error, ProviderError) else None
        if pause is None:
            return outcome
        read.sent_at = None
        return Later(pause)

    async def keep(self, read: Read, snapshot: AccountBalances) -> None:
        """Keep what a read has ended with, for others and for later; nobody waits for this."""
        if read.keeps:
            read.account.saw(snapshot)
        try:
            # What another process has read is there already.
            if read.sent_at is not None and read.attempts and (read.keeps or self._sharing is not None):
                age = self._loop.time() - read.sent_at
                await self._store.put(read.account.key, snapshot, version=read.version, age=age)
        finally:
            # Not before: whoever has the lease next looks for the snapshot first. By itself, a read has nothing left.
            if self._sharing is not None:
                self.drop(read)

    def drop(self, read: Read) -> None:
        """Give back what a read has taken: its place in a queue for turns, and its lease."""
        if read.account.host.limiter is not None:
            # Another process may have read it while this one waited for its turn.
            read.account.host.limiter.leave_queue(read)
        if self._sharing is not None:
            self._sharing.release(read)

    async def _shared_turn(self, sharing: Sharing, read: Read, limiter: RateLimiter) -> float:
        # The turn here is kept in mind even though the shared one rules: the store may go away in the middle.
        try:
            wait = await sharing.turn(read, limiter.limit)
        except BaseException:
            limiter.cancel(read)
            raise
        if wait > 0:
            limiter.cancel(read)
        return wait

    def _wait_for_turn(self, read: Read, limiter: RateLimiter, wait: float) -> Outcome | Later:
        if self._loop.time() + wait < read.ends_at:
            # Asked again from time to time, since a turn comes sooner when others give theirs up.
            return Later(min(wait, _ASK_AGAIN))
        account = read.account
        return account.failure(
            RateLimitedError(
                f"no turn before the deadline of {self._terms.deadline:g} s under the limit of {limiter.limit}",
                account=account.label,
                provider=account.provider,
                hint=f"Come back in {wait:.0f} s, or ask for fewer accounts at a time",
                retry_after=wait,
            )
        )

    def _pause(self, read: Read, error: ProviderError) -> float | None:
        """Return the seconds to wait before the account is tried again, or None if it is not."""
        host, now = read.account.host, self._loop.time()
        if self._clock_was_wrong(read, error):
            return 0.0
        if not error.retryable:
            return None
        if is_lost_keepalive(error) and not read.reconnected and host.budget.take(now):
            read.reconnected = True
            read.attempts -= 1
            return 0.0
        wait = self._terms.retry.delay(read.attempts, retry_after=error.retry_after, remaining=read.ends_at - now)
        if wait is None or not host.budget.take(now):
            return None
        read.error = error
        return wait

    def _clock_was_wrong(self, read: Read, error: ProviderError) -> bool:
        host, offset = read.account.host, getattr(error, "clock_offset", None)
        if offset is None or read.resigned or abs(offset - read.signed_with) < _CLOCK_TOLERANCE:
            return False
        read.resigned = True
        if abs(offset - host.clock_offset) >= _CLOCK_TOLERANCE:
            host.clock_offset = offset
            _log.warning("the clock of %s is %+.0f s from this machine's: requests are signed by it", host.name, offset)
        read.attempts -= 1
        return True
