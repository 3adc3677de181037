"""Verification of a delivery: its headers and its body, as every scheme reads them, and one kind of error."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Final, ParamSpec, TypeVar, cast

from balancekit.errors import WebhookVerificationError, text_of
from balancekit.http.fields import read_text
from balancekit.http.known_secrets import secrets_of
from balancekit.http.redaction import exit_like
from balancekit.money.currencies import check_label
from balancekit.money.exact_json import ShapeError, decode_json, json_type_name
from balancekit.webhooks.events import RawHeaders, WebhookEvent, WebhookProvider

MAX_HEADERS: Final = 500
"""How many headers a delivery may have."""

MAX_HEADER_LENGTH: Final = 2_048
"""How many characters the value of a header that is read may have."""

MAX_WEBHOOK_BODY: Final = 256 * 1_024
"""How many bytes the body of a delivery may have."""

MAX_WEBHOOK_VALUES: Final = 2_000
"""How many values the body of a delivery may hold: decoding more of them takes longer than verifying it."""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def only_verification_errors(check: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Have a check raise WebhookVerificationError and nothing else, with nothing of the delivery in its frames.

    A delivery may have a valid signature and fail for another reason; the signature is a secret, since the key that
    made it also moves money.
    """

    @functools.wraps(check)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        reason, ended = "", None
        try:
            return check(*args, **kwargs)
        except WebhookVerificationError as error:
            reason = text_of(error)
        except Exception as error:  # noqa: BLE001 - headers may be an object of any framework, and raise anything
            reason = f"{type(error).__name__} while it was verified"
        except BaseException as error:  # noqa: BLE001 - it ends the program, without the frames that hold the delivery
            ended = exit_like(error, secrets_of(args[0] if args else None))
        # A new error, raised outside the handler, has no frames from below. It keeps this frame, which drops its own.
        del args, kwargs
        raise WebhookVerificationError(reason) if ended is None else ended

    return checked


@only_verification_errors
def verify(source: object, headers: RawHeaders, body: bytes, *, stands_in: bool = False) -> WebhookEvent:
    """Return the event of a delivery to the account of that provider.

    A provider that stands in for an unknown account does the same work, and its result is dropped: the time that it
    takes does not show which accounts there are.

    Raises WebhookVerificationError, and nothing else, if the delivery is not the provider's, or if the provider takes
    no webhooks.
    """
    if isinstance(source, WebhookProvider):
        try:
            event = source.verify_webhook(headers, body)
        except Exception:
            if not stands_in:
                raise
        else:
            if not stands_in:
                return event
    raise WebhookVerificationError("no account of that label takes webhooks")


def single_headers(headers: RawHeaders, *names: str) -> tuple[str, ...]:
    """Return the values of headers, in the order of the names, exactly as they were received.

    Raises WebhookVerificationError for one that is missing, repeated, too long or not of printable ASCII characters.
    """
    wanted = {name.lower(): name for name in names}
    found: dict[str, str] = {}
    for number, (raw_name, value) in enumerate(_pairs(headers)):
        if number >= MAX_HEADERS:
            raise WebhookVerificationError(f"more than {MAX_HEADERS} headers")
        name = _ascii(raw_name)
        # ASCII names only: other scripts have letters that become ASCII ones in lower case.
        if name is None or (folded := name.lower()) not in wanted:
            continue
        if folded in found:
            raise WebhookVerificationError(f"{wanted[folded]}: repeated")
        found[folded] = _header_value(wanted[folded], value)
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


def _header_value(name: str, value: object) -> str:
    if not isinstance(value, str | bytes):
        raise WebhookVerificationError(f"{name}: expected a string, got {json_type_name(value)}")
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


def check_body(body: object) -> None:
    """Raise WebhookVerificationError if the body is not bytes, or too large."""
    if not isinstance(body, bytes):
        raise WebhookVerificationError(f"the body must be bytes as they were received, not {type(body).__name__}")
    if len(body) > MAX_WEBHOOK_BODY:
        raise WebhookVerificationError(f"the body is larger than {MAX_WEBHOOK_BODY} bytes")


def read_object(body: bytes) -> Mapping[str, object]:
    """Return the JSON object in a verified body; raise WebhookVerificationError if there is none."""
    try:
        data: object = decode_json(body, max_values=MAX_WEBHOOK_VALUES)
    except ShapeError as error:
        raise WebhookVerificationError(str(error)) from None
    if not isinstance(data, dict):
        raise WebhookVerificationError(f"the body: expected an object, got {json_type_name(data)}")
    return cast("dict[str, object]", data)


def optional_text(data: Mapping[str, object], name: str) -> str | None:
    """Return a string field that can be shown, None if it is missing or null.

    Raises WebhookVerificationError for anything but a string, and for one that is empty, too long or not printable.
    """
    value = data.get(name)
    if value is None:
        return None
    try:
        return check_label(read_text(value))
    except (TypeError, ValueError) as error:
        raise WebhookVerificationError(f"{name}: {error}") from None
