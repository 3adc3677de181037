"""What the webhooks of both providers have in common: the event, the signed webhook, and ways to tamper with it."""

from typing import Literal, TypeAlias

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from balancekit.sandbox.holdings import Holding

_AnyTamper: TypeAlias = Literal[
    "body-changed",
    "body-truncated",
    "not-json",
    "signature-missing",
    "signature-malformed",
    "signature-repeated",
    "wrong-key",
]

CryptoprocessingTamper: TypeAlias = Literal[_AnyTamper, "key-missing", "key-changed"]
"""The tampers that fit a callback of Cryptoprocessing."""

GetManyTamper: TypeAlias = Literal[
    _AnyTamper,
    "id-missing",
    "id-changed",
    "timestamp-missing",
    "timestamp-changed",
    "timestamp-old",
    "timestamp-future",
]
"""The tampers that fit a webhook of getMany."""

Tamper: TypeAlias = Literal[CryptoprocessingTamper, GetManyTamper]
"""What is changed in a webhook, after it was signed unless stated otherwise.

- "body-changed" adds a field; "body-truncated" sends the first half as if it were the whole; "not-json" signs plain
  text.
- "signature-missing", "signature-malformed" (valid up to a character that the encoding does not have) and
  "signature-repeated" (the valid one, in two headers) change that header; "wrong-key" signs with another key.
- "key-missing" and "key-changed" change the header with the key: Cryptoprocessing only.
- "id-missing", "id-changed", "timestamp-missing" and "timestamp-changed" (by a second) change those headers;
  "timestamp-old" and "timestamp-future" sign a time ten minutes off: getMany only.
"""


@attrs.frozen(kw_only=True)
class Event:
    """One event of a transaction.

    `number` identifies the transaction and is the same in all its events; `event_id` identifies this event and is the
    same in every delivery. `moved` is the amount, negative if it leaves the account, in the form the account holds it.
    """

    number: int
    event_id: str
    status: str
    moved: Holding


@attrs.frozen
class SignedWebhook:
    """The headers and body of one delivery; the repr omits both, since the signature of a known body is a secret."""

    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


def tamper_body(body: bytes, tamper: Tamper | None) -> bytes:
    """Return the body to sign: another one if the tamper replaces it before signing."""
    return b"this is not JSON" if tamper == "not-json" else body


def finish(headers: CIMultiDict[str], body: bytes, *, signature_header: str, tamper: Tamper | None) -> SignedWebhook:
    """Return the webhook of signed headers and body, with the tampers that are made after signing."""
    headers["Content-Type"] = "application/json"
    if tamper == "signature-missing":
        del headers[signature_header]
    elif tamper == "signature-malformed":
        # Neither base64 nor hexadecimal has an exclamation mark.
        headers[signature_header] = f"{headers[signature_header][:-1]}!"
    elif tamper == "signature-repeated":
        headers.add(signature_header, headers[signature_header])
    elif tamper == "body-changed":
        body = b'{"changed":true,' + body.removeprefix(b"{")
    elif tamper == "body-truncated":
        body = body[: len(body) // 2]
    return SignedWebhook(CIMultiDictProxy(headers), body)
