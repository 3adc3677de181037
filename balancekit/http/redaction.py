"""Redaction: taking secrets out of text, responses and exceptions, in case a server sends back what it received."""

import contextlib
import json
import re
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar, cast

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit.errors import ProviderError
from balancekit.http.messages import MAX_ERROR_BODY, MAX_EXCERPT, Request, Response, excerpt
from balancekit.http.quotations import Secrets
from balancekit.http.secret import Secret
from balancekit.money import exact_json

_MASK: Final = "***"

_MIN_SECRET_LENGTH: Final = 4

_MIN_ATTRIBUTE_LENGTH: Final = 8
"""The length from which on a text that an adapter keeps, and that is not marked as a secret, may be one."""

# What follows a usual prefix, and any long run of letters and digits.
_KEY: Final = re.compile(r"\b((?:[spr]k|whsec)_|Bearer |Basic )\S+|[\w+/=-]{20,}", re.IGNORECASE)

_PACKAGE: Final = str(Path(__file__).parents[1])

_PUBLIC_HEADERS: Final = frozenset({"accept", "content-type", "user-agent"})

_MIN_WORD_LENGTH: Final = 12

_VALUE: Final = re.compile(r"[^\s\"'{}\[\]:,&=;<>]+")
"""A value in a body, whether that is JSON, a form or text."""

_WORDS: Final = re.compile(r"[A-Za-z._-]+")
"""A part of a path that is hardly a secret, such as `account.balance.getMany`."""

NOT_SHOWN: Final = "(not shown: it contains a secret)"
"""What stands in place of text that quotes a secret in any other way than as it was sent."""

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict[str]())

_Error = TypeVar("_Error", bound=BaseException)


def sensitive_values(request: Request, kept: Collection[str] = ()) -> Secrets:
    """Return what must not be shown of a request: the values of its query and headers, and tokens in path and body.

    The parts of a header's value between blanks count too: a server may send a token back without its scheme. A token
    is what the adapter has `kept`, or what is too long for a word, or long and has digits.
    """
    url = URL(request.url, encoded=True)
    body = request.body.decode("utf-8", "replace")
    values = {value for name, value in request.headers.items() if name.lower() not in _PUBLIC_HEADERS}
    values |= {part for value in values for part in value.split()}
    values |= {*url.query.values(), url.user or "", url.password or ""}
    values |= {value for value in kept if value in url.path or value in body}
    values |= {
        part
        for part in (*url.path.split("/"), *url.raw_path.split("/"))
        if _is_token(part) and not _WORDS.fullmatch(part)
    }
    words = _VALUE.findall(body)
    values |= {word for word in words if _is_token(word) or word == body}
    return Secrets(value for value in values if len(value) >= _MIN_SECRET_LENGTH)


def _is_token(text: str) -> bool:
    has_digits = any(character.isdigit() for character in text)
    return len(text) >= (_MIN_ATTRIBUTE_LENGTH if has_digits else _MIN_WORD_LENGTH)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return text with *** in place of the secrets, in upper or lower case.

    Text that quotes one in any other way, in part or in another encoding, is not shown at all.
    """
    secrets = Secrets.of(secrets)
    masked = _mask(text, secrets)
    return NOT_SHOWN if secrets.quoted_in(masked) else masked


def _mask(text: str, secrets: Secrets) -> str:
    # The longest first, since one may be a part of another.
    pattern = "|".join(map(re.escape, secrets.in_plain(text)))
    return re.sub(pattern, _MASK, text, flags=re.IGNORECASE) if pattern else text


def redact_response(response: Response, secrets: Iterable[str]) -> Response:
    """Return a response without the secrets in its headers and body.

    Of the body, the first `MAX_ERROR_BODY` bytes are kept.
    """
    secrets = Secrets.of(secrets)
    body = response.body[:MAX_ERROR_BODY]
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        # Encoded again, since `/` may have come as `\\/`, and any character by its number.
        text = json.dumps(exact_json.decode_json(body), ensure_ascii=False)
    escaped = Secrets(json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets)
    text = redact(text, secrets) if escaped == secrets else redact(_mask(text, escaped), secrets)
    headers = {name: redact(value, secrets) for name, value in response.headers.items()}
    return Response(response.status, headers, text.encode("utf-8", "replace"))


def sanitize_exception(error: _Error, *, except_for: BaseException | None = None) -> _Error:
    """Take the frames, request headers and unencodable text from an exception and from those it came from.

    `except_for`, and what that came from itself, is left as it is.
    """
    for link in walk_exception_chain(error, except_for=except_for):
        link.__traceback__ = None
        if isinstance(link, aiohttp.ClientResponseError):
            info = link.request_info
            link.request_info = aiohttp.RequestInfo(info.url, info.method, _NO_HEADERS, info.real_url)
            link.args = (link.request_info, ())
            link.history = ()
            # A proxy may send back the password that it was sent.
            link.headers = None
            if isinstance(link, aiohttp.ClientHttpProxyError):
                link.message = "the proxy refused"
        elif isinstance(link, UnicodeEncodeError):
            link.object, link.args = "", ()
        elif isinstance(link, UnicodeDecodeError):
            link.object, link.args = b"", ()
    return error


class SanitizedExceptions:
    """A context manager that sanitizes what is raised in it: the frames of a connection, for example, hold a password.

    An exception that was being handled before the block keeps its frames, though it is the context of what is raised.
    """

    # Not made with `contextlib.contextmanager`, which would put the frames back.
    def __enter__(self) -> None:
        self._handled_before = sys.exception()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            sanitize_exception(error, except_for=self._handled_before)


def secrets_of(adapter: object) -> frozenset[str]:
    """Return the texts in an adapter's attributes that must not be shown: all but labels, URLs and short ones."""
    names = {*getattr(adapter, "__dict__", {}), *(name for kind in type(adapter).__mro__ for name in _slots(kind))}
    found: set[str] = set()
    pending: list[object] = [getattr(adapter, name, None) for name in names - {"account", "provider"}]
    while pending:
        value = pending.pop()
        if isinstance(value, Secret):
            with contextlib.suppress(TypeError):
                found |= {part for part in value.reveal().split() if len(part) >= _MIN_SECRET_LENGTH}
        elif isinstance(value, str | bytes):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            found |= {part for part in text.split() if len(part) >= _MIN_ATTRIBUTE_LENGTH and "://" not in part}
        elif isinstance(value, Mapping):
            pending += cast("Mapping[object, object]", value).values()
        elif isinstance(value, list | tuple):
            pending += cast("Sequence[object]", value)
    return frozenset(found)


