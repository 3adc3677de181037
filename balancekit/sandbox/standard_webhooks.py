"""Standard Webhooks, asymmetric (`v1a`): the scheme of getMany's webhooks.

Source: the Standard Webhooks specification 1.0.0, and docs.blacksheep.money, "Webhook setup".
"""

import base64
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict

from balancekit.sandbox.webhooks import COMMON_TAMPERS, Message, Tamper, seal, spoil_content

RETRY_DELAYS: Final = (5.0, *(3600.0 * hours for hours in (1 / 12, 0.5, 2, 5, 10, 14, 20, 24)))
"""Assumed: seconds from each attempt to the next, as in the example that the specification gives."""

TAMPERS: Final[frozenset[Tamper]] = frozenset(
    (
        *COMMON_TAMPERS,
        "id-missing",
        "id-changed",
        "timestamp-missing",
        "timestamp-changed",
        "timestamp-old",
        "timestamp-future",
    )
)

_FAR_OFF: Final = 600
"""Seconds; a receiver refuses what is older than 300 or more than 5 ahead."""

_ID: Final = "webhook-id"
_TIMESTAMP: Final = "webhook-timestamp"
_SIGNATURE: Final = "webhook-signature"


def sign(key: Ed25519PrivateKey, event_id: str, timestamp: str, body: bytes) -> str:
    """Return the value of `webhook-signature` for an id, a timestamp and the exact body."""
    signature = key.sign(f"{event_id}.{timestamp}.".encode() + body)
    return f"v1a,{base64.b64encode(signature).decode()}"


def encode_public_key(key: Ed25519PrivateKey) -> str:
    """Return the public key as standard base64 of its 32 bytes, as receivers are given it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def write(body: bytes, *, event_id: str, now: int, key: Ed25519PrivateKey, tamper: Tamper | None = None) -> Message:
    """Write and sign a webhook; the time is that of the attempt, so that a retry is signed anew."""
    content = spoil_content(body, tamper)
    timestamp = str(now + {"timestamp-old": -_FAR_OFF, "timestamp-future": _FAR_OFF}.get(tamper or "", 0))
    signer = Ed25519PrivateKey.generate() if tamper == "wrong-key" else key
    headers = CIMultiDict({_ID: event_id, _TIMESTAMP: timestamp})
    headers[_SIGNATURE] = sign(signer, event_id, timestamp, content)
    if tamper == "id-missing":
        del headers[_ID]
    elif tamper == "id-changed":
        headers[_ID] = f"{event_id}2"
    elif tamper == "timestamp-missing":
        del headers[_TIMESTAMP]
    elif tamper == "timestamp-changed":
        headers[_TIMESTAMP] = str(now + 1)
    return seal(headers, content, signed_by=_SIGNATURE, tamper=tamper)
