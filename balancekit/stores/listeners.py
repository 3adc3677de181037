"""Telling any number of listeners in one event loop what happens, in bounded memory."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import attrs

from balancekit.stores.protocol import Change

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
