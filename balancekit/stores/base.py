"""What stands behind a client: snapshots, leases, invalidations and limits that several processes may share."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, runtime_checkable

import attrs

from balancekit.http.rate_limit import RateLimit
from balancekit.money.balances import AccountBalances


@attrs.frozen
class Stored:
    """What a store knows of one account.

    `version` is opaque; it is another one after every invalidation, and after the store has lost what it knew.
    `snapshot` is the last one, and `age` how many seconds ago its request was sent, by the store's own clock. It is
    `valid` if nothing has invalidated the account since then.
    """

    version: str
    snapshot: AccountBalances | None = None
    age: float = 0.0
    valid: bool = False


@attrs.frozen
class Change:
    """Something happened to the account of that key; without a key, anything may have happened to any.

    `invalidated` is whether its balances may have changed; otherwise a snapshot was put, or a lease was released.
    """

    key: str | None
    invalidated: bool = False


@runtime_checkable
class SnapshotStore(Protocol):
    """Keeps snapshots for one client or for many; accounts are named by keys that the client makes.

    Any method may raise whatever it likes, and may be cancelled: a client then reads the providers itself.
    """

    async def get(self, keys: Sequence[str]) -> Sequence[Stored]:
        """Return what is known of each account, in the order of the keys."""
        ...

    async def put(self, key: str, snapshot: AccountBalances, *, version: str, age: float) -> None:
        """Keep a snapshot whose request was sent `age` seconds before this call, when the account was at that version.

        The time that the call takes makes no snapshot younger.

        It is left out if a better one is there: one of the account's present version where this is not, or a later one
        where both are or neither is.
        """
        ...

    async def invalidate(self, key: str) -> None:
        """Say that the balances may have changed: no request that was sent before now shows them."""
        ...

    async def lease(self, key: str, owner: str, *, seconds: float) -> float:
        """Take, or renew, the right to read the account, for that many seconds; 0 if the owner has it now.

        Otherwise it is another's, for at most the number of seconds returned.
        """
        ...

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        ...

    def changes(self) -> AsyncGenerator[Change, None]:
        """Give what happens from now on; the first change, which has no key, says that it has begun."""
        ...

    async def seen(self, event: str) -> bool:
        """Whether the event of that id has been remembered."""
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
