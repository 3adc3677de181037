"""Webhooks of the providers: verified over raw header strings and raw bytes, and turned into events."""

from balancekit.webhooks.event import WebhookEvent

__all__ = ["WebhookEvent"]
