"""The webhooks of getMany: body, signature (Standard Webhooks with Ed25519) and retry schedule.

Source: docs.blacksheep.money, "Transactions" and "Webhook setup".
"""

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict

from balancekit.sandbox.webhooks import Event, SignedWebhook, Tamper, finish, tamper_body

PENDING: Final = "PENDING"
COMPLETED: Final = "COMPLETED"

RETRY_DELAYS: Final = (5.0, *(3600.0 * hours for hours in (1 / 12, 0.5, 2, 5, 10, 14, 20, 24)))
"""Assumed: seconds from each attempt to the next, as in the specification's example."""

_ID_HEADER: Final = "webhook-id"
_TIMESTAMP_HEADER: Final = "webhook-timestamp"
_SIGNATURE_HEADER: Final = "webhook-signature"

_TAMPERED_AGE: Final = 600
"""Seconds; receivers reject a timestamp older than 300 or more than 5 ahead."""


def encode_public_key(key: Ed25519PrivateKey) -> str:
    """Return the public key as receivers get it: standard base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign_webhook(key: Ed25519PrivateKey, event_id: str, timestamp: str, body: bytes) -> str:
    """Return the value of `webhook-signature` for an id, a timestamp and the exact body."""
    signature = key.sign(f"{event_id}.{timestamp}.".encode() + body)
    return f"v1a,{base64.b64encode(signature).decode()}"


def write_webhook(
    event: Event, amount: Mapping[str, object], *, now: int, key: Ed25519PrivateKey, tamper: Tamper | None = None
) -> SignedWebhook:
    """Write and sign the webhook for an event; `now` is the time of the attempt, so every retry is signed anew."""
    body = tamper_body(_body(event, amount), tamper)
    timestamp = str(now + {"timestamp-old": -_TAMPERED_AGE, "timestamp-future": _TAMPERED_AGE}.get(tamper or "", 0))
    signing_key = Ed25519PrivateKey.generate() if tamper == "wrong-key" else key
    headers = CIMultiDict({_ID_HEADER: event.event_id, _TIMESTAMP_HEADER: timestamp})
    headers[_SIGNATURE_HEADER] = sign_webhook(signing_key, event.event_id, timestamp, body)
    if tamper == "id-missing":
        del headers[_ID_HEADER]
    elif tamper == "id-changed":
        headers[_ID_HEADER] = f"{event.event_id}2"
    elif tamper == "timestamp-missing":
        del headers[_TIMESTAMP_HEADER]
    elif tamper == "timestamp-changed":
        headers[_TIMESTAMP_HEADER] = str(now + 1)
    return finish(headers, body, signature_header=_SIGNATURE_HEADER, tamper=tamper)


def _body(event: Event, amount: Mapping[str, object]) -> bytes:
    """Return the body of a webhook; its shape and the name of the amount are assumed."""
    content = {
        "type": "transaction.created" if event.status == PENDING else "transaction.updated",
        "data": {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://api.blacksheep.money/transactions/{event.number}")),
            "status": event.status,
            "amount": amount,
        },
    }
    return json.dumps(content, separators=(",", ":")).encode()
