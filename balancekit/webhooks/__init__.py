"""Webhooks of the providers: verified over raw header strings and raw bytes, turned into events, and received.

`webhook_routes` is for `aiohttp.web`, `WebhookApp` for ASGI (Starlette, FastAPI); both hand what arrives to the client.
"""

from balancekit.webhooks.aiohttp_routes import webhook_routes
from balancekit.webhooks.asgi import WebhookApp
from balancekit.webhooks.event import WebhookEvent
from balancekit.webhooks.protocols import RawHeaders, WebhookHandler, WebhookProvider

__all__ = ["RawHeaders", "WebhookApp", "WebhookEvent", "WebhookHandler", "WebhookProvider", "webhook_routes"]
