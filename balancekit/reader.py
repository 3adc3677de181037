"""Reading accounts, each for all calls that want it, so that every call has one outcome of each, whatever happens."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import attrs

from balancekit.account import Account, Outcome
from balancekit.alarm import Alarm
from balancekit.attempt import attempt, brief
from balancekit.balances import AccountBalances, AccountFailure
from balancekit.call import Call
from balancekit.errors import ProviderError, RateLimitedError
from balancekit.rate_limit import RateLimiter
from balancekit.read import Read
from balancekit.retry import RetryPolicy
from balancekit.sharing import Sharing
from balancekit.stores.guard import GuardedStore
from balancekit.stores.protocol import SnapshotStore, Stored
from balancekit.transport import lost_connection

_log = logging.getLogger(__name__)

# How often a read that waits for its turn under a limit, or for another process, asks again: what it waits for may come
# sooner than it was told, and the word of it may be lost.
_ASK_AGAIN: Final = 1.0
# A `Date` is told in whole seconds, and some time passes on the way.
_CLOCK_TOLERANCE: Final = 5.0
# How long a cancelled request may take to end before it is left to itself.
_GRACE: Final = 0.05
_UNASKED_HINT: Final = "Other accounts took all the time. Give the client a longer deadline, or more concurrency"


@attrs.frozen
class Terms:
    """What a client allows for reading; `timeout` (of one attempt) and `deadline` (of a call) are in seconds."""

    concurrency: int
    timeout: float
    deadline: float
    retry: RetryPolicy


class Reader:
    """Reads accounts over a session with at most `terms.concurrency` requests at a time, in the order of asking.

    What is read is put into the store. A guarded store is one that other processes may share: a lease keeps them from
    reading the same account at the same time, and limits on the rate hold for all of them together.
    """

    def __init__(self, terms: Terms, session: aiohttp.ClientSession, store: SnapshotStore | GuardedStore) -> None:
        self._terms = terms
        self._session = session
        self.store = store
        self._sharing = Sharing(store, seconds=terms.timeout) if isinstance(store, GuardedStore) else None
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(terms.timeout)
        self._closed = False
        self._calls: set[Call] = set()
        # The latest read of each account, by label. One that has ended stays for its snapshot.
        self._reads: dict[str, Read] = {}
        # Reads whose turn it is, and calls whose unasked accounts are each to have theirs.
        self._queue: deque[Read | Call] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        # Those that were cancelled and have not ended yet.
        self._leaving: set[asyncio.Task[None]] = set()
        # Reads that wait for another process, by the account's key.
        self._elsewhere: dict[str, set[Read]] = {}

    @property
    def busy(self) -> bool:
        """Whether a call is waiting."""
        return bool(self._calls)

    @asynccontextmanager
    async def call(self, accounts: Sequence[Account], max_age: float, *, keeps: bool = True) -> AsyncGenerator[Call]:
        """Ask for the accounts; on leaving, reads that no other call waits for are cancelled.

        A snapshot whose request was sent no more than `max_age` seconds before this, and that holds still, will do.
        Without `keeps`, what is read for this call alone is not kept in this process.
        """
        started = self._loop.time()
        call = Call(
            len(accounts),
            since=started - max_age,
            ends_at=started + self._terms.deadline,
            shares=max_age > 0,
            keeps=keeps,
            expire=self._expire,
        )
        self._calls.add(call)
        try:
            stored = await self._known(call, accounts)
            for account, known in zip(accounts, stored, strict=True):
                snapshot = account.own(known.snapshot)
                if keeps:
                    account.saw(snapshot)
                if known.valid and snapshot is not None and call.shares and known.age <= max_age:
                    call.arrive(snapshot)
                else:
                    call.put_off(account, known.version)
            del stored
            if self._closed:
                self._fail_closed(call)
            elif call.late:
                self._expire(call)
            else:
                self._begin(call)
            yield call
        finally:
            await self._leave(call)

    def close(self) -> None:
        """End all calls now: what has not arrived fails, since the client was closed."""
        self._closed = True
        for call in self._calls:
            self._fail_closed(call)

    def changed(self, key: str | None) -> None:
        """Look again for what other processes were to read: of one account, or without a key of all."""
        waiting = list(self._elsewhere) if key is None else [key]
        for account in waiting:
            for read in self._elsewhere.pop(account, ()):
                if read.timer is not None:
                    read.timer.cancel()
                    self._enqueue(read)

    def _begin(self, call: Call) -> None:
        if len(call.unasked) <= self._terms.concurrency:
            while call.unasked:
                read = self._join(call, *call.take())
                if read is not None:
                    self._enqueue(read)
            return
        # So many wait anyway, and are not all made into reads before their turn.
        self._queue.append(call)
        for _ in range(self._terms.concurrency):
            self._hire()

    async def _known(self, call: Call, accounts: Sequence[Account]) -> Sequence[Stored]:
        keys = [account.key for account in accounts]
        if self._sharing is None:
            return await self.store.get(keys)
        try:
            async with asyncio.timeout_at(call.ends_at):
                return await self.store.get(keys)
        except TimeoutError:
            return [Stored("")] * len(keys)

    def _fail_closed(self, call: Call) -> None:
        for account, _ in self._give_up(call):
            # A client that is closed says nothing of its accounts in the log.
            message = "the client was closed before there was an answer"
            error = ProviderError(message, account=account.label, provider=account.provider)
            call.arrive(account.failure(error))

    def _join(self, call: Call, account: Account, version: str) -> Read | None:
        """Have a call wait for a read of the account: one that is under way, if it serves, or the new one returned."""
        known = self._reads.get(account.label)
        new = None
        if known is None or not call.shares or not known.serves(version, call.since):
            known = new = self._reads[account.label] = Read(account, version, call.since, call.shares, call.span)
        known.keeps = known.keeps or call.keeps
        if known.outcome is not None:
            call.arrive(known.outcome)
        else:
            known.calls[call] = None
            known.since = max(known.since, call.since)
            call.pending[account.label] = known
        return new

    async def _leave(self, call: Call) -> None:
        call.end()
        self._calls.discard(call)
        for read in call.pending.values():
            self._part(call, read)
        call.unasked.clear()
        if call.leaving:
            # Not for ever: a provider that refuses to be cancelled must not keep the caller.
            await asyncio.wait(call.leaving, timeout=_GRACE)

    def _expire(self, call: Call) -> None:
        call.late = True
        for account, outcome in self._give_up(call):
            call.arrive(self._told(account, outcome))

    def _give_up(self, call: Call) -> list[tuple[Account, AccountFailure]]:
        """Take a call out of all that it waits for; returns the failures that it is to be told at its deadline."""
        left = [(read.account, self._unread(read)) for read in call.pending.values()]
        for read in call.pending.values():
            self._part(call, read)
        left += [(account, self._unasked(account)) for account in call.unasked]
        call.unasked.clear()
        return left

    def _unasked(self, account: Account) -> AccountFailure:
        deadline = f"before the deadline of {self._terms.deadline:g} s"
        return account.failure(account.late(f"not asked {deadline}", _UNASKED_HINT))

    def _unread(self, read: Read) -> AccountFailure:
        account, deadline = read.account, f"before the deadline of {self._terms.deadline:g} s"
        if read.sent_at is None and read.error is not None:
            return account.failure(read.error)
        if read.attempts:
            return account.failure(account.late(f"no answer {deadline}"))
        if account.key in self._elsewhere:
            return account.failure(account.late(f"another process has not read it {deadline}"))
        return self._unasked(account)

    def _part(self, call: Call, read: Read) -> None:
        read.calls.pop(call, None)
        if read.calls or read.outcome is not None:
            return
        self._forget(read)
        if read.timer is not None:
            read.timer.cancel()
        if read.account.host.limiter is not None:
            read.account.host.limiter.leave(read)
        if read.account.key in self._elsewhere:
            self._elsewhere[read.account.key].discard(read)
        if read.worker is not None:
            read.worker.cancel()
            # Another may take its place at once: this one may never end.
            self._workers.discard(read.worker)
            self._leaving.add(read.worker)
            call.leaving.add(read.worker)
            if self._queue:
                self._hire()
        if self._sharing is not None:
            self._sharing.release(read)

    def _forget(self, read: Read) -> None:
        if self._reads.get(read.account.label) is read:
            del self._reads[read.account.label]

    # A few workers on one queue: a task for each account costs more.
    def _enqueue(self, read: Read) -> None:
        read.timer = None
        self._queue.append(read)
        self._hire()

    def _hire(self) -> None:
        if len(self._workers) < self._terms.concurrency:
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._leaving.discard(worker)
        if not worker.cancelled():
            # It has been told to the calls; this keeps asyncio from telling it again.
            worker.exception()
        # A provider may cancel the task that it runs in, and the accounts that are left need another. Going on in the
        # same task would be wrong: it may be the whole loop that is being shut down.
        if self._queue:
            self._hire()

    async def _work(self) -> None:
        worker = asyncio.current_task()
        while worker in self._workers and (read := self._next()) is not None:
            read.worker = worker
            try:
                outcome = await self._step(read)
            except BaseException as raised:
                self._finish(read, read.account.failure(read.account.error(raised)))
                if not isinstance(raised, Exception):
                    raise
            else:
                if outcome is not None:
                    self._finish(read, outcome)
            finally:
                read.worker = None
            if worker.cancelling():
                # Whoever cancelled this task, the next account is not to be hit by it.
                break
        # Now, and not when the task is seen to have ended: whatever is queued meanwhile needs another.
        self._workers.discard(worker)

    def _next(self) -> Read | None:
        while self._queue:
            head = self._queue[0]
            if isinstance(head, Call) and head.unasked:
                read = self._join(head, *head.take())
                if read is not None:
                    return read
                continue
            self._queue.popleft()
            if isinstance(head, Read) and head.calls:
                return head
        return None

    async def _step(self, read: Read) -> Outcome | None:
        """Bring a read one step on: one attempt at most; None if it goes on later, after the first steps of others."""
        account = read.account
        if self._sharing is not None and read.shares:
            outcome = await self._read_elsewhere(read, self._sharing)
            if outcome is not None or not read.leased:
                return outcome
        limiter = account.host.limiter
        if limiter is not None:
            turn_in = await self._turn(read, limiter)
            if turn_in > 0:
                return self._wait_for_turn(read, limiter, turn_in)
        read.signed_with = account.host.clock_offset
        read.attempts += 1
        read.sent_at = sent_at = self._loop.time()
        try:
            outcome = await attempt(account, self._session, read.span, self._alarm, number=read.attempts)
        finally:
            if limiter is not None:
                self._end_turn(read, limiter)
        if isinstance(outcome, AccountBalances):
            account.host.budget.succeeded()
            if read.keeps:
                account.saw(outcome)
            if read.keeps or self._sharing is not None:
                age = self._loop.time() - sent_at
                await self.store.put(account.key, outcome, version=read.version, age=age)
            return outcome
        error = outcome.error
        wait = self._wait_before_next(read, error) if isinstance(error, ProviderError) else None
        if wait is None:
            return outcome
        read.sent_at = None
        self._later(wait, read)
        return None

    async def _read_elsewhere(self, read: Read, sharing: Sharing) -> Outcome | None:
        snapshot, wait = await sharing.claim(read)
        if snapshot is not None:
            read.account.saw(snapshot)
        elif wait > 0:
            self._elsewhere.setdefault(read.account.key, set()).add(read)
            self._later(min(wait, _ASK_AGAIN), read)
        return snapshot

    async def _turn(self, read: Read, limiter: RateLimiter) -> float:
        wait = limiter.ask(read, self._loop.time())
        if wait > 0 or self._sharing is None:
            return wait
        # The turn here is kept in mind even though the shared one rules: the store may go away in the middle.
        try:
            wait = await self._sharing.turn(read, limiter.limit)
        except BaseException:
            # A cancelled question may have been heard.
            self._sharing.end_turn(read, limiter.limit)
            limiter.give_back(self._loop.time())
            raise
        if wait > 0:
            limiter.give_back(self._loop.time())
        return wait

    def _end_turn(self, read: Read, limiter: RateLimiter) -> None:
        limiter.end(self._loop.time())
        if self._sharing is not None:
            self._sharing.end_turn(read, limiter.limit)

    def _wait_for_turn(self, read: Read, limiter: RateLimiter, wait: float) -> Outcome | None:
        if self._loop.time() + wait < read.ends_at:
            # Asked again from time to time, since a turn comes sooner when others give theirs up.
            self._later(min(wait, _ASK_AGAIN), read)
            return None
        limiter.leave(read)
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

    def _wait_before_next(self, read: Read, error: ProviderError) -> float | None:
        """Return the seconds to wait before the account is tried again, or None if it is not."""
        host, now = read.account.host, self._loop.time()
        if self._clock_was_wrong(read, error):
            return 0.0
        if not error.retryable:
            return None
        if lost_connection(error) and not read.reconnected and host.budget.take(now):
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

    def _later(self, wait: float, read: Read) -> None:
        if not read.calls:
            # All calls have left while the last attempt came to its end.
            return
        if wait <= 0:
            self._enqueue(read)
        else:
            read.timer = self._loop.call_later(wait, self._again, read)

    def _again(self, read: Read) -> None:
        if read.account.key in self._elsewhere:
            self._elsewhere[read.account.key].discard(read)
        self._enqueue(read)

    def _finish(self, read: Read, outcome: Outcome) -> None:
        if read.account.host.limiter is not None:
            # Another process may have read it while this one waited for its turn.
            read.account.host.limiter.leave(read)
        if self._sharing is not None:
            self._sharing.release(read)
        if not read.calls:
            return
        read.outcome = self._told(read.account, outcome)
        if (
            isinstance(outcome, AccountFailure)
            or not read.keeps
            # Without the store nobody knows whether the snapshot still holds.
            or (self._sharing is not None and not self._sharing.reachable)
        ):
            self._forget(read)
        for call in read.calls:
            call.arrive(outcome)
        read.calls.clear()

    def _told(self, account: Account, outcome: Outcome) -> Outcome:
        """Tell the log if the account has gone down or has come back."""
        down = isinstance(outcome, AccountFailure)
        if isinstance(outcome, AccountFailure) and not account.down:
            _log.warning("%s is down: %s", account, brief(outcome.error))
        elif account.down and not down:
            _log.info("%s is back", account)
        account.down = down
        return outcome
