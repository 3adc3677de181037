"""What an error response means: status to class of error, the provider's code and message, and a hint."""

import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, cast

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
from balancekit.http.fields import error_field_of
from balancekit.http.hints import BLOCKED_HINT, HINTS, HINTS_BY_STATUS, KEY_OR_ADDRESS_HINT
from balancekit.http.messages import OK, Response, excerpt
from balancekit.http.quotations import Secrets
from balancekit.http.retry_after import retry_after_of

_ERRORS_BY_STATUS: Final[Mapping[int, type[ProviderError]]] = MappingProxyType(
    {401: AuthenticationError, 403: AuthenticationError, 429: RateLimitedError}
)

_ERRORS_BY_CLASS: Final[Mapping[int, type[ProviderError]]] = MappingProxyType(
    {3: UnexpectedRedirectError, 4: BadRequestError, 5: ServiceUnavailableError}
)

_RETRYABLE: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
"""Statuses after which the same request may succeed, though their class of errors says otherwise."""

# Texts, which `re` compiles at the first 401 or 403: that saves time at import.
_ADDRESS: Final = (
    r"(?<![A-Za-z])(?:ip|Ip|IP)(?:s|v[46])?(?![a-z])|(?<=[a-z])I[Pp]s?(?![a-z])|\b\d{1,3}(?:\.\d{1,3}){3}\b|(?i:"
    r"^\W*addr|\b(?:ip|your|client|source|remote|sender|host)[-_ ]?addr|\bcidr|(?:allow|white|safe)[-_ ]?list)"
)
"""The address of a machine, or the list of those that are allowed."""

_KEY: Final = r"(?:key|secret|signature|token|credential|password)s?"
_WRONG_KEY: Final = (
    r"(?i)(?:bad|invalid|wrong|unknown|incorrect|missing|expired|revoked)[-_ ]?(?:(?:api|access|auth|header)[-_ ]?)*"
    rf"{_KEY}|{_KEY}[-_ ](?:(?:is|was|not)[-_ ])*(?:bad|invalid|wrong|valid|unknown|incorrect|missing|expired|revoked)"
)

_REFUSAL: Final = r"(?i)not|n't|\bno\b|\bun|invalid|den[iy]|block|restrict|forbid|reject|refus|\bban"
"""Words that refuse something."""

_CLAUSE_END: Final = r"[,;:()]|\.(?!\w)"
"""Where one statement of a message ends."""

_CODES: Final = ("code", "error_code", "errorCode")
_MESSAGES: Final = (
    *("message", "msg", "error_message", "errorMessage", "error_description", "detail"),
    # RFC 9457, section 3.1: the same for all errors of a type, where `detail` is about this one.
    "title",
)

_MAX_CODE: Final = 64
_BARE_CODE: Final = re.compile(rf"[!-~]{{1,{_MAX_CODE}}}")


