"""The store of one process, in its memory."""

import itertools
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import attrs

from balancekit.clock import Clock, checked_clock
from balancekit.http.rate_limit import Permits, RateLimit
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Change, Stored, StoredFailure
from balancekit.stores.forgetting import forget_some
from balancekit.stores.forks import forget_parent_after_fork
from balancekit.stores.recent_events import RecentEvents
from balancekit.stores.subscribers import Subscribers

_WEEK: Final = 7 * 86400.0


@attrs.define
class _Account:
    version: str
    snapshot: AccountBalances | None = None
    # The version that the snapshot was read at, and when its request was sent by either clock.
    read_at: str = ""
    sent: float = 0.0
    sent_monotonic: float = 0.0
    stored_at: float = 0.0
    # The text of a failure, when it was put and when its cooldown ends, by the monotonic clock.
    failure: tuple[str, float, float] | None = None


class MemoryStore:
    """Keeps everything in this process, for as long as that runs.

    Give it the `clock` of the clients that use it, if that is not the machine's. An age is the longer of what the
    clock's two times say: the monotonic one may not count a suspension, and the other may be set back.
    `keep` is after how many seconds an account is forgotten, as others come, of which nothing new was stored. Its
    clients may be in several threads; after a fork, each process goes on with a store of its own.
    """

    def __init__(self, *, clock: Clock | None = None, keep: float = _WEEK) -> None:
        self._clock = checked_clock(clock)
        self._keep = keep
        # Held by whatever reads or changes what is below: clients may be in several threads.
        self._lock = threading.Lock()
        self._unknown = Stored("0")
        self._accounts: dict[str, _Account] = {}
        self._versions = itertools.count(1)
        # The owner of each lease, and until when.
        self._leases: dict[str, tuple[str, float]] = {}
        self._subscribers = Subscribers()
        self._events = RecentEvents(self._clock)
        self._permits: defaultdict[str, Permits] = defaultdict(Permits)
        forget_parent_after_fork(self)

    async def get(self, keys: Sequence[str]) -> list[Stored]:
        """Return what is known of each account, in the order of the keys."""
        with self._lock:
            now, monotonic, accounts = self._clock.time(), self._clock.monotonic(), self._accounts
            return [
                self._unknown
                if (known := accounts.get(key)) is None
                else Stored(
                    known.version,
                    known.snapshot,
                    _age(known, now, monotonic),
                    known.read_at == known.version,
                    known.failure and _failure(known.failure, monotonic),
                )
                for key in keys
            ]

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot whose request was sent `age` seconds ago, unless a better one is there."""
        age = max(age, 0.0)
        sent, sent_monotonic = self._clock.time() - age, self._clock.monotonic() - age
        with self._lock:
            known = self._account(key)
            if known.snapshot is not None:
                known_valid, valid = known.read_at == known.version, version == known.version
                if known_valid > valid or (known_valid == valid and known.sent_monotonic > sent_monotonic):
                    return
            known.read_at, known.snapshot = version, snapshot
            known.sent, known.sent_monotonic, known.failure = sent, sent_monotonic, None
        # Most clients put a thousand snapshots at a time, and have no subscriber.
        if self._subscribers:
            self._subscribers.publish(Change(key))

    async def invalidate(self, key: str) -> None:
        """Note that the balances may have changed: no request that was sent before now shows them."""
        with self._lock:
            known = self._account(key)
            known.version, known.failure = str(next(self._versions)), None
        self._subscribers.publish(Change(key, invalidated=True))

    async def put_failure(self, key: str, text: str, *, version: str | None, cooldown: float) -> None:
        """Keep a failure for so many seconds, unless it is of an earlier version."""
        with self._lock:
            now, known = self._clock.monotonic(), self._account(key)
            if version not in {None, known.version}:
                return
            until = known.failure[2] if known.failure is not None and known.failure[0] == text else now
            known.failure = text, now, max(until, now + cooldown)
        self._subscribers.publish(Change(key))

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Return 0 if the owner has the lease of the account from now on, else for how many seconds another has it."""
        with self._lock:
            now = self._clock.monotonic()
            if key not in self._leases:
                forget_some(self._leases, lambda lease: lease[1] <= now)
            holder, until = self._leases.get(key, (owner, now))
            if holder != owner and until > now:
                return until - now
            self._leases[key] = owner, now + seconds
            return 0.0

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        with self._lock:
            if self._leases.get(key, ("", 0.0))[0] != owner:
                return
            del self._leases[key]
        self._subscribers.publish(Change(key, released=True))

    def changes(self) -> AsyncGenerator[Change]:
        """Give what happens from now on; the first change, which has no key, says that it has begun.

        A caller that is much too slow gets one change without a key for all that it missed.
        """
        return self._subscribers.subscribe()

    async def seen(self, event: str) -> bool:
        """Whether the event with that id is remembered."""
        with self._lock:
            return event in self._events

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the id of an event for at least that long, but no more than `recent_events.MAX_EVENTS` ids."""
        with self._lock:
            self._events.add(event, seconds=seconds)

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Return 0 if the request has a permit of the origin now, else the seconds after which to ask again."""
        with self._lock:
            now = self._clock.monotonic()
            if origin not in self._permits:
                forget_some(self._permits, lambda permits: permits.all_free(now))
            return self._permits[origin].acquire(limit, request_id, now, hold=hold)

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release the permit of a request that has ended, if it has one."""
        with self._lock:
            self._permits[origin].release(limit, request_id, self._clock.monotonic())

    def forget_parent(self) -> None:
        """Forget, in a child process, the leases, permits and subscribers of the parent, which end only there."""
        # A thread of the parent may have held it.
        self._lock = threading.Lock()
        self._leases.clear()
        self._permits.clear()
        self._subscribers = Subscribers()

    def _account(self, key: str) -> _Account:
        """Return an account of which something new is stored."""
        now = self._clock.monotonic()
        known = self._accounts.get(key)
        if known is None:
            count = len(self._accounts)
            forget_some(self._accounts, lambda other: other.stored_at + self._keep < now)
            if len(self._accounts) < count:
                # No snapshot of an account that was forgotten becomes valid again.
                self._unknown = Stored(str(next(self._versions)))
            known = self._accounts[key] = _Account(self._unknown.version)
        known.stored_at = now
        return known

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._accounts)} accounts)"


def _age(known: _Account, now: float, monotonic: float) -> float:
    age = monotonic - known.sent_monotonic
    # The wall clock has been set back: from now on it counts a later suspension in full.
    known.sent = min(known.sent, now - age)
    return now - known.sent


def _failure(failure: tuple[str, float, float], now: float) -> StoredFailure | None:
    text, put_at, until = failure
    return StoredFailure(text, now - put_at, until - now) if until > now else None
