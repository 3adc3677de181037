"""The event of a webhook, and the protocols of what verifies and handles a delivery."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import attrs


@attrs.frozen
class WebhookEvent:
    """A verified delivery of a provider's webhook.

    `event_id` is the same in every delivery of one event. `event_type` and `status` are as the provider sent them, None
    if it sent none. `settled` is whether the account's balances may have changed. `subject` is what the event is about,
    such as a transaction, where `event_id` may come again: an event like an earlier one is then a new one if another of
    the subject has come in between.
    """

    account: str
    provider: str
    event_id: str
    event_type: str | None
    status: str | None
    settled: bool
    subject: str | None = attrs.field(default=None, kw_only=True, eq=False)


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
