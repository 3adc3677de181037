"""Reading together with other processes: one of them reads an account, and all keep a host's limit together."""

import asyncio
import secrets
from collections import Counter
from typing import Final

from balancekit.client.flights import Read
from balancekit.http.rate_limit import RateLimit
from balancekit.money.balances import AccountBalances
from balancekit.stores.fail_open import FailOpenStore

# A request may end a little after its time.
_GRACE: Final = 0.5


class Sharing:
    """What one process of several may do now; `seconds` is the longest that one attempt takes."""

    def __init__(self, store: FailOpenStore, *, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._owner = secrets.token_hex(8)
        self._tickets = 0
        # How many reads have each lease, which is the process': one that was overtaken must not give it away.
        self._leased: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()

    async def claim(self, read: Read) -> tuple[AccountBalances | None, float]:
        """Take the lease of the account, or the snapshot that another process has read.

        Without either, returns for how many seconds at most another process holds the lease.
        """
        key = read.account.key
        # As long as one attempt can take: the next renews it. A process that dies delays the others by no more.
        # Until the answer is there, since a cancelled question may have been heard: then the lease is given back.
        if not read.leased:
            read.leased = True
            self._leased[key] += 1
        wait = await self._store.lease(key, self._owner, seconds=self._seconds + _GRACE)
        if wait > 0:
            self._forget(read)
            await self._store.listen()
        # After the lease: whoever had it before has put its snapshot by now.
        asked_at = self._loop.time()
        (stored,) = await self._store.get([key])
        # From before the question: a slow answer must not make a snapshot younger than it is.
        sent_at = asked_at - stored.age
        snapshot = read.account.own(stored.snapshot)
        if stored.valid and snapshot is not None and sent_at >= read.since:
            read.version = stored.version
            read.sent(sent_at)
            return snapshot, 0.0
        # Nothing has been sent yet, so that the present version is what the request will be of.
        read.version = stored.version
        return None, wait

    def release(self, read: Read) -> None:
        """Give the lease back, if the read has it."""
        if read.leased and not self._forget(read):
            self._store.run_in_background(self._store.release(read.account.key, self._owner))

    def _forget(self, read: Read) -> int:
        """Take the lease from a read; returns how many others have it."""
        read.leased = False
        self._leased[read.account.key] -= 1
        left = self._leased[read.account.key]
        if not left:
            del self._leased[read.account.key]
        return left

    async def turn(self, read: Read, limit: RateLimit) -> float:
        """Ask for a turn at the account's host; 0 if it begins now, else the seconds after which to ask again."""
        if not read.ticket:
            self._tickets += 1
            read.ticket = f"{self._owner}.{self._tickets}"
        hold = self._seconds + _GRACE
        try:
            return await self._store.acquire_permit(read.account.host.name, limit, read.ticket, hold=hold)
        except BaseException:
            # A question that was cancelled may have been heard.
            self.end_turn(read, limit)
            raise

    def end_turn(self, read: Read, limit: RateLimit) -> None:
        """End the turn of a read, whatever became of it."""
        self._store.run_in_background(self._store.release_permit(read.account.host.name, limit, read.ticket))
        read.ticket = ""
