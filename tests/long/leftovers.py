"""What a process holds in a moment in which nothing is under way."""

import asyncio
import gc
import time

import attrs
import psutil


@attrs.define
class Leftovers:
    """What the process holds in a moment in which nothing is under way."""

    at: float
    tasks: int
    acquired: int
    sockets: int
    objects: int
    memory: int

    def __str__(self):
        return (
            f"at {self.at:4.0f} s: {self.tasks} tasks, {self.acquired} connections in use, {self.sockets} sockets, "
            f"{self.objects} objects, {self.memory / 2**20:.1f} MiB"
        )

    @classmethod
    def count(cls, begun, client=None):
        """Count what the process holds now; times are from `begun`."""
        gc.collect()
        owned = None if client is None else client._core.runtime.owned
        process = psutil.Process()
        return cls(
            time.monotonic() - begun,
            len(asyncio.all_tasks()),
            0 if owned is None else len(owned.connector._acquired),
            sum(connection.status != psutil.CONN_NONE for connection in process.net_connections("inet")),
            len(gc.get_objects()),
            process.memory_info().rss,
        )