def _code(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return excerpt(str(value), _MAX_CODE) or None


def _message(value: object) -> str | None:
    if isinstance(value, list):
        texts = [text for text in cast("list[object]", value) if isinstance(text, str)]
        return excerpt(", ".join(texts)) or None
    return (excerpt(value) or None) if isinstance(value, str | bytes) else None


@attrs.frozen
class ErrorDetail:
    """What the body of an error response contains: the provider's code, and a message for people.

    Both are made short and printable, whatever an adapter has read.
    """

    code: str | None = attrs.field(default=None, converter=_code)
    message: str | None = attrs.field(default=None, converter=_message)


def redact_detail(detail: ErrorDetail, secrets: Secrets) -> ErrorDetail:
    """Return what an adapter has read of an error response without secrets."""
    return ErrorDetail(*secrets.redact_adjacent(detail.code or "", detail.message or ""))


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
    hint = (
        hints.get(code or "")
        or _hint_at_block(response, detail)
        or hints.get(status)
        or HINTS_BY_STATUS.get(status, HINTS[kind])
    )
    retry_after = retry_after_of(response, now=now)
    if retry_after:
        hint = f"{hint}. The response says to wait {retry_after:.0f} s"
    return kind(
        f"{summary}: {detail.message}" if detail.message else summary,
        account=account,
        provider=provider,
        status=status,
        code=code,
        retryable=True if status in _RETRYABLE else None,
        hint=hint,
        retry_after=retry_after,
    )


def _hint_at_block(response: Response, detail: ErrorDetail) -> str | None:
    """Return a hint for a 401 or 403 about the sender's address, or a 403 that is a page in the provider's place."""
    if error_class(response.status) is not AuthenticationError:
        return None
    text, wrong_keys = re.subn(_WRONG_KEY, ",", ": ".join(filter(None, (detail.code, detail.message))))
    about_address = [clause for clause in re.split(_CLAUSE_END, text) if re.search(_ADDRESS, clause)]
    if about_address and wrong_keys and not any(re.search(_REFUSAL, clause) for clause in about_address):
        # Otherwise the address may only be where the request came from.
        return KEY_OR_ADDRESS_HINT if re.search(r"(?i)\bor\b", text) else None
    is_forbidden = response.status == HTTPStatus.FORBIDDEN
    is_page = is_forbidden and detail.code is None and response.body.strip()[:1] not in {b"", b"{", b"["}
    return BLOCKED_HINT if about_address or is_page or (is_forbidden and _is_by_firewall(response)) else None


def _is_by_firewall(response: Response) -> bool:
    """Whether the body of a 403 is JSON that firewalls send in the provider's place."""
    match fields_of(response):
        case {"cloudflare_error": True}:
            return True
        case {"message": "Forbidden", **rest}:
            # AWS: its firewall, or its gateway for an address or a key that it does not admit.
            return not rest
        case _:
            return False


def error_class(status: int) -> type[ProviderError]:
    """Return the class of error for a status other than 200."""
    by_class = _ERRORS_BY_CLASS.get(status // 100, MalformedResponseError)
    return _ERRORS_BY_STATUS.get(status, by_class)


def error_detail(response: Response) -> ErrorDetail:
    """Read the code and the message of an error response, in any of the usual shapes.

    `{"error": text, "code": code}`, `{"error": {"code": …, "message": …}}`, `{"error": code}`,
    `{"errors": {field: text}}`, `{"errors": [{"code": …, "message": …}]}`, `{"code": …, "message": …}` or under the
    other names in `_CODES` and `_MESSAGES`; for a 200 that reports no error, and anything else (a proxy's HTML or plain
    text), an excerpt of the body, unless its status is that of a success: it may hold balances.
    """
    fields = fields_of(response)
    code: object = None
    body = None if response.status // 100 == OK // 100 else response.body
    message: object = body
    match fields:
        case _ if response.status == OK and error_field_of(fields) is None:
            pass
        case {"error": {"code": _} | {"message": _} as error}:
            code, message = error.get("code"), error.get("message")
        case {"error": str(text), "code": code}:
            message = text
        case {"error": str(text)} if text.strip():
            # getMany sends a bare code for a wrong signature, where others send a sentence.
            is_code = _BARE_CODE.fullmatch(text) is not None
            code, message = (text, detail_in(fields).message) if is_code else (None, text)
        case {"errors": {**by_field}} if by_field:
            message = "; ".join(f"{field}: {_message(text)}" for field, text in by_field.items())
        case {"errors": [str(), *_] as texts}:
            message = texts
        case {"errors": [{**first}, *_]} | {**first}:
            found = detail_in(cast("dict[str, object]", first))
            code, message = found.code, found.message or body
    return ErrorDetail(code, message)


def detail_in(fields: Mapping[str, object]) -> ErrorDetail:
    """Return the code and the message that an object has side by side, by the names that are usual for them."""
    code, message = (
        next(filter(None, (read(fields.get(name)) for name in names)), None)
        for names, read in ((_CODES, _code), (_MESSAGES, _message))
    )
    return ErrorDetail(code, message)


def fields_of(response: Response) -> Mapping[str, Any]:
    """Return the fields of the JSON object that a body is; none if it is anything else."""
    with suppress(ValueError):
        document = response.json()
        if isinstance(document, dict):
            return cast("dict[str, Any]", document)
    return {}
