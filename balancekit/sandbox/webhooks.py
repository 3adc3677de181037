"""What the webhooks of both providers have in common: an event, the message that tells it, and ways to spoil one."""

from typing import Final, Literal, TypeAlias

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from balancekit.sandbox.holdings import Holding

Tamper: TypeAlias = Literal[
    "body-changed",
    "body-truncated",
    "not-json",
    "signature-missing",
    "signature-malformed",
    "signature-repeated",
    "wrong-key",
    "key-missing",
    "key-changed",
    "id-missing",
    "id-changed",
    "timestamp-missing",
    "timestamp-changed",
    "timestamp-old",
    "timestamp-future",
]
"""What is done to a webhook, once it is signed unless said otherwise.

- "body-changed" adds a field, "body-truncated" sends the first half as if it were all; "not-json" signs plain text.
- "signature-missing", "signature-malformed" (right in form up to the encoding) and "signature-repeated" (the right one,
  in two headers) are about the header; "wrong-key" signs with a stranger's key.
- "key-missing" and "key-changed" are about the header that names the key: Cryptoprocessing only.
- "id-missing", "id-changed", "timestamp-missing" and "timestamp-changed" (by a second) are about those headers;
  "timestamp-old" and "timestamp-future" sign a time that is ten minutes off: getMany only.
"""

COMMON_TAMPERS: Final[frozenset[Tamper]] = frozenset(
    {
        "body-changed",
        "body-truncated",
        "not-json",
        "signature-missing",
        "signature-malformed",
        "signature-repeated",
        "wrong-key",
    }
)
"""What can be done to any webhook that is signed in a header."""


@attrs.frozen(kw_only=True)
class Event:
    """One thing that a provider tells of a transaction.

    `number` is the transaction's, the same in all of its events; `event_id` is this event's alone, the same in every
    delivery of it. `moved` is the amount, negative for one that leaves the account, in the form in which it is held.
    """

    number: int
    event_id: str
    status: str
    moved: Holding


@attrs.frozen
class Message:
    """The headers and the body of one delivery; no repr shows them, since a signature of a known body is a secret."""

    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


def tamper_body(body: bytes, tamper: Tamper | None) -> bytes:
    """Return what is signed in the place of a body."""
    return b"this is not JSON" if tamper == "not-json" else body


def finish(headers: CIMultiDict[str], body: bytes, *, signed_by: str, tamper: Tamper | None) -> Message:
    """Make a message of what was signed; `signed_by` is the name of the header that holds the signature."""
    headers["Content-Type"] = "application/json"
    if tamper == "signature-missing":
        del headers[signed_by]
    elif tamper == "signature-malformed":
        # Its last character is one that neither base64 nor hexadecimal has.
        headers[signed_by] = f"{headers[signed_by][:-1]}!"
    elif tamper == "signature-repeated":
        headers.add(signed_by, headers[signed_by])
    elif tamper == "body-changed":
        body = b'{"changed":true,' + body.removeprefix(b"{")
    elif tamper == "body-truncated":
        body = body[: len(body) // 2]
    return Message(CIMultiDictProxy(headers), body)
