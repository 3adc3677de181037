"""Reading accounts, each for all calls that want it, so that every call has one outcome of each, whatever happens."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from balancekit.client.accounts import Account, Outcome
from balancekit.client.attempts import brief
from balancekit.client.flights import Call, Read
from balancekit.client.steps import Later, Steps, Terms
from balancekit.errors import ProviderError
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.stores.base import SnapshotStore, Stored
from balancekit.stores.fail_open import FailOpenStore

_log = logging.getLogger(__name__)

# How long a cancelled request may take to end before it is left to itself.
_GRACE: Final = 0.05
# How long what has been read may take to be put into the store when the client is closed.
_LAST_WORDS: Final = 1.0
_UNASKED_HINT: Final = "Other accounts took all the time. Give the client a longer deadline, or more concurrency"


class Reader:
    """Reads accounts over a session with at most `terms.concurrency` requests at a time, in the order of asking.

    What is read is put into the store, which other processes may share if it is guarded; see `Steps`.
    """

    def __init__(self, terms: Terms, session: aiohttp.ClientSession, store: SnapshotStore | FailOpenStore) -> None:
        self._terms = terms
        self.store = store
        self._shared = store if isinstance(store, FailOpenStore) else None
        self._steps = Steps(terms, session, store)
        self._loop = asyncio.get_running_loop()
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
                snapshot = known.snapshot
                if snapshot is not account.last:
                    snapshot = account.own(snapshot)
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

    async def ended(self) -> None:
        """Wait, but not for ever, for what is still being put into the store."""
        if self._workers:
            await asyncio.wait(self._workers, timeout=_LAST_WORDS)

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
        if self._shared is None:
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
        if read in self._elsewhere.get(account.key, ()):
            return account.failure(account.late(f"another process has not read it {deadline}"))
        return self._unasked(account)

    def _part(self, call: Call, read: Read) -> None:
        read.calls.pop(call, None)
        if read.calls or read.outcome is not None:
            return
        self._forget(read)
        if read.timer is not None:
            read.timer.cancel()
        self._is_here(read)
        if read.worker is not None:
            read.worker.cancel()
            # Another may take its place at once: this one may never end.
            self._workers.discard(read.worker)
            self._leaving.add(read.worker)
            call.leaving.add(read.worker)
            if self._queue:
                self._hire()
        self._steps.drop(read)

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
                step = await self._steps.step(read)
                if isinstance(step, Later):
                    self._later(step, read)
                else:
                    self._finish(read, step)
                    # The callers have it by now: they do not wait for the store. Nor does what nobody wanted any more.
                    if isinstance(step, AccountBalances) and worker in self._workers:
                        await self._steps.keep(read, step)
            except BaseException as raised:
                self._finish(read, read.account.failure(read.account.error(raised)))
                if not isinstance(raised, Exception):
                    raise
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

    def _later(self, later: Later, read: Read) -> None:
        if not read.calls:
            # All calls have left while the last step came to its end.
            return
        if later.elsewhere:
            self._elsewhere.setdefault(read.account.key, set()).add(read)
        if later.seconds <= 0:
            self._enqueue(read)
        else:
            read.timer = self._loop.call_later(later.seconds, self._again, read)

    def _again(self, read: Read) -> None:
        self._is_here(read)
        self._enqueue(read)

    def _is_here(self, read: Read) -> None:
        waiting = self._elsewhere.get(read.account.key)
        if waiting is not None:
            waiting.discard(read)
            if not waiting:
                del self._elsewhere[read.account.key]

    def _finish(self, read: Read, outcome: Outcome) -> None:
        if isinstance(outcome, AccountFailure):
            self._steps.drop(read)
        if not read.calls:
            return
        read.outcome = self._told(read.account, outcome)
        # Without the store nobody knows whether the snapshot still holds.
        unknown = self._shared is not None and not self._shared.reachable
        if isinstance(outcome, AccountFailure) or not read.keeps or unknown:
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