def _slots(kind: type) -> Iterable[str]:
    slots: str | Iterable[str] = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def _mask_keys(text: str) -> str:
    """Return text without what looks like a key: an adapter may hold its own where nobody knows it."""
    return _KEY.sub(lambda run: _MASK if run[1] or not (run[0].isalpha() or run[0].isdigit()) else run[0], text)


def attach_cause(error: _Error, raised: BaseException, secrets: Collection[str] = ()) -> _Error:
    """Make an adapter's own exception the cause of an error, and its message and place a note and a part of the hint.

    The exception is sanitized; one that quotes a secret is dropped, and its message is redacted.
    """
    frames = traceback.extract_tb(raised.__traceback__)
    own_text = ""
    with contextlib.suppress(Exception):
        own_text = excerpt(_mask_keys(redact(str(raised), secrets)[: 4 * MAX_EXCERPT]))
    # Where the adapter is, rather than where a library is that it has called.
    outside = [frame.filename for frame in frames if not frame.filename.startswith(_PACKAGE)][:1]
    for frame in [frame for frame in frames if not outside or frame.filename in outside][-1:]:
        note = f"Look at {frame.filename}:{frame.lineno} in {frame.name}, which raised {type(raised).__name__}"
        note = f"{note}: {own_text}" if own_text else note
        error.add_note(note)
        if isinstance(error, ProviderError):
            error.hint = f"{note}. {error.hint}" if error.hint else note
    sanitize_exception(raised)
    error.__cause__ = None if quotes_any(secrets, raised) else raised
    return error


def redact_exception(error: _Error, secrets: Collection[str]) -> _Error:
    """Sanitize an exception, and redact the text and the attributes of it and of those it came from."""
    for link in walk_exception_chain(sanitize_exception(error)):
        # Some cannot be changed; `attach_cause` leaves them out.
        if _quotes_any(secrets, link):
            with contextlib.suppress(Exception):
                link.args = tuple(_redacted(value, secrets) for value in link.args)
                for name, value in vars(link).items():
                    setattr(link, name, [] if name == "__notes__" else _redacted(value, secrets))
                if isinstance(link, SystemExit):
                    link.code = cast("str | int | None", _redacted(link.code, secrets))
    return error


def _redacted(value: object, secrets: Collection[str]) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(value if isinstance(value, str) else repr(value), secrets)


def quotes_any(secrets: Collection[str], error: BaseException) -> bool:
    """Whether an exception, or one that it came from, has one of the secrets in its text or its attributes."""
    return any(_quotes_any(secrets, link) for link in walk_exception_chain(error))


def _quotes_any(secrets: Collection[str], link: BaseException) -> bool:
    if not secrets:
        return False
    try:
        text = f"{link} {link!r} {link.args!r} {vars(link)!r}"
    except Exception:  # noqa: BLE001 - an exception of an adapter's own may not even have a text
        return True
    secrets = Secrets.of(secrets)
    return bool(secrets.in_plain(text)) or secrets.quoted_in(text)


def walk_exception_chain(error: BaseException, *, except_for: BaseException | None = None) -> Iterator[BaseException]:
    """Give an exception and all that it came from: causes, contexts and the members of groups, each once.

    `except_for`, and what that came from itself, is left out.
    """
    seen = {id(except_for)}
    pending = [error]
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [other for other in (link.__cause__, link.__context__) if other is not None]
        if isinstance(link, BaseExceptionGroup):
            pending += cast("BaseExceptionGroup[BaseException]", link).exceptions
