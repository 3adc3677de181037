"""The event of a webhook, and the protocols of what verifies and handles a delivery."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import attrs


@attrs.frozen
class WebhookEvent:
    """A verified delivery of a provider's webhook.

    `event_id` is the same in every delivery of one event. `event_type` and `status` are as the provider sent them, None
    if it sent none. `settled` is whether the account's balances may have changed. `may_recur` is whether a later event
    may have the same id and body, since the provider gives its events no ids: a client acts on every delivery of such
    an event, and of any other on the first alone.
    """

    account: str
    provider: str
    event_id: str
    event_type: str | None
    status: str | None
    settled: bool
    may_recur: bool = attrs.field(default=False, kw_only=True, eq=False)


RawHeaders: TypeAlias = (
    Mapping[str, str] | Mapping[str, bytes] | Mapping[bytes, bytes] | Iterable[tuple[str | bytes, str | bytes]]
)
"""The headers of a delivery as received, names in any case; pairs can repeat a name, which a dict cannot."""


@runtime_checkable
class WebhookProvider(Protocol):
    """A provider whose account receives webhooks."""

    @property
    def account(self) -> str:
        """The label of the account."""
        ...

    @property
    def provider(self) -> str:
        """The name of the payment processor's API."""
        ...

    def verify_webhook(self, headers: RawHeaders, body: bytes, *, now: float | None = None) -> WebhookEvent:
        """Return the event of a delivery.

        `body` is exactly what was received. `now` is in Unix seconds, the present unless given. Raises
        WebhookVerificationError, and nothing else, if the delivery is not the provider's.
        """
        ...


class WebhookHandler(Protocol):
    """Handles the deliveries of a receiver, as an `AggregateClient` does."""

    async def handle_webhook(self, account: str, headers: RawHeaders, body: bytes) -> WebhookEvent:
        """Verify a delivery and act on it; raise WebhookVerificationError, and nothing else, if it is not valid."""
        ...
