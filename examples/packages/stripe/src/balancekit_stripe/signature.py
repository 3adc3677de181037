"""The scheme of Stripe's webhooks: an HMAC-SHA256 of a time and the raw body, from docs.stripe.com/webhooks.

`Stripe-Signature: t=1767225600,v1=5257…,v1=…`: one `v1` for each secret while one takes the place of another. What was
signed is the time, a dot and the body; the key is the text of the secret as it is, `whsec_` included.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from balancekit import Secret, WebhookVerificationError
from balancekit.webhooks import RawHeaders
from balancekit.webhooks.verification import check_body, single_headers

HEADER: Final = "Stripe-Signature"

TOLERANCE: Final = 300
"""How many seconds the time of a delivery may be from the present, before it or after it."""

_MAX_SIGNATURES: Final = 16
_TIME: Final = re.compile(r"[0-9]{1,15}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")


def hex_signature(secret: Secret, timestamp: str, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 of a time and the exact body."""
    return hmac.new(secret.reveal().encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(headers: RawHeaders, body: bytes, *, secrets: Sequence[Secret], now: float) -> None:
    """Check that a delivery was signed with one of the secrets, and lately; `now` is in Unix seconds.

    Raises WebhookVerificationError if not.
    """
    check_body(body)
    (header,) = single_headers(headers, HEADER)
    entries = [entry.strip().partition("=") for entry in header.split(",")]
    times = [value for name, _, value in entries if name == "t"]
    signatures = [value for name, _, value in entries if name == "v1" and _SIGNATURE.fullmatch(value)]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise WebhookVerificationError(f"{HEADER}: expected one time, t=, of 1 to 15 digits")
    if not 1 <= len(signatures) <= _MAX_SIGNATURES:
        raise WebhookVerificationError(f"{HEADER}: expected 1 to {_MAX_SIGNATURES} signatures, v1=, of 64 hex digits")
    # Not `age < … or age > …`, since `now` may be NaN, which is in no range.
    if not -TOLERANCE <= now - int(times[0]) <= TOLERANCE:
        raise WebhookVerificationError(
            f"{HEADER}: signed more than {TOLERANCE} s from now; if it is real, check this machine's clock"
        )
    valid = [hex_signature(secret, times[0], body) for secret in secrets]
    # All in constant time: no valid signature can be guessed digit by digit.
    if not any(hmac.compare_digest(sent, one) for sent in signatures for one in valid):
        raise WebhookVerificationError(f"{HEADER}: none is of this delivery under webhook_secret")
