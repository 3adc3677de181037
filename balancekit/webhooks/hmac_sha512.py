"""The scheme of Cryptoprocessing's callbacks: an HMAC-SHA512 of the raw body, made exactly as for requests.

Source: docs.cryptoprocessing.com, "Callbacks" and "Authentication". No time is signed, so that only the content of the
body can show a replay.
"""

import hashlib
import hmac
import re
from typing import Final

from balancekit.errors import WebhookVerificationError
from balancekit.http.secret import Secret
from balancekit.webhooks.events import RawHeaders
from balancekit.webhooks.verification import check_body, single_headers

KEY_HEADER: Final = "X-Processing-Key"
SIGNATURE_HEADER: Final = "X-Processing-Signature"

_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")


def keyed_hash(secret: Secret) -> hmac.HMAC:
    """Return an HMAC-SHA512 that has hashed nothing yet; the secret cannot be read from it."""
    return hmac.new(secret.reveal().encode(), digestmod=hashlib.sha512)


def hex_signature(keyed: hmac.HMAC, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA512 of the exact body."""
    mac = keyed.copy()
    mac.update(body)
    return mac.hexdigest()


def verify(headers: RawHeaders, body: bytes, *, key: Secret, keyed: hmac.HMAC) -> None:
    """Check that a delivery has the key, and the signature that the keyed hash gives its body.

    Raises WebhookVerificationError if not.
    """
    check_body(body)
    claimed, signature = single_headers(headers, KEY_HEADER, SIGNATURE_HEADER)
    if not _SIGNATURE.fullmatch(signature):
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: not 128 lower-case hexadecimal digits")
    # Both in constant time: neither the key nor a valid signature can be guessed byte by byte.
    same_key = hmac.compare_digest(claimed.encode(), key.reveal().encode())
    if not hmac.compare_digest(signature, hex_signature(keyed, body)):
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: not that of this body under the account's secret")
    if not same_key:
        raise WebhookVerificationError(f"{KEY_HEADER}: not the account's key")
