"""Webhooks of the providers: received, verified over the raw headers and body, and turned into events.

`webhook_routes` is for `aiohttp.web`, `WebhookApp` for ASGI (Starlette, FastAPI); both hand deliveries to the client.
"""

from typing import TYPE_CHECKING

from balancekit.webhooks.events import RawHeaders, WebhookEvent, WebhookHandler, WebhookProvider

if TYPE_CHECKING:
    from balancekit.webhooks.aiohttp_web import webhook_routes
    from balancekit.webhooks.asgi import WebhookApp

__all__ = ["RawHeaders", "WebhookApp", "WebhookEvent", "WebhookHandler", "WebhookProvider", "webhook_routes"]


def __getattr__(name: str) -> object:
    # Imported on first use: the adapters import this package, and few programs receive webhooks.
    if name == "webhook_routes":
        from balancekit.webhooks.aiohttp_web import webhook_routes

        return webhook_routes
    if name == "WebhookApp":
        from balancekit.webhooks.asgi import WebhookApp

        return WebhookApp
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
