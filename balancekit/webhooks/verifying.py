"""Verifying a delivery with whatever its account's provider is: refused, if anything at all is wrong."""

from balancekit.errors import WebhookVerificationError
from balancekit.webhooks.event import WebhookEvent
from balancekit.webhooks.protocols import RawHeaders, WebhookProvider
from balancekit.webhooks.refusing import refusing


@refusing
def verify(source: object, headers: RawHeaders, body: bytes) -> WebhookEvent:
    """Return what a delivery to the account of that provider says.

    Raises WebhookVerificationError, and nothing else, if the provider refuses it, or takes no webhooks.
    """
    if not isinstance(source, WebhookProvider):
        raise WebhookVerificationError("no account of that label takes webhooks")
    return source.verify_webhook(headers, body)
