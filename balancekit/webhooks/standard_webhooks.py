"""The scheme of getMany's webhooks: Standard Webhooks, asymmetric (`v1a`), over the headers and body as received.

Source: docs.blacksheep.money, "Webhook setup", and the specification at standardwebhooks.com.
"""

import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from balancekit.errors import WebhookVerificationError
from balancekit.http.secret import Secret
from balancekit.webhooks.events import RawHeaders
from balancekit.webhooks.verification import check_body, single_headers

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

MAX_AGE: Final = 300
"""How many seconds ago a delivery may have been sent."""

MAX_LEAD: Final = 5
"""How many seconds the sender's clock may be ahead of this machine's."""

MAX_CHECKS: Final = 12
"""How many signatures of version v1a a delivery may have, divided by the number of keys: each is checked with each key.

The event loop waits for the checks. Each takes 0.1 ms, or 0.4 ms with the largest body.
"""

MAX_KEYS: Final = 4
"""How many keys an account may have."""

KEY_HINT: Final = (
    "the webhook's Ed25519 public key: base64 of its 32 bytes, with or without whpk_ before it, "
    "base64 of SPKI DER, or PEM"
)

_VERSION: Final = "v1a"
_KEY_PREFIX: Final = "whpk_"
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
# Visible ASCII without braces: the start of a JSON object is never taken for part of an id, so that the signed text can
# be split in one way only.
_ID: Final = re.compile(r"[!-z~]{1,255}")
_FIELD: Final = 2**255 - 19
_WITHOUT_SIGN: Final = 2**255 - 1
_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
# The y of the eight points whose order divides 8.
_SMALL_ORDER: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})
_TIMESTAMP: Final = re.compile(r"[0-9]{1,15}")
_SIGNATURE: Final = re.compile(r"([a-z0-9]{1,16}),([!-~]+)")


def load_verifying_key(key: Secret) -> "Ed25519PublicKey | None":
    """Return the public key in a text, None if there is no such key in it.

    It may be the private key, given by mistake, so no error shows any part of the text.
    """
    # This import takes as long as all others together, and most accounts have no such key.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    try:
        # In an environment variable the line breaks of a PEM are often written as two characters.
        text = key.reveal().replace("\\n", "\n")
        if "-----BEGIN" in text:
            loaded = load_pem_public_key(text.encode())
        else:
            data = _decode_base64("".join(text.split()).removeprefix(_KEY_PREFIX))
            bare = len(data) == _KEY_BYTES
            loaded = Ed25519PublicKey.from_public_bytes(data) if bare else load_der_public_key(data)
    except Exception:  # noqa: BLE001 - decoders raise a wide choice of errors for a malformed key
        return None
    return loaded if isinstance(loaded, Ed25519PublicKey) else None


def is_weak_key(key: "Ed25519PublicKey") -> bool:
    """Whether a key is a placeholder or a point for which anybody can sign, in any of its encodings."""
    data = key.public_bytes_raw()
    # The last bit is the sign of x, which both points of a small order have.
    y = int.from_bytes(data, "little") & _WITHOUT_SIGN
    return y >= _FIELD or y in _SMALL_ORDER or len(set(data)) == 1


def verify(headers: RawHeaders, body: bytes, *, keys: Sequence["Ed25519PublicKey"], now: float) -> str:
    """Check that a delivery was signed with one of the keys, and lately; return its id.

    One valid signature is enough, whatever else is in its header. Raises WebhookVerificationError if there is none.
    """
    check_body(body)
    event_id, timestamp, signature = single_headers(headers, ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    if not _ID.fullmatch(event_id):
        raise WebhookVerificationError(f"{ID_HEADER}: not 1 to 255 visible ASCII characters without braces")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise WebhookVerificationError(f"{TIMESTAMP_HEADER}: not 1 to 15 digits")
    age = now - int(timestamp)
    # Not `age < … or age > …`, since `now` may be NaN, which is in no range.
    if not -MAX_LEAD <= age <= MAX_AGE:
        raise WebhookVerificationError(
            f"{TIMESTAMP_HEADER}: {_age_problem(age)}; if it is real, check this machine's clock"
        )
    signatures = _parse_signatures(signature, MAX_CHECKS // len(keys))
    # The header strings themselves were signed, whatever values they stand for.
    text = f"{event_id}.{timestamp}.".encode() + body
    if not any(_is_valid(key, candidate, text) for candidate in signatures for key in keys):
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: none is of this delivery by webhook_key")
    return event_id


def _age_problem(age: float) -> str:
    return f"more than {MAX_LEAD} s ahead" if age < 0 else f"more than {MAX_AGE} s old"


def _parse_signatures(header: str, most: int) -> list[bytes]:
    """Return the signatures that can be checked; an entry that is malformed, or of another version, is none of them."""
    signatures: list[bytes] = []
    problems: list[str] = []
    for entry in header.split(" "):
        parts = _SIGNATURE.fullmatch(entry)
        if parts is None:
            problems.append("not versions and signatures, separated by one space")
        elif parts[1] == _VERSION:
            try:
                signature = _decode_base64(parts[2])
            except ValueError:
                problems.append("not standard base64")
                continue
            if len(signature) == _SIGNATURE_BYTES:
                signatures.append(signature)
            else:
                problems.append(f"not of {_SIGNATURE_BYTES} bytes")
    if len(signatures) > most:
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: more than {most} signatures")
    if not signatures:
        problem = problems[0] if problems else f"none of version {_VERSION}"
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: {problem}")
    return list(dict.fromkeys(signatures))


def _decode_base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    # Encoded again, since the decoder accepts stray bits and padding at the end.
    if base64.b64encode(data).decode() != text:
        raise ValueError
    return data


def _is_valid(key: "Ed25519PublicKey", signature: bytes, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True
