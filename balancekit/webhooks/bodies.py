"""The body of a delivery: bounded before it is verified, read only after."""

from collections.abc import Mapping
from typing import Final, cast

from balancekit.decoding import decode_json
from balancekit.errors import WebhookVerificationError
from balancekit.json_values import NumberText, describe
from balancekit.names import check_label
from balancekit.structuring import ShapeError

MAX_BODY: Final = 256 * 1_024
"""How many bytes the body of a delivery may have."""


def check_body(body: object) -> bytes:
    """Return a body that is worth verifying; raise WebhookVerificationError for one that is no bytes or too large."""
    if not isinstance(body, bytes):
        raise WebhookVerificationError(f"the body must be bytes as they were received, not {type(body).__name__}")
    if len(body) > MAX_BODY:
        raise WebhookVerificationError(f"the body is larger than {MAX_BODY} bytes")
    return body


def read_object(body: bytes) -> Mapping[str, object]:
    """Return the JSON object that a verified body is; raise WebhookVerificationError if it is none."""
    try:
        data: object = decode_json(body)
    except ShapeError as error:
        raise WebhookVerificationError(str(error)) from None
    if not isinstance(data, dict):
        raise WebhookVerificationError(f"the body: expected an object, got {describe(data)}")
    return cast("dict[str, object]", data)


def is_word(value: object) -> bool:
    """Whether a value of a body is text; a number that is kept as its digits is none."""
    return isinstance(value, str) and not isinstance(value, NumberText)


def read_word(data: Mapping[str, object], name: str) -> str | None:
    """Return a word of the provider's that can be shown, None if it is missing or null.

    Raises WebhookVerificationError for anything but text, and for text that is empty, too long or not printable.
    """
    value = data.get(name)
    if value is None:
        return None
    if not is_word(value):
        raise WebhookVerificationError(f"{name}: expected a string, got {describe(value)}")
    try:
        return check_label(value)
    except ValueError as error:
        raise WebhookVerificationError(f"{name}: {error}") from None
