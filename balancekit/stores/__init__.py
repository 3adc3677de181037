"""Where snapshots are kept: in the memory of one client, or somewhere that many replicas share."""

from balancekit.stores.memory import MemoryStore
from balancekit.stores.protocol import Change, SnapshotStore, Stored

__all__ = ["Change", "MemoryStore", "SnapshotStore", "Stored"]
