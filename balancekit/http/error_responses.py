"""What an error response means: status to class of error, the provider's code and message, and a hint."""

import re
from collections.abc import Mapping
from http import HTTPStatus
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
from balancekit.http.hints import HINTS, NOT_FOUND_HINT
from balancekit.http.messages import Response, excerpt
from balancekit.http.retry_after import retry_after_of

_ERRORS_BY_STATUS: Final[Mapping[int, type[ProviderError]]] = MappingProxyType(
    {401: AuthenticationError, 403: AuthenticationError, 429: RateLimitedError}
)

_ERRORS_BY_CLASS: Final[Mapping[int, type[ProviderError]]] = MappingProxyType(
    {3: UnexpectedRedirectError, 4: BadRequestError, 5: ServiceUnavailableError}
)

_MAX_CODE: Final = 64
_BARE_CODE: Final = re.compile(rf"[!-~]{{1,{_MAX_CODE}}}")


@attrs.frozen
class ErrorDetail:
    """What the body of an error response contains: the provider's code, and a message for people."""

    code: str | None = None
    message: str | None = None


def error_of(
    response: Response,
    detail: ErrorDetail,
    *,
    account: str,
    provider: str,
    hints: Mapping[str | int, str] = MappingProxyType({}),
    now: float,
) -> ProviderError:
    """Return the error for a response whose status is not 200; `detail` is what its body contains.

    `hints` are the adapter's own, by code or status; without one for this error the general one is taken. `now` is in
    Unix seconds, and is used where the response has no `Date`.
    """
    status, code = response.status, detail.code
    kind = error_class(status)
    summary = f"{status} {code}" if code else str(status)
    general_hint = NOT_FOUND_HINT if status == HTTPStatus.NOT_FOUND else HINTS.get(kind)
    return kind(
        f"{summary}: {detail.message}" if detail.message else summary,
        account=account,
        provider=provider,
        status=status,
        code=code,
        hint=hints.get(code or "") or hints.get(status) or general_hint,
        retry_after=retry_after_of(response, now=now),
    )


def error_class(status: int) -> type[ProviderError]:
    """Return the class of error for a status other than 200."""
    by_class = _ERRORS_BY_CLASS.get(status // 100, MalformedResponseError)
    return _ERRORS_BY_STATUS.get(status, by_class)


def error_detail(response: Response) -> ErrorDetail:
    """Read the code and the message of an error response, in any of the shapes that the two APIs use.

    `{"error": text, "code": code}`, `{"error": {"code": …, "message": …}}`, `{"error": code}`,
    `{"errors": {field: text}}`; for anything else (a proxy's HTML or plain text) an excerpt of the body.
    """
    try:
        data = response.json()
    except ValueError:
        data = None
    match data:
        case {"error": {"code": _} | {"message": _} as error}:
            return ErrorDetail(_code(error.get("code")), _message(error.get("message")))
        case {"error": str(text), "code": code}:
            return ErrorDetail(_code(code), _message(text))
        case {"error": str(text)}:
            # getMany sends a bare code for a wrong signature, where others send a sentence.
            is_code = _BARE_CODE.fullmatch(text) is not None
            return ErrorDetail(text) if is_code else ErrorDetail(None, _message(text))
        case {"errors": {**fields}} if fields:
            return ErrorDetail(None, excerpt("; ".join(f"{field}: {_message(text)}" for field, text in fields.items())))
        case _:
            return ErrorDetail(None, _message(response.body))


def _code(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return excerpt(str(value), _MAX_CODE) or None


def _message(value: object) -> str | None:
    if isinstance(value, list):
        texts = [text for text in cast("list[object]", value) if isinstance(text, str)]
        return excerpt(", ".join(texts)) or None
    return (excerpt(value) or None) if isinstance(value, str | bytes) else None
