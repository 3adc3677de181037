"""Requests, responses and what their parts mean: values and pure functions, no I/O."""

import contextlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, Final, cast

import attrs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit import wire
from balancekit.errors import (
    AuthenticationError,
    BadRequestError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    ServiceUnavailableError,
    UnexpectedRedirectError,
)

MAX_EXCERPT: Final = 200
"""How many characters of an answer a message may show."""

MAX_ERROR_BODY: Final = 64 * 2**10
"""How many bytes of an error's body are read at all: more than any message may show."""

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_MAX_CODE: Final = 64
_SHORTEST_SECRET: Final = 4
_PUBLIC_HEADERS: Final = frozenset({"accept", "content-type", "user-agent"})
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_BARE_CODE: Final = re.compile(rf"[!-~]{{1,{_MAX_CODE}}}")

# A run of backslashes is as many levels of quoting; `\\u005c` is a backslash itself, which may begin another escape.
_ESCAPE: Final = re.compile(r"\\+(?:u([0-9a-fA-F]{4}))?")
_MOST_ESCAPES: Final = 4

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


def _in_any_case(headers: Mapping[str, str]) -> Mapping[str, str]:
    return headers if isinstance(headers, CIMultiDictProxy) else CIMultiDictProxy(CIMultiDict(headers))


def _without_query(url: str) -> str:
    return repr(url.partition("?")[0])


@attrs.frozen
class Request:
    """One request, ready to be sent as it is: what was signed is what goes out.

    Headers and body are credentials or may hold them, so no repr shows them.
    """

    method: str
    url: str = attrs.field(repr=_without_query)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Response:
    """The answer to one request, read to its end. Header names are looked up in any case."""

    status: int
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, converter=_in_any_case, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)

    def json(self) -> Any:  # noqa: ANN401 - JSON is any of its types
        """Decode the body with every number exact: integers as `int`, others as their text.

        Raises ValueError if the body is not UTF-8 JSON.
        """
        return wire.decode_json(self.body)


@attrs.frozen
class ErrorDetail:
    """What an answer says about what went wrong: the provider's code, and words for people."""

    code: str | None = None
    message: str | None = None


def check_base_url(base_url: object) -> str:
    """Return a base URL without the slash at its end.

    Raises ValueError unless it is `https://` (or `http://` to a loopback address, since credentials and balances would
    cross the network in the clear) with a host and nothing after the path.
    """
    try:
        # yarl takes blanks and control characters in a host.
        shown = isinstance(base_url, str) and base_url.isprintable() and " " not in base_url
        url = URL(base_url) if isinstance(base_url, str) and shown else None
    except ValueError:
        url = None
    # The URL itself is not shown: a password may stand in it.
    if url is None or url.host is None or url.scheme not in {"http", "https"}:
        raise ValueError("expected an https:// URL with a host")
    if url.user is not None or url.password is not None:
        raise ValueError("credentials do not belong in the URL")
    if url.query_string or url.fragment or str(base_url).endswith(("?", "#")):
        raise ValueError("nothing may follow the path")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError(
            f"http:// to {url.host} would send credentials in the clear: use https://, "
            "or http:// to a loopback address such as 127.0.0.1"
        )
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, by a loopback address or as `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def excerpt(text: str | bytes, limit: int = MAX_EXCERPT) -> str:
    """Return the start of what a stranger sent as one short printable line."""
    if isinstance(text, bytes):
        text = text.lstrip()[: 4 * limit].decode("utf-8", "replace")
    line = " ".join(text.lstrip()[: 4 * limit].split())
    shown = "".join(character if character.isprintable() else "?" for character in line)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


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


def secrets_in(request: Request) -> frozenset[str]:
    """Return what must not be shown of a request: the values of its headers and its query, their words, its body."""
    values = {value for name, value in request.headers.items() if name.lower() not in _PUBLIC_HEADERS}
    values |= {word for value in values for word in value.split()}
    values |= {*URL(request.url, encoded=True).query.values(), request.body.decode("utf-8", "replace")}
    return frozenset(value for value in values if len(value) >= _SHORTEST_SECRET)


def without(text: str, secrets: Iterable[str]) -> str:
    """Blot out what was sent as a secret, in upper or lower case, should a server send it back in words of its own."""
    # The longest first, since one may be a part of another.
    words = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    return re.sub(words, "***", text, flags=re.IGNORECASE) if words else text


def blotted(response: Response, secrets: Iterable[str]) -> Response:
    """Return a response without the secrets in its headers and body, however JSON may have escaped them there.

    Of the body, the first `MAX_ERROR_BODY` bytes are kept.
    """
    body = response.body[:MAX_ERROR_BODY]
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        # Written anew, since `/` may have come as `\\/`, and any character by its number.
        text = json.dumps(wire.decode_json(body), ensure_ascii=False)
    secrets = tuple(secrets)
    text = without(text, {*secrets, *(json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets)})
    # What is not whole JSON has its escapes still, and so has JSON quoted in JSON: whoever reads it undoes them.
    for undo in (_without_backslashes, _unescaped):
        bare_text, bare_secrets = undo(text), tuple(map(undo, secrets))
        if (blotted_text := without(bare_text, bare_secrets)) != bare_text:
            text = blotted_text
    headers = {name: without(value, secrets) for name, value in response.headers.items()}
    return Response(response.status, headers, text.encode("utf-8", "replace"))


def _without_backslashes(text: str) -> str:
    return text.replace("\\", "")


def _unescaped(text: str) -> str:
    for _ in range(_MOST_ESCAPES):
        if "\\" not in text:
            break
        text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else "", text)
    return _without_backslashes(text)


def error_class(status: int) -> type[ProviderError]:
    """Return the class of error that a status other than success stands for."""
    by_class = _ERRORS_BY_CLASS.get(status // 100, MalformedResponseError)
    return _ERRORS_BY_STATUS.get(status, by_class)


def usual_hint(status: int) -> str | None:
    """Return what to do about a status, whichever provider it comes from."""
    return _HINTS.get(status) or _HINTS_BY_CLASS.get(status // 100)


def parse_date(value: str | None) -> float | None:
    """Return the Unix seconds of an HTTP date, such as that of a `Date` header; None if it is no date."""
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait: a number of seconds, or a date.

    `now` is in Unix seconds. A date that has passed is 0; what is neither is None.
    Source: RFC 9110, section 10.2.3.
    """
    text = "" if value is None else value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = parse_date(text)
    return None if moment is None else max(0.0, moment - now)
