"""The protocol of a store: what a client may share with other processes."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, runtime_checkable

import attrs

from balancekit.http.rate_limit import RateLimit
from balancekit.money.balances import AccountBalances


class StoreRefusedError(Exception):
    """The store responded, but does not do what it was asked.

    The message says what is missing and what to do, and shows neither a value nor an address.
    """


@attrs.frozen
class StoredFailure:
    """What reading an account ended with, or that an origin is in a cooldown.

    `text` is opaque. `age` is how many seconds ago it was put, and `cooldown` how many seconds are left in which no
    request is to be sent, both by the store's own clock.
    """

    text: str
    age: float
    cooldown: float


@attrs.frozen
class Stored:
    """What a store knows of one account.

    `version` is opaque. It changes with every invalidation, and when the store has lost what it knew. `snapshot` is the
    last one, if any, and `age` how many seconds ago its request was sent, by the store's own clock. The snapshot is
    `valid` if the account has not been invalidated since. `failure` is there until its cooldown is over.
    """

    version: str
    snapshot: AccountBalances | None = None
    age: float = 0.0
    valid: bool = False
    failure: StoredFailure | None = None


@attrs.frozen
class Change:
    """Something happened to the account with that key; without a key, anything may have happened to any account.

    `invalidated` is whether its balances may have changed, and `released` whether only its lease was given back;
    otherwise a snapshot or a failure was put.
    """

    key: str | None
    invalidated: bool = False
    released: bool = False


@runtime_checkable
class SnapshotStore(Protocol):
    """Keeps what clients share; accounts are named by keys that the clients make.

    It has four parts: snapshots and their changes (`get`, `put`, `invalidate`, `changes`), leases (`lease`, `release`),
    ids of events (`seen`, `remember`), and permits (`acquire_permit`, `release_permit`).

    Any method may raise any exception, and may be cancelled: the client then does without the store. A
    `StoreRefusedError` says why, for the log.
    """

    async def get(self, keys: Sequence[str]) -> Sequence[Stored]:
        """Return what is known of each account, in the order of the keys."""
        ...

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot whose request was sent `age` seconds before this call, when the account had that version.

        However long the call takes, the snapshot must not become younger by it.

        The snapshot is ignored if a better one is there: a valid one if this is not, or a later one if both or neither
        are valid.
        """
        ...

    async def invalidate(self, key: str) -> None:
        """Note that the balances may have changed: no request that was sent before now shows them."""
        ...

    def changes(self) -> AsyncGenerator[Change, None]:
        """Give what happens from now on; the first change, which has no key, says that it has begun."""
        ...

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Take, or renew, the right to read the account, for that many seconds; returns 0 if the owner has it now.

        Otherwise another has it, for at most the number of seconds returned.
        """
        ...

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        ...

    async def seen(self, event: str) -> bool:
        """Whether the event with that id is remembered."""
        ...

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the id of an event for at least that long."""
        ...

    async def acquire_permit(self, origin: str, limit: RateLimit, request_id: str, *, hold: float) -> float:
        """Return 0 if the request has a permit of the origin now, else the seconds after which to ask again.

        There are `limit.requests` permits, each free again `limit.per` seconds after it was released. One that is never
        released, since its process died, counts as released after `hold` seconds. A request that has a permit keeps it.
        """
        ...

    async def release_permit(self, origin: str, limit: RateLimit, request_id: str) -> None:
        """Release the permit of a request that has ended or will not be sent, if it has one."""
        ...


@runtime_checkable
class FailureStore(SnapshotStore, Protocol):
    """A store that can share failures as well, which `get` returns in `Stored.failure`."""

    async def put_failure(self, key: str, text: str, *, version: str | None, cooldown: float) -> None:
        """Keep a failure for so many seconds; `key` is that of an account, or of an origin.

        It is ignored if the account has not that version any more. Of the same text, the longer cooldown counts.
        A snapshot that is put, and an invalidation, end it.
        """
        ...
