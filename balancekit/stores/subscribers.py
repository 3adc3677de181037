"""Publishing changes to all subscribers in one process, without waiting for slow ones."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import attrs

from balancekit.stores.base import Change

MAX_PENDING: Final = 1000
"""How many changes wait for a slow subscriber; beyond that, one change without a key replaces them all."""

_ANYTHING: Final = Change(None)


@attrs.define(eq=False)
class _Subscriber:
    # A dict keeps the order, and holds each change once.
    pending: dict[Change, None] = attrs.field(factory=lambda: {_ANYTHING: None})
    wake: asyncio.Event = attrs.field(factory=asyncio.Event)


class Subscribers:
    """Those who follow changes; each gets all that are published while it is subscribed."""

    def __init__(self) -> None:
        self._subscribers: set[_Subscriber] = set()

    def __len__(self) -> int:
        return len(self._subscribers)

    def publish(self, change: Change) -> None:
        """Pass a change to all subscribers, without waiting for any of them."""
        for subscriber in self._subscribers:
            pending = subscriber.pending
            if _ANYTHING in pending:
                # It will expect any change, and so this one, too.
                continue
            pending[change] = None
            if len(pending) > MAX_PENDING:
                subscriber.pending = {_ANYTHING: None}
            subscriber.wake.set()

    async def subscribe(self) -> AsyncGenerator[Change]:
        """Give what is published from now on, after a change without a key as soon as the subscription has begun."""
        subscriber = _Subscriber()
        self._subscribers.add(subscriber)
        try:
            while True:
                while subscriber.pending:
                    change = next(iter(subscriber.pending))
                    del subscriber.pending[change]
                    yield change
                subscriber.wake.clear()
                await subscriber.wake.wait()
        finally:
            self._subscribers.discard(subscriber)
