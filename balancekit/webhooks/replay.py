"""Replay protection: each event is acted on once, however often, late or out of order it is delivered."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import attrs

from balancekit.webhooks.events import WebhookEvent

_DEDUPLICATION_WINDOW: Final = 48 * 3600.0
"""How many seconds an event is remembered: Cryptoprocessing repeats a delivery for a day."""

_MAX_SUBJECTS: Final = 100_000
"""Of how many subjects the last delivery is known; the oldest makes room for one more."""


class EventStore(Protocol):
    """Remembers events by their keys; a `SnapshotStore` does, for all processes that share it."""

    async def seen(self, event: str) -> bool:
        """Whether the event of that key has been remembered."""
        ...

    async def remember(self, event: str, *, seconds: float) -> None:
        """Remember the key of an event for at least that long."""
        ...


@attrs.frozen
class Delivery:
    """One delivery of an event, by a `key` that each delivery of the event has, and what it is about, if that is known.

    Both are unique to the account among all that share a store.
    """

    key: str
    subject: str | None

    @classmethod
    def of(cls, account_key: str, event: WebhookEvent, body: bytes) -> "Delivery":
        """Return that of an event; the body counts too, since two events may share an id, as if both lack a status."""
        key = f"{account_key}#{event.event_id}#{hashlib.sha256(body).hexdigest()[:16]}"
        return cls(key, None if event.subject is None else f"{account_key}#{event.subject}")


class LatestDeliveries:
    """The delivery of each subject that this process was given last, of so many subjects."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def note(self, delivery: Delivery) -> bool | None:
        """Take a delivery; return whether it repeats the one before it, None if none is known."""
        if delivery.subject is None:
            return None
        before = self._keys.pop(delivery.subject, None)
        if len(self._keys) >= _MAX_SUBJECTS:
            del self._keys[next(iter(self._keys))]
        self._keys[delivery.subject] = delivery.key
        return None if before is None else before == delivery.key


async def act_once(
    store: EventStore, latest: LatestDeliveries, delivery: Delivery, action: Callable[[], Awaitable[None]]
) -> None:
    """Run the action unless it has succeeded for this event before, and no other of its subject was delivered since.

    The key is remembered only after the action: if that raises, the provider delivers the event again, and it is acted
    on then. Two deliveries that arrive at the same time may both be acted on.
    """
    if latest.note(delivery) is not False and await store.seen(delivery.key):
        return
    await action()
    await store.remember(delivery.key, seconds=_DEDUPLICATION_WINDOW)
