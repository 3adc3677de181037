"""A primary and a replica behind one address, and all that an operator, or a crash, does to them."""

import asyncio
import contextlib
import shutil
import time
from pathlib import Path

from redis.exceptions import ResponseError

from tests.support.redis_server import RedisServer, free_port

NOWHERE = 1
"""A port on which nothing listens."""


class Proxy:
    """One address, which leads to a port that can be switched; connections that are open stay where they are."""

    def __init__(self):
        self.target = NOWHERE
        self._server = None
        self._writers = set()
        self._serving = set()

    async def start(self):
        """Listen, and return the URL of the Redis behind it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self):
        """Break all open connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def aclose(self):
        """Stop listening, and break all connections."""
        self._server.close()
        self.cut()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._serving.add(task)
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(far_writer)
            self._writers.update(writers)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except OSError:
            pass
        finally:
            for one in writers:
                one.transport.abort()
                self._writers.discard(one)
            self._serving.discard(task)


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


class Node(RedisServer):
    """A server with a port, whose dump can be copied and put back."""

    def __init__(self, folder):
        folder.mkdir()
        super().__init__(folder, port=free_port(), repl_diskless_sync_delay=0)
        self._dump, self._copy = folder / "dump.rdb", folder / "copy.rdb"

    def follow(self, other):
        """Become a replica of another node, or of nothing that exists."""
        with self.client() as client:
            client.replicaof("127.0.0.1", NOWHERE if other is None else other.port)

    def promote(self):
        """Become a primary."""
        with self.client() as client:
            client.replicaof("NO", "ONE")

    def copy_dump(self):
        """Copy all that it holds now."""
        with self.client() as client:
            # While a replica synchronizes, a save is under way already, and no other can begin.
            while not self._save(client):
                time.sleep(0.1)
        shutil.copy(self._dump, self._copy)

    @staticmethod
    def _save(client):
        try:
            client.save()
        except ResponseError:
            return False
        return True

    def restart(self, *, from_copy):
        """Start it after a crash, with what was copied or with nothing."""
        self._dump.unlink(missing_ok=True)
        if from_copy and self._copy.exists():
            shutil.copy(self._copy, self._dump)
        self.start()


class Pair:
    """The two servers, of which the address leads to the primary, and what happens to them: each method is a fault."""

    def __init__(self, folder, chance):
        self.proxy = Proxy()
        self._chance = chance
        self._primary, self._replica = Node(Path(folder) / "a"), Node(Path(folder) / "b")

    async def start(self):
        """Start both, and return the URL of the address."""
        for node in (self._primary, self._replica):
            await asyncio.to_thread(node.start)
        await asyncio.to_thread(self._replica.follow, self._primary)
        self.proxy.target = self._primary.port
        return await self.proxy.start()

    async def aclose(self):
        """End everything."""
        await self.proxy.aclose()
        for node in (self._primary, self._replica):
            node.stop()

    async def copy_dump(self):
        """Copy what the primary holds, to be restored later."""
        await asyncio.to_thread(self._primary.copy_dump)

    async def pause(self):
        """Stop responding for a while, with connections open."""
        self._primary.pause()
        try:
            await self._while()
        finally:
            self._primary.resume()

    async def cut(self):
        """Break all connections."""
        self.proxy.cut()

    async def crash(self):
        """Lose everything."""
        self._primary.stop()
        await self._while()
        await asyncio.to_thread(self._primary.restart, from_copy=False)

    async def restore(self):
        """Lose what happened since the last copy."""
        self._primary.stop()
        await self._while()
        await asyncio.to_thread(self._primary.restart, from_copy=True)

    async def fail_over(self):
        """Make the replica the primary; connections may stay open to the former one, which becomes its replica."""
        await self._let_lag()
        # No longer a primary before the other is one, so that no write is accepted by both.
        await asyncio.to_thread(self._primary.follow, self._replica)
        await self._while()
        await asyncio.to_thread(self._replica.promote)
        self._switch()

    async def crash_over(self):
        """Make the replica the primary after a crash; the former one comes back later, as its replica."""
        await self._let_lag()
        self._primary.stop()
        await self._while()
        await asyncio.to_thread(self._replica.promote)
        self._switch()
        await asyncio.to_thread(self._replica.restart, from_copy=self._chance.random() < 0.5)
        await asyncio.to_thread(self._replica.follow, self._primary)

    def _switch(self):
        self._primary, self._replica = self._replica, self._primary
        self.proxy.target = self._primary.port
        if self._chance.random() < 0.5:
            self.proxy.cut()

    async def _let_lag(self):
        if self._chance.random() < 0.5:
            await asyncio.to_thread(self._replica.follow, None)
            await asyncio.sleep(self._chance.uniform(1, 4))

    async def _while(self):
        await asyncio.sleep(self._chance.choice([0, self._chance.uniform(0, 0.5), self._chance.uniform(0, 3)]))


FAULTS = ("pause", "cut", "crash", "restore", "fail_over", "crash_over")
"""The methods of a pair that are faults."""
