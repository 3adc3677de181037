"""Where snapshots are kept: in the memory of one client, or in a Redis that many replicas share."""

from typing import TYPE_CHECKING

from balancekit.stores.base import Change, FailureStore, SnapshotStore, Stored, StoredFailure, StoreRefusedError
from balancekit.stores.memory import MemoryStore

if TYPE_CHECKING:
    from balancekit.stores.redis.store import RedisStore

__all__ = [
    "Change",
    "FailureStore",
    "MemoryStore",
    "RedisStore",
    "SnapshotStore",
    "StoreRefusedError",
    "Stored",
    "StoredFailure",
]


def __getattr__(name: str) -> object:
    # Imported on first use, since it needs the extra `redis`.
    if name == "RedisStore":
        from balancekit.stores.redis.store import RedisStore

        return RedisStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
