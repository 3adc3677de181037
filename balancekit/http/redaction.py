"""Redaction: taking secrets out of text and exceptions, in case a server sends back what it received."""

import asyncio
import json
import math
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar, cast

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit import errors
from balancekit.errors import AuthenticationError, BalancekitError, ProviderError
from balancekit.http.echoes import KnownNames
from balancekit.http.messages import MAX_EXCERPT, Request, excerpt
from balancekit.http.quotations import Secrets, decodings
from balancekit.http.secret import Secret
from balancekit.http.words import NOT_SHOWN, only_words

_MIN_SECRET_LENGTH: Final = 4

_MIN_ATTRIBUTE_LENGTH: Final = 8
"""The length from which on a text that an adapter keeps, and that is not marked as a secret, may be one."""

_MAX_VALUES: Final = 1_000
"""How many values of an adapter are searched for secrets."""

_PACKAGE: Final = str(Path(__file__).parents[1])

_FOREIGN: Final = (sys.stdlib_module_names | {"aiohttp", "cryptography"}) - {"types"}
"""Where the classes are from whose objects are not searched: they hold no secret, or not as text."""

_PUBLIC_HEADERS: Final = frozenset({"accept", "content-type", "user-agent"})

_MIN_WORD_LENGTH: Final = 12

_VALUE: Final = re.compile(r"[^\s\"'{}\[\]:,&=;<>]+")
"""A value in a body, whether that is JSON, a form or text."""

_PUBLIC_VALUES: Final = frozenset({"client_assertion", "client_credentials", "client_secret", "refresh_token"})
"""Names of RFC 6749 and RFC 7521 in a request for a token: codes of errors, such as `invalid_client`, repeat them."""

_WORDS: Final = re.compile(r"[A-Za-z._-]+")
"""A part of a path that is hardly a secret, such as `account.balance.getMany`."""

_CREDENTIAL: Final = re.compile(
    r"(?:auth|cookie|credential|key|password|secret|sign|token)(?!.*(?:id|method|name|user)$)", re.IGNORECASE
)
"""What is in the name of a header, or of a parameter in the query, that holds a credential."""

_LABELS: Final = frozenset({"account", "provider"})

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict[str]())

_OURS: Final = frozenset(errors.BY_NAME.values())

_EXITS: Final = frozenset({asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit})

_STATUSES: Final = range(100, 1000)

_MAX_SHOWN: Final = 1_000
"""How many characters of an adapter's own message are kept."""
_Error = TypeVar("_Error", bound=BaseException)
_Fact = TypeVar("_Fact")


def secrets_of(adapter: object, *requests: Request) -> Secrets:
    """Return all that must not be shown of an adapter and of the requests that it has built for one read.

    Of the adapter that is what its attributes hold, at any depth: the texts marked as secrets, and the others but for
    labels, short ones and the harmless parts of URLs. Of a request it is the values of its query and headers, and
    the tokens in path and body: texts that are too long for a word, or long and with digits. The parts of a header's
    value between blanks count too, since a server may send a token back without its scheme.
    """
    found: set[str] = set()
    # An adapter may be of any kind, and have built any request. What has been found by then counts.
    with suppress(Exception):
        found.update(_texts_in(adapter))
    for request in requests:
        for read in (_values_of_headers, _values_of_url, _values_of_body):
            with suppress(Exception):
                found.update(read(request))
    labels: set[object] = set()
    with suppress(Exception):
        labels.update(getattr(adapter, name, None) for name in _LABELS)
    return Secrets(text for text in found if len(text) >= _MIN_SECRET_LENGTH and text not in labels)


def credentials_of(adapter: object, *requests: Request) -> Secrets:
    """Return the texts that are marked as secrets of an adapter, and what requests have under the name of a credential.

    No response repeats these as the name of something. It may well repeat other values, such as the id of an account.
    """
    found: set[str] = set()
    with suppress(Exception):
        found.update(_texts_in(adapter, marked_only=True))
    for request in requests:
        with suppress(Exception):
            named = (*request.headers.items(), *URL(request.url, encoded=True).query.items())
            for value in (value for name, value in named if _CREDENTIAL.search(name)):
                found.update((value, *value.split()))
    return Secrets(found)


def _values_of_headers(request: Request) -> Iterator[str]:
    for name, value in request.headers.items():
        if name.lower() not in _PUBLIC_HEADERS:
            yield value
            for part in value.split():
                yield part
                # A user and a password.
                for decoded in decodings(part):
                    with suppress(UnicodeDecodeError):
                        yield from decoded.decode().split(":")


def _values_of_url(request: Request) -> Iterator[str]:
    return _secrets_in_url(URL(request.url, encoded=True))


def _values_of_body(request: Request) -> Iterator[str]:
    # An adapter may have forgotten to encode it.
    content = cast("object", request.body)
    body = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
    words = (word for word in _VALUE.findall(body) if word not in _PUBLIC_VALUES)
    return (word for word in words if _is_token(word) or word == body)


