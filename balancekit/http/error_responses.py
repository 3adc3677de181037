"""What an answer other than success stands for: its class of error, its code and words, and what to do about it."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, cast

import attrs

from balancekit.errors import (
    AuthenticationError,
    BadRequestError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    ServiceUnavailableError,
    UnexpectedRedirectError,
)
from balancekit.http.messages import Response, excerpt

_MAX_CODE: Final = 64

_BARE_CODE: Final = re.compile(rf"[!-~]{{1,{_MAX_CODE}}}")

_ERRORS_BY_STATUS: Final[Mapping[int, type[ProviderError]]] = MappingProxyType(
    {401: AuthenticationError, 403: AuthenticationError, 429: RateLimitedError}
)

_ERRORS_BY_CLASS: Final[Mapping[int, type[ProviderError]]] = MappingProxyType(
    {3: UnexpectedRedirectError, 4: BadRequestError, 5: ServiceUnavailableError}
)

_HINTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "Check the account's credentials, and that base_url is the host that they were made for",
        403: "Check the account's credentials, and that base_url is the host that they were made for",
        404: "Check base_url",
        429: "Too many requests: all accounts on one host may share one limit. Ask less often, or later",
    }
)

_HINTS_BY_CLASS: Final[Mapping[int, str]] = MappingProxyType(
    {
        3: "Check base_url: the answer points elsewhere, and credentials go to the configured host alone",
        5: "The provider is failing. Try again later",
    }
)


@attrs.frozen
class ErrorDetail:
    """What an answer says about what went wrong: the provider's code, and words for people."""

    code: str | None = None
    message: str | None = None


def error_detail(response: Response) -> ErrorDetail:
    """Read what an error response says, in any of the shapes that the two APIs use.

    `{"error": text, "code": code}`, `{"error": {"code": …, "message": …}}`, `{"error": code}`,
    `{"errors": {field: text}}`; for anything else (a proxy's HTML or plain text) an excerpt of the body.
    """
    try:
        said = response.json()
    except ValueError:
        said = None
    match said:
        case {"error": {"code": _} | {"message": _} as error}:
            return ErrorDetail(_code(error.get("code")), _words(error.get("message")))
        case {"error": str(words), "code": code}:
            return ErrorDetail(_code(code), _words(words))
        case {"error": str(words)}:
            # A failed signature at getMany is told by a bare code, where others put a sentence.
            is_code = _BARE_CODE.fullmatch(words) is not None
            return ErrorDetail(words) if is_code else ErrorDetail(None, _words(words))
        case {"errors": {**fields}} if fields:
            return ErrorDetail(None, excerpt("; ".join(f"{field}: {_words(text)}" for field, text in fields.items())))
        case _:
            return ErrorDetail(None, _words(response.body))


def _code(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return excerpt(str(value), _MAX_CODE) or None


def _words(value: object) -> str | None:
    if isinstance(value, list):
        words = [word for word in cast("list[object]", value) if isinstance(word, str)]
        return excerpt(", ".join(words)) or None
    return (excerpt(value) or None) if isinstance(value, str | bytes) else None


def error_class(status: int) -> type[ProviderError]:
    """Return the class of error that a status other than success stands for."""
    by_class = _ERRORS_BY_CLASS.get(status // 100, MalformedResponseError)
    return _ERRORS_BY_STATUS.get(status, by_class)


def usual_hint(status: int) -> str | None:
    """Return what to do about a status, whichever provider it comes from."""
    return _HINTS.get(status) or _HINTS_BY_CLASS.get(status // 100)
