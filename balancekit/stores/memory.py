"""The store of a client by itself: everything in the memory of one process."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

import attrs

from balancekit.http.rate_limit import Permits, RateLimit
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Change, Stored

MOST_PENDING: Final = 1000
"""How many changes wait for a slow listener; one without a key takes the place of more."""

_ANYTHING: Final = Change(None)


@attrs.define(eq=False)
class _Listener:
    # A dict keeps the order and joins what is the same.
    pending: dict[Change, None] = attrs.field(factory=lambda: {_ANYTHING: None})
    wake: asyncio.Event = attrs.field(factory=asyncio.Event)


class Listeners:
    """Those who are to be told of changes; each is told of all that happens while it listens."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def __len__(self) -> int:
        return len(self._listeners)

    def tell(self, change: Change) -> None:
        """Tell all who listen; nobody is waited for."""
        for listener in self._listeners:
            pending = listener.pending
            if _ANYTHING in pending:
                # It is told to expect anything, which this is part of.
                continue
            pending[change] = None
            if len(pending) > MOST_PENDING:
                listener.pending = {_ANYTHING: None}
            listener.wake.set()

    async def listen(self) -> AsyncGenerator[Change]:
        """Give what happens from now on, after a change without a key that says that it has begun."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while True:
                while listener.pending:
                    change = next(iter(listener.pending))
                    del listener.pending[change]
                    yield change
                listener.wake.clear()
                await listener.wake.wait()
        finally:
            self._listeners.discard(listener)


MOST_EVENTS: Final = 100_000
"""How many ids of events are remembered; the oldest makes room for one more."""

_UNTOUCHED: Final = Stored("0")


@attrs.define
class _Account:
    version: str = _UNTOUCHED.version
    # Of the snapshot: the version it was read at, and when its request was sent, by either clock.
    read_at: str = ""
    snapshot: AccountBalances | None = None
    sent: float = 0.0
    sent_monotonic: float = 0.0


class MemoryStore:
    """Keeps snapshots in this process; what it knows ends with it.

    `clock` and `monotonic` tell seconds, and are replaced in tests. An age is the longer of what the two say: the
    monotonic one stands still while the machine is suspended, and the other may be set back.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._accounts: dict[str, _Account] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._events: dict[str, float] = {}
        self._permits: defaultdict[str, Permits] = defaultdict(Permits)
        self._listeners = Listeners()
        self._versions = itertools.count(1)

    async def get(self, keys: Sequence[str]) -> list[Stored]:
        """Return what is known of each account, in the order of the keys."""
        now, monotonic, accounts = self._clock(), self._monotonic(), self._accounts
        return [
            _UNTOUCHED
            if (known := accounts.get(key)) is None
            else Stored(known.version, known.snapshot, _age(known, now, monotonic), known.read_at == known.version)
            for key in keys
        ]

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot whose request was sent `age` seconds ago, unless a better one is there."""
        now, monotonic, age = self._clock(), self._monotonic(), max(age, 0.0)
        known = self._accounts.get(key)
        if known is None:
            known = self._accounts[key] = _Account()
        if known.snapshot is not None:
            held, offered = known.read_at == known.version, version == known.version
            if held > offered or (held == offered and _age(known, now, monotonic) < age):
                return
        known.read_at, known.snapshot = version, snapshot
        known.sent, known.sent_monotonic = now - age, monotonic - age
        # Most clients have nobody who listens, and put a thousand snapshots at a time.
        if self._listeners:
            self._listeners.tell(Change(key))

    async def invalidate(self, key: str) -> None:
        """Say that the balances may have changed: no request that was sent before now shows them."""
        self._accounts.setdefault(key, _Account()).version = str(next(self._versions))
        self._listeners.tell(Change(key, invalidated=True))

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Take, or renew, the right to read the account, for that many seconds; 0 if the owner has it now."""
        now = self._monotonic()
        holder, until = self._leases.get(key, (owner, now))
        if holder != owner and until > now:
            return until - now
        self._leases[key] = owner, now + seconds
        return 0.0

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        if self._leases.get(key, ("", 0.0))[0] == owner:
            del self._leases[key]
            self._listeners.tell(Change(key))

    def changes(self) -> AsyncGenerator[Change]:
        """Give what happens from now on; the first change, which has no key, says that it has begun.

        A listener that falls far behind gets one change without a key for all that it missed.
        """
        return self._listeners.listen()

    async def seen(self, event: str) -> bool:
        """Whether the event of that id has been remembered."""
        return self._events.get(event, self._monotonic()) > self._monotonic()

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the id of an event for at least that long, but no more than `MOST_EVENTS`."""
        now = self._monotonic()
        until = max(self._events.pop(event, now), now + seconds)
        for oldest in list(itertools.takewhile(lambda event: self._events[event] <= now, self._events)):
            del self._events[oldest]
        if len(self._events) >= MOST_EVENTS:
            del self._events[next(iter(self._events))]
        self._events[event] = until

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Return 0 if the request has a permit of the origin now, else the seconds after which to ask again."""
        return self._permits[origin].acquire(limit, request_id, self._monotonic(), hold=hold)

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release the permit of a request that has ended, if it has one."""
        self._permits[origin].release(limit, request_id, self._monotonic())

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._accounts)} accounts)"


def _age(known: _Account, now: float, monotonic: float) -> float:
    return max(now - known.sent, monotonic - known.sent_monotonic)
