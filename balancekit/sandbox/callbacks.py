"""The callbacks of Cryptoprocessing: signed exactly as requests are, with no timestamp and no id of their own.

Source: docs.cryptoprocessing.com, "Authentication" and "Callbacks".
"""

import hashlib
import hmac
import secrets
from typing import Final

from multidict import CIMultiDict

from balancekit.sandbox.webhooks import COMMON_TAMPERS, Message, Tamper, seal, spoil_content

RETRY_DELAYS: Final = tuple(60.0 * minutes for minutes in (1, 5, 15, 30, 60, 90, 120, 180, 240, 240, 240, 240))
"""Seconds from each attempt to the next."""

TAMPERS: Final[frozenset[Tamper]] = frozenset((*COMMON_TAMPERS, "key-missing", "key-changed"))

_KEY: Final = "X-Processing-Key"
_SIGNATURE: Final = "X-Processing-Signature"


def sign(secret: str, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA512 of the exact body, keyed with the secret."""
    return hmac.digest(secret.encode(), body, hashlib.sha512).hex()


def write(body: bytes, *, key: str, secret: str, tamper: Tamper | None = None) -> Message:
    """Write and sign a callback."""
    content = spoil_content(body, tamper)
    headers = CIMultiDict({_KEY: key})
    headers[_SIGNATURE] = sign(secrets.token_hex(32) if tamper == "wrong-key" else secret, content)
    if tamper == "key-missing":
        del headers[_KEY]
    elif tamper == "key-changed":
        headers[_KEY] = secrets.token_hex(16)
    return seal(headers, content, signed_by=_SIGNATURE, tamper=tamper)
