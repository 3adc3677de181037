"""The headers of a delivery that matter: each there exactly once, and never changed."""

from collections.abc import Iterable, Mapping
from typing import Final, cast

from balancekit.errors import WebhookVerificationError
from balancekit.json_values import describe
from balancekit.webhooks.protocols import RawHeaders

MAX_HEADERS: Final = 500
"""How many headers a delivery may have."""

MAX_HEADER_LENGTH: Final = 2_048
"""How many characters the value of a header that matters may have."""


def sole_headers(headers: RawHeaders, *names: str) -> tuple[str, ...]:
    """Return the values of headers, in the order of the names, exactly as they were received.

    Raises WebhookVerificationError for one that is missing, repeated, too long or not of printable ASCII characters.
    """
    wanted = {name.lower(): name for name in names}
    found: dict[str, str] = {}
    for number, (raw_name, value) in enumerate(_pairs(headers)):
        if number >= MAX_HEADERS:
            raise WebhookVerificationError(f"more than {MAX_HEADERS} headers")
        name = _ascii(raw_name)
        # Only of ASCII: other scripts have letters that become ASCII ones in lower case.
        if name is None or (folded := name.lower()) not in wanted:
            continue
        if folded in found:
            raise WebhookVerificationError(f"{wanted[folded]}: repeated")
        found[folded] = _checked(wanted[folded], value)
    for folded, name in wanted.items():
        if folded not in found:
            raise WebhookVerificationError(f"{name}: missing")
    return tuple(found[folded] for folded in wanted)


def _pairs(headers: object) -> Iterable[tuple[object, object]]:
    if isinstance(headers, Mapping):
        headers = cast("Mapping[object, object]", headers).items()
    if not isinstance(headers, Iterable):
        raise WebhookVerificationError(f"headers: expected a mapping or pairs, got {type(headers).__name__}")
    for pair in cast("Iterable[object]", headers):
        if not isinstance(pair, tuple | list) or len(cast("tuple[object, ...]", pair)) != 2:  # noqa: PLR2004 - a pair
            raise WebhookVerificationError("headers: expected pairs of a name and a value")
        yield cast("tuple[object, object]", pair)


def _checked(name: str, value: object) -> str:
    if not isinstance(value, str | bytes):
        raise WebhookVerificationError(f"{name}: expected a string, got {describe(value)}")
    if len(value) > MAX_HEADER_LENGTH:
        raise WebhookVerificationError(f"{name}: longer than {MAX_HEADER_LENGTH} characters")
    text = _ascii(value)
    if text is None or not text.isprintable():
        raise WebhookVerificationError(f"{name}: not of printable ASCII characters")
    return text


def _ascii(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("ascii") if value.isascii() else None
    return value if isinstance(value, str) and value.isascii() else None
