"""The callbacks of Cryptoprocessing: body, signature and retry schedule.

Source: docs.cryptoprocessing.com, "Authentication" and "Callbacks".
"""

import hashlib
import hmac
import json
import secrets
from typing import Final

from multidict import CIMultiDict

from balancekit.sandbox.webhooks import Event, SignedWebhook, Tamper, finish, tamper_body

KEY_HEADER: Final = "X-Processing-Key"
SIGNATURE_HEADER: Final = "X-Processing-Signature"

RETRY_DELAYS: Final = tuple(60.0 * minutes for minutes in (1, 5, 15, 30, 60, 90, 120, 180, 240, 240, 240, 240))
"""Seconds from each attempt to the next."""


def sign_body(secret: str, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA512 of the exact body, keyed with the secret: of requests and callbacks."""
    return hmac.digest(secret.encode(), body, hashlib.sha512).hex()


def write_callback(event: Event, *, key: str, secret: str, tamper: Tamper | None = None) -> SignedWebhook:
    """Write and sign the callback for an event."""
    body = tamper_body(_body(event), tamper)
    headers = CIMultiDict({KEY_HEADER: key})
    headers[SIGNATURE_HEADER] = sign_body(secrets.token_hex(32) if tamper == "wrong-key" else secret, body)
    if tamper == "key-missing":
        del headers[KEY_HEADER]
    elif tamper == "key-changed":
        headers[KEY_HEADER] = secrets.token_hex(16)
    return finish(headers, body, signature_header=SIGNATURE_HEADER, tamper=tamper)


def _body(event: Event) -> bytes:
    """Return the body of a callback: a deposit, or a withdrawal if the amount is negative.

    Assumed: the names of the fields with currency and amount; the documentation shows only that there are such objects.
    """
    amount = {"currency": event.moved.currency, "amount": event.moved.plain.removeprefix("-")}
    content = {
        "id": event.number,
        "type": "withdrawal" if event.moved.amount < 0 else "deposit",
        "status": event.status,
        "currency_sent": amount,
        "currency_received": amount,
    }
    return json.dumps(content, separators=(",", ":")).encode()
