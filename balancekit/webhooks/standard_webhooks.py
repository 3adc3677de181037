"""The scheme of getMany's webhooks: Standard Webhooks, asymmetric (`v1a`), over the headers and body as received.

Source: docs.blacksheep.money, "Webhook setup", and the specification at standardwebhooks.com.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from balancekit.errors import WebhookVerificationError
from balancekit.http.secret import Secret
from balancekit.webhooks.events import RawHeaders
from balancekit.webhooks.verification import check_body, only_verification_errors, single_headers

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

MAX_AGE: Final = 300
"""How many seconds ago a delivery may have been sent."""

MAX_LEAD: Final = 5
"""How many seconds the sender's clock may be ahead of this machine's."""

MAX_SIGNATURES: Final = 8
"""How many signatures a delivery may have: each costs a verification with every key."""

MAX_KEYS: Final = 8
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


@only_verification_errors
def verify(headers: RawHeaders, body: bytes, *, keys: Sequence["Ed25519PublicKey"], now: float) -> str:
    """Check that a delivery was signed with one of the keys, and lately; return its id.

    Raises WebhookVerificationError, and nothing else, if not.
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
    signatures = _parse_signatures(signature)
    # The header strings themselves were signed, whatever values they stand for.
    text = f"{event_id}.{timestamp}.".encode() + body
    if not any(_is_valid(key, candidate, text) for candidate in signatures for key in keys):
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: none is of this delivery by webhook_key")
    return event_id


def _age_problem(age: float) -> str:
    return f"more than {MAX_LEAD} s ahead" if age < 0 else f"more than {MAX_AGE} s old"


def _parse_signatures(header: str) -> list[bytes]:
    entries = header.split(" ")
    if len(entries) > MAX_SIGNATURES:
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: more than {MAX_SIGNATURES} signatures")
    signatures = list(_decode_signatures(entries))
    if not signatures:
        raise WebhookVerificationError(f"{SIGNATURE_HEADER}: none of version {_VERSION}")
    return signatures


def _decode_signatures(entries: Iterable[str]) -> Iterable[bytes]:
    for entry in entries:
        parts = _SIGNATURE.fullmatch(entry)
        if parts is None:
            raise WebhookVerificationError(f"{SIGNATURE_HEADER}: not versions and signatures, separated by one space")
        if parts[1] != _VERSION:
            continue
        try:
            signature = _decode_base64(parts[2])
        except ValueError:
            raise WebhookVerificationError(f"{SIGNATURE_HEADER}: not standard base64") from None
        if len(signature) != _SIGNATURE_BYTES:
            raise WebhookVerificationError(f"{SIGNATURE_HEADER}: not of {_SIGNATURE_BYTES} bytes")
        yield signature


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
