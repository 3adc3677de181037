"""Verifying a delivery with whatever its account's provider is: refused, if anything at all is wrong."""

from balancekit.errors import WebhookVerificationError
from balancekit.webhooks.event import WebhookEvent
from balancekit.webhooks.protocols import RawHeaders, WebhookProvider


def verify(source: object, headers: RawHeaders, body: bytes) -> WebhookEvent:
    """Return what a delivery to the account of that provider says.

    Raises WebhookVerificationError, and nothing else, if the provider refuses it, or takes no webhooks.
    """
    if not isinstance(source, WebhookProvider):
        raise WebhookVerificationError("no account of that label takes webhooks")
    try:
        return source.verify_webhook(headers, body)
    except WebhookVerificationError:
        raise
    except Exception as error:  # noqa: BLE001 - an adapter of somebody's own may raise anything
        problem = f"{type(error).__name__} while verifying the delivery"
    # Raised out here: what it came from may hold a key.
    raise WebhookVerificationError(problem)