def _secrets_in_url(url: URL) -> Iterator[str]:
    yield from (*url.query.values(), url.user or "", url.password or "")
    for part in (*url.path.split("/"), *url.raw_path.split("/")):
        if _is_token(part) and not _WORDS.fullmatch(part):
            yield part


def _is_token(text: str) -> bool:
    has_digits = any(character.isdigit() for character in text)
    return len(text) >= (_MIN_ATTRIBUTE_LENGTH if has_digits else _MIN_WORD_LENGTH)


def _texts_in(adapter: object, *, marked_only: bool = False) -> Iterator[str]:
    pending = [value for name, value in _attributes_of(adapter) if name not in _LABELS]
    seen: set[int] = set()
    while pending and len(seen) < _MAX_VALUES:
        # In the order of their depth.
        value = pending.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if not isinstance(value, Secret) and hasattr(value, "get_secret_value"):
            # Pydantic's, and what imitates it.
            value = Secret(value)
        if isinstance(value, Secret):
            with suppress(TypeError):
                yield from value.reveal().split()
        elif isinstance(value, str | bytes | URL):
            if not marked_only:
                yield from _texts_of(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
        elif isinstance(value, Mapping):
            pending += cast("Mapping[object, object]", value).values()
        elif isinstance(value, Sequence | AbstractSet):
            pending += cast("Iterable[object]", value)
        elif not isinstance(value, KnownNames) and _package_of(value) not in _FOREIGN:
            pending += (held for _, held in _attributes_of(value))


def _texts_of(text: str) -> Iterator[str]:
    for part in text.split():
        if "://" in part or part.startswith("/"):
            with suppress(ValueError):
                yield from _secrets_in_url(URL(part))
        elif len(part) >= _MIN_ATTRIBUTE_LENGTH:
            yield part


def _attributes_of(value: object) -> Iterator[tuple[str, object]]:
    names = dict.fromkeys(name for kind in type(value).__mro__ for name in _slots(kind))
    for name in {**names, **getattr(value, "__dict__", {})}:
        with suppress(Exception):
            yield name, getattr(value, name)


def _slots(kind: type) -> Iterable[str]:
    slots: str | Iterable[str] = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def redact(text: str, secrets: Iterable[str] | Secrets) -> str:
    """Return the start of a text with `***` in place of the secrets, and `…` for all that may quote one in any way."""
    return Secrets.of(secrets).redact(text)


def sanitize_exception(error: _Error, *, except_for: BaseException | None = None) -> _Error:
    """Take what holds a request or a response from an exception and from those it came from: frames, headers, bodies.

    `except_for`, and what that came from itself, is left as it is.
    """
    for link in walk_exception_chain(error, except_for=except_for):
        # Not by its own attribute: a frozen exception refuses to be changed.
        BaseException.with_traceback(link, None)
        if isinstance(link, aiohttp.ClientResponseError):
            info = link.request_info
            # The path and the query may hold a token.
            url = info.real_url.origin()
            link.request_info = aiohttp.RequestInfo(url, info.method, _NO_HEADERS, url)
            link.args = (link.request_info, ())
            link.history = ()
            # A proxy may send back the password that it was sent.
            link.headers = None
            is_proxy = isinstance(link, aiohttp.ClientHttpProxyError)
            # What aiohttp cannot read of a response it quotes in its message.
            link.message = "the proxy refused" if is_proxy else _words_of(link)
        elif isinstance(link, HttpProcessingError):
            link.message, link.args = _words_of(link), ()
            for name in ("hdr", "headers", "line"):
                vars(link).pop(name, None)
        elif isinstance(link, UnicodeEncodeError):
            link.object, link.args = "", ()
        elif isinstance(link, UnicodeDecodeError):
            link.object, link.args = b"", ()
        elif isinstance(link, AttributeError):
            link.obj = None
        elif isinstance(link, json.JSONDecodeError):
            link.doc = ""
    return error


def _words_of(link: aiohttp.ClientResponseError | HttpProcessingError) -> str:
    return only_words(str(getattr(link, "message", ""))[: 4 * MAX_EXCERPT])


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


def attach_cause(error: _Error, raised: BaseException, secrets: Iterable[str] | Secrets = ()) -> _Error:
    """Make an adapter's own exception the cause of an error, and its message and place a note and a part of the hint.

    The exception is sanitized, and its message redacted; `_clean` says which one is dropped.
    """
    secrets = Secrets.of(secrets)
    frames = traceback.extract_tb(raised.__traceback__)
    own_text = ""
    with suppress(Exception):
        own_text = excerpt(secrets.redact(str(raised)))
    # Where the adapter is, rather than where a library is that it has called.
    outside = [frame.filename for frame in frames if not frame.filename.startswith(_PACKAGE)][:1]
    for frame in [frame for frame in frames if not outside or frame.filename in outside][-1:]:
        note = f"Look at {frame.filename}:{frame.lineno} in {frame.name}, which raised {type(raised).__name__}"
        note = f"{note}: {own_text}" if own_text else note
        error.add_note(note)
        if isinstance(error, ProviderError):
            error.hint = f"{note}. {error.hint}" if error.hint else note
    error.__cause__ = clean(raised, secrets)
    return error


def error_like(raised: BaseException, secrets: Secrets, *, account: str, provider: str) -> BalancekitError:
    """Return an error that says what an adapter's own says: of the nearest class of ours, redacted, its facts checked.

    The adapter's object is dropped: it may refuse to be changed, or fail whenever it is shown.
    """
    kind = next((kind for kind in type(raised).__mro__ if kind in _OURS), ProviderError)
    message = _message_of(raised, secrets)
    if issubclass(kind, ProviderError):
        status = _fact(raised, "status", int)
        error: BalancekitError = kind(
            message,
            account=account,
            provider=provider,
            status=None if status is None or status not in _STATUSES else int(status),
            code=_text_of(raised, "code", secrets),
            retryable=_fact(raised, "retryable", bool),
            hint=_text_of(raised, "hint", secrets),
            retry_after=_number_of(raised, "retry_after"),
        )
        if isinstance(error, AuthenticationError):
            error.clock_offset = _number_of(raised, "clock_offset")
    else:
        error = kind(message)
    with suppress(Exception):
        for note in getattr(raised, "__notes__", ()):
            error.add_note(secrets.redact(str(note)))
    error.__cause__ = clean(_fact(raised, "__cause__", BaseException), secrets)
    error.__context__ = clean(_fact(raised, "__context__", BaseException), secrets)
    return error


def exit_like(raised: BaseException, secrets: Secrets) -> BaseException:
    """Return what ends a task or the program as an adapter's own exception does, with redacted arguments."""
    kind = next((kind for kind in type(raised).__mro__ if kind in _EXITS), BaseException)
    return kind(*(_plain(value, secrets) for value in cast("tuple[object, ...]", raised.args)))


def _message_of(raised: BaseException, secrets: Secrets) -> str:
    shown = ""
    with suppress(Exception):
        # The text of a ProviderError has the account and the hint in it.
        text = raised.args[0] if isinstance(raised, ProviderError) else raised
        shown = excerpt(secrets.redact(str(text)), _MAX_SHOWN)
    return shown or f"the adapter raised {type(raised).__name__}"


def _fact(error: BaseException, name: str, kind: type[_Fact]) -> _Fact | None:
    """Return an attribute of an adapter's error, None if it is of another type or cannot be read."""
    with suppress(Exception):
        value = getattr(error, name)
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
    return None


def _text_of(error: BaseException, name: str, secrets: Secrets) -> str | None:
    text = _fact(error, name, str)
    return None if text is None else excerpt(secrets.redact(str(text)), _MAX_SHOWN)


def _number_of(error: BaseException, name: str) -> float | None:
    with suppress(Exception):
        number = float(cast("float", _fact(error, name, object)))
        return number if math.isfinite(number) else None
    return None


def _plain(value: object, secrets: Secrets) -> str | float | None:
    """Return a text or a number, redacted; of anything else its repr."""
    if value is None or isinstance(value, bool | int | float):
        return value
    try:
        return secrets.redact(value if isinstance(value, str) else repr(value))
    except Exception:  # noqa: BLE001 - an adapter's object may raise anything
        return NOT_SHOWN


def clean(raised: BaseException | None, secrets: Secrets) -> BaseException | None:
    """Return an exception sanitized, or None if it or one that it came from has anything but words and numbers.

    None too for a class of an adapter's own, whose objects may fail whenever they are shown.
    """
    with suppress(Exception):
        links = [] if raised is None else list(walk_exception_chain(raised))
        if links and all(_package_of(link) in _FOREIGN | {__name__.partition(".")[0]} for link in links):
            sanitize_exception(links[0])
            return raised if all(_is_clean(link, secrets) for link in links) else None
    return None


def _is_clean(link: BaseException, secrets: Secrets) -> bool:
    values = [str(link), *(value for _, value in _attributes_of(link)), *_arguments_of(link)]
    return all(_is_short(value) and _plain(value, secrets) == value for value in values)


def _arguments_of(error: BaseException) -> tuple[object, ...]:
    # The members of a group, which are among its arguments, are links themselves.
    return error.args[:1] if isinstance(error, BaseExceptionGroup) else error.args


def _package_of(value: object) -> str:
    return type(value).__module__.partition(".")[0]


def _is_short(value: object) -> bool:
    return not isinstance(value, str) or len(value) <= MAX_EXCERPT


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
