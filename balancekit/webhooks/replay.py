"""Replay protection: an event with an id of its own is acted on once, however often, late or out of order it comes."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from balancekit.webhooks.events import WebhookEvent

_DEDUPLICATION_WINDOW: Final = 48 * 3600.0
"""How many seconds an event is remembered: twice the day for which providers usually repeat a delivery."""


class EventStore(Protocol):
    """Remembers events by their keys; a `SnapshotStore` does, for all processes that share it."""

    async def seen(self, event: str) -> bool:
        """Whether the event of that key has been remembered."""
        ...

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the key of an event for at least that long."""
        ...


def deduplication_key(account_key: str, event: WebhookEvent, body: bytes) -> str:
    """Return what names an event in a store; `account_key` is unique to the account among all that share the store.

    The body counts too: the ids of an adapter may not be as unique as they should be.
    """
    return f"{account_key}#{event.event_id}#{hashlib.sha256(body).hexdigest()[:16]}"


async def act_once(store: EventStore, key: str, action: Callable[[], Awaitable[None]]) -> None:
    """Run the action unless it has succeeded for this key before.

    The key is remembered only after the action: if that raises, the provider delivers the event again, and it is acted
    on then. Two deliveries that arrive at the same time may both be acted on.
    """
    if await store.seen(key):
        return
    await action()
    await store.remember(key, seconds=_DEDUPLICATION_WINDOW)
