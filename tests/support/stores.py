"""A store that fails when a test wants it to, in virtual time."""

import asyncio
from contextlib import nullcontext

from balancekit import RateLimit
from balancekit.stores import MemoryStore, StoreRefusedError
from tests.support.clock import LoopClock

HANGS = 9e9
"""A fault that lasts longer than any test."""


class PanicError(BaseException):
    """What an extension in Rust raises when it panics: not an Exception."""


class UncopyableError(Exception):
    """What cannot be copied, as of some libraries: the default calls its class with `args` alone."""

    def __init__(self, text, *, status):
        super().__init__(text)
        self.status = status


FAULTS = {
    "refuses": ConnectionError("redis://user:hunter2@host"),
    "raises anything": ZeroDivisionError(),
    "times out": TimeoutError(),
    "cancels": asyncio.CancelledError(),
    "panics": PanicError(),
    "raises a group": BaseExceptionGroup("redis://user:hunter2@host", [KeyboardInterrupt()]),
    "leaves a generator": GeneratorExit(),
    "hangs": HANGS,
}


class FlakyStore(MemoryStore):
    """A store in memory with a `fault`: seconds that every call takes, or an exception that it raises.

    `refused` are the messages with which it refuses calls: by method, or by method and key. With `connections` (a
    semaphore) only so many calls are made at a time. `calls` are the names of the methods that were called.
    """

    def __init__(self):
        super().__init__(clock=LoopClock())
        self.fault = None
        self.refused = {}
        self.connections = nullcontext()
        self.calls = []

    async def fail(self, *call):
        """Take the time of the fault, or raise it; or refuse the call of a method for a key."""
        for name in (call[0], f"{call[0]} {call[-1]}"):
            if name in self.refused:
                raise StoreRefusedError(self.refused[name])
        if isinstance(self.fault, BaseException):
            raise self.fault
        if self.fault is not None:
            await asyncio.sleep(self.fault)

    async def changes(self):
        """Give changes, each after the fault."""
        async for change in super().changes():
            await self.fail("changes")
            yield change


def _failing(name):
    method = getattr(MemoryStore, name)

    async def call(self, *args, **kwargs):
        self.calls.append(name)
        async with self.connections:
            await self.fail(name, args[0])
            return await method(self, *args, **kwargs)

    return call


for _name in ("get", "put", "invalidate", "lease", "release", "seen", "remember", "acquire_permit", "release_permit"):
    setattr(FlakyStore, _name, _failing(_name))


async def known(store, key="shop"):
    """Return what a store knows of an account."""
    (stored,) = await store.get([key])
    return stored


async def put(store, snapshot, age=0):
    """Put a snapshot of the account's present version."""
    await store.put("shop", snapshot, version=(await known(store)).version, age=age)


async def timed(call):
    """Return the result of a call, and how many seconds it took."""
    started = asyncio.get_running_loop().time()
    result = await call
    return result, asyncio.get_running_loop().time() - started


LIMIT = RateLimit(1, per=60)
CALLS = [
    ("get", lambda store, snapshot: known(store), "unknown"),
    ("put", lambda store, snapshot: store.put("shop", snapshot, version="0", age=0), None),
    ("invalidate", lambda store, snapshot: store.invalidate("shop"), None),
    ("lease", lambda store, snapshot: store.lease("shop", "me", seconds=10), 0.0),
    ("release", lambda store, snapshot: store.release("shop", "me"), None),
    ("seen", lambda store, snapshot: store.seen("msg_1"), False),
    ("remember", lambda store, snapshot: store.remember("msg_1", seconds=10), None),
    ("acquire_permit", lambda store, snapshot: store.acquire_permit("bank", LIMIT, "a", hold=10), 0.0),
    ("release_permit", lambda store, snapshot: store.release_permit("bank", LIMIT, "a"), None),
]
"""Each method, a call of it, and what a caller gets if the store does not do it."""
