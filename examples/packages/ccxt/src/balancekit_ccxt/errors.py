"""What ccxt's errors are in balancekit's, and what a response says of an error."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import ccxt

from balancekit import (
    AuthenticationError,
    BadRequestError,
    ErrorDetail,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    Response,
    ServiceUnavailableError,
)

KEY_HINT: Final = "Check key and secret, and password and uid where the exchange has them"
PERMISSION_HINT: Final = (
    "Give the key the permission to read balances; if it has a list of addresses, add this machine's"
)
TIME_HINT: Final = "Check this machine's clock, and whether another program uses the key: its time or nonce was refused"
PLACE_HINT: Final = "The exchange does not serve the country that this machine's address is in"
LIMIT_HINT: Final = "Read less often: limits count for the key, or for this machine's address"
LATER_HINT: Final = "The exchange is failing, or under maintenance. Try again later"
SHAPE_HINT: Final = "The exchange's API may have changed: look for a newer ccxt"
REFUSED_HINT: Final = "The exchange reports an error with the status of a success; its documentation explains it"
SETTINGS_HINT: Final = "Check the account's settings, account_type and options among them"

KINDS: Final[tuple[tuple[type[Exception], type[ProviderError], str], ...]] = (
    (ccxt.PermissionDenied, AuthenticationError, PERMISSION_HINT),
    (ccxt.AuthenticationError, AuthenticationError, KEY_HINT),
    (ccxt.InvalidNonce, AuthenticationError, TIME_HINT),
    (ccxt.RestrictedLocation, BadRequestError, PLACE_HINT),
    (ccxt.DDoSProtection, RateLimitedError, LIMIT_HINT),
    (ccxt.RateLimitExceeded, RateLimitedError, LIMIT_HINT),
    (ccxt.NetworkError, ServiceUnavailableError, LATER_HINT),
    (ccxt.BadResponse, MalformedResponseError, SHAPE_HINT),
    (ccxt.BadRequest, BadRequestError, SETTINGS_HINT),
    (ccxt.ArgumentsRequired, BadRequestError, SETTINGS_HINT),
    (ccxt.NotSupported, BadRequestError, SETTINGS_HINT),
    (ccxt.OperationFailed, ServiceUnavailableError, LATER_HINT),
)
"""The classes of ccxt, each before those that it derives from, and what they are here, with what to do about it."""

_CODES: Final = (
    *("code", "retCode", "ret_code", "sCode", "errorCode", "error_code", "err_code", "err-code", "errCode", "label"),
    *("result_code", "status_code", "id"),
)
_MESSAGES: Final = (
    *("msg", "message", "retMsg", "ret_msg", "sMsg", "errorMessage", "error_message", "err-msg", "errMsg"),
    *("error_description", "description", "detail", "reason"),
)
_SEVERITY: Final = re.compile(r"^[EW](?=[A-Z])")
_NESTED: Final = ("error", "errors", "data", "result")
_MAX_DEPTH: Final = 3


def kind_of(error: Exception) -> tuple[type[ProviderError], str] | None:
    """Return the class that an error of ccxt is here, and a hint; None if ccxt knows no more than that it is one."""
    return next(((kind, hint) for theirs, kind, hint in KINDS if isinstance(error, theirs)), None)


def detail_of(response: Response) -> ErrorDetail:
    """Read the code and the words of an error, in any of the shapes that exchanges use.

    `{"code": -2015, "msg": …}`, `["error", 10100, …]`, `{"error": ["EAPI:Invalid key"]}`, `{"errors": [{"id": …}]}` and
    the like.
    """
    try:
        document = response.json()
    except ValueError:
        return ErrorDetail(None, response.body)
    code, message = _read(document, 0)
    return ErrorDetail(code, message)


def retry_after_of(response: Response) -> float | None:
    """Return the seconds after which the exchange wants to be asked again; None if it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() else None


def clock_offset_of(response: Response, now: float) -> float | None:
    """Return how many seconds the exchange's clock is ahead of this machine's.

    None if the response does not say, or comes from a cache.
    """
    if response.headers.get("Age", "0").strip() != "0":
        return None
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _read(document: Any, depth: int) -> tuple[Any, Any]:  # noqa: ANN401 - JSON is any of its types
    if isinstance(document, str):
        # Kraken's: severity, category and words.
        code, colon, words = _SEVERITY.sub("", document).partition(":")
        return (code, words.strip()) if colon else (document, None) if " " not in document else (None, document)
    if isinstance(document, list):
        if document[:1] == ["error"]:
            return (*document[1:3], None, None)[:2]
        return _read(document[0], depth) if document else (None, None)
    if not isinstance(document, Mapping) or depth > _MAX_DEPTH:
        return None, None
    code = _first(document, _CODES)
    message = _first(document, _MESSAGES)
    for name in _NESTED:
        if (code is None or message is None) and isinstance(document.get(name), dict | list | str):
            inner, words = _read(document[name], depth + 1)
            code, message = inner if code is None else code, words if message is None else message
    return code, message


def _first(document: Mapping[str, Any], names: tuple[str, ...]) -> Any:  # noqa: ANN401 - text or a number
    for name in names:
        value = document.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return value
    return None
