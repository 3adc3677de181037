"""Redaction: taking secrets out of text and exceptions, in case a server sends back what it received."""

import asyncio
import json
import math
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar, cast

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from balancekit import errors
from balancekit.errors import AuthenticationError, BalancekitError, ProviderError
from balancekit.http.known_secrets import FOREIGN, attributes_of, package_of
from balancekit.http.messages import MAX_EXCERPT, excerpt
from balancekit.http.quotations import NO_SECRETS, Secrets
from balancekit.http.words import NOT_SHOWN, only_words

_PACKAGE: Final = str(Path(__file__).parents[1])

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict[str]())

_OURS: Final = frozenset(errors.BY_NAME.values())

_EXITS: Final = frozenset({asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit})

_STATUSES: Final = range(100, 1000)

_MAX_SHOWN: Final = 1_000
"""How many characters of an adapter's own message are kept."""
_Error = TypeVar("_Error", bound=BaseException)
_Fact = TypeVar("_Fact")


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


def attach_cause(error: _Error, raised: BaseException, secrets: Secrets = NO_SECRETS) -> _Error:
    """Make an adapter's own exception the cause of an error, and its message and place a note and a part of the hint.

    The exception is sanitized, and its message redacted; `clean` says which one is dropped.
    """
    frames = traceback.extract_tb(traceback_of(raised))
    own_text = own_text_of(raised, secrets)
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


def traceback_of(raised: BaseException) -> TracebackType | None:
    """Return the frames that Python keeps of an exception: its class may have anything under their name."""
    frames: TracebackType | None = vars(BaseException)["__traceback__"].__get__(raised)
    return frames


def own_text_of(raised: BaseException, secrets: Secrets) -> str:
    """Return what an adapter's own exception says, redacted; empty if that cannot be shown."""
    with suppress(Exception):
        return excerpt(secrets.redact(str(raised)))
    return ""


def error_like(raised: BaseException, secrets: Secrets, *, account: str, provider: str) -> BalancekitError:
    """Return an error that says what an adapter's own says: of the nearest class of ours, redacted, its facts checked.

    The adapter's object is dropped: it may refuse to be changed, or fail whenever it is shown.
    """
    kind = next((kind for kind in type(raised).__mro__ if kind in _OURS), ProviderError)
    message = _message_of(raised, secrets)
    if issubclass(kind, ProviderError):
        status = _fact(raised, "status", int)
        message, hint = secrets.redact_adjacent(message, _text_of(raised, "hint", secrets) or "")
        error: BalancekitError = kind(
            message,
            account=account,
            provider=provider,
            status=None if status is None or status not in _STATUSES else int(status),
            code=_text_of(raised, "code", secrets),
            retryable=_fact(raised, "retryable", bool),
            hint=hint or None,
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
    # Those that Python keeps: its class may have anything under that name.
    args: tuple[object, ...] = vars(BaseException)["args"].__get__(raised)
    return kind(*(_plain(value, secrets) for value in args))


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
    if value is None or isinstance(value, bool):
        return value
    # Without a class of the adapter's own, whose objects may show anything.
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
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
        if links and all(package_of(link) in FOREIGN | {__name__.partition(".")[0]} for link in links):
            sanitize_exception(links[0])
            return raised if all(_is_clean(link, secrets) for link in links) else None
    return None


def _is_clean(link: BaseException, secrets: Secrets) -> bool:
    values = [str(link), *(value for _, value in attributes_of(link)), *_arguments_of(link)]
    return all(_is_short(value) and _plain(value, secrets) == value for value in values)


def _arguments_of(error: BaseException) -> tuple[object, ...]:
    # The members of a group, which are among its arguments, are links themselves.
    return error.args[:1] if isinstance(error, BaseExceptionGroup) else error.args


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
