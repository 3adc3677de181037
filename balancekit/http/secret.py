"""A secret: text that is shown nowhere unless it is revealed by name."""

import re
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, NoReturn, cast, final

_MASK: Final = "***"
_HEADER_TEXT: Final = "expected visible ASCII characters without blanks"
_WORD: Final = r"(?:(?:[A-Z]?[a-z]{0,12}|[A-Z]{1,12})[0-9]{0,2}|[0-9]{1,4})"
# One match for the whole name: a name may have a hundred parts. Possessive, so that none is tried twice.
_WORDS: Final = re.compile(rf"(?:{_WORD}(?:[\W_]+|\Z))*+")

_reveals: Final[ContextVar[set[str] | None]] = ContextVar("_reveals", default=None)


@contextmanager
def noting_reveals() -> Generator[set[str]]:
    """Give a set to which all texts but an empty one are added that secrets reveal in the block."""
    noted: set[str] = set()
    token = _reveals.set(noted)
    try:
        yield noted
    finally:
        _reveals.reset(token)


def looks_like_words(name: str) -> bool:
    """Whether a name may be shown where a secret may stand by mistake: it consists of short words, as names do.

    A random secret has digits among its letters, or more letters without a break.
    """
    return _WORDS.fullmatch(name) is not None


def is_quoted(text: str) -> bool:
    """Whether there are quotes around a text, as an env file has them for a shell and other readers leave them."""
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"


def is_secret(value: object) -> bool:
    """Whether a value is a `Secret`, or pydantic's `SecretStr` and what imitates it.

    Its class says so: an object may make any attribute when it is asked for one, and send a request for it.
    """
    return isinstance(value, Secret) or callable(getattr(type(value), "get_secret_value", None))


@final
class Secret:
    """Text that no repr, log line, format, traceback with captured locals or pickle shows.

    Only `reveal` returns it. Two secrets are equal only if they are the same object, so that comparing them reveals
    nothing of their content.
    """

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        # Any value is hidden first and checked later: a check that raised here would show it in the traceback.
        self._value = value
        if is_secret(value):
            with suppress(Exception):
                self._value = cast("Any", value).get_secret_value()

    @classmethod
    def of(cls, value: object) -> "Secret":
        """Hide a value, or return the secret that already hides it."""
        return value if isinstance(value, Secret) else cls(value)

    def problem(self, *, header: bool = False) -> str | None:
        """Return what is wrong with the hidden value as a credential, without showing it; None if nothing is.

        It has to be one line of text without blanks or quotes around it. `header`: of visible ASCII characters only, so
        that it can be sent in a header.
        """
        value = self._value
        if not isinstance(value, str):
            return f"expected text, got {'None' if value is None else type(value).__name__}"
        lines = len(value.splitlines())
        problems = (
            (not value, "expected text, got an empty one"),
            # A byte of an environment variable that is not UTF-8 arrives as half of a surrogate pair.
            ("Cs" in map(unicodedata.category, value), "expected text that UTF-8 can write"),
            (value != value.strip(), _HEADER_TEXT if header else "expected text without blanks around it"),
            (is_quoted(value), "there are quotes around it; remove them"),
            (lines > 1, f"expected one line, got {lines}"),
            (header and not all("!" <= character <= "~" for character in value), _HEADER_TEXT),
            ("Cc" in map(unicodedata.category, value), "expected text without control characters"),
        )
        return next((message for found, message in problems if found), None)

    def key_problem(self, expected: str) -> str:
        """Return the message about a hidden value that holds no cryptographic key, without showing it."""
        value = self._value
        reason = None if isinstance(value, str) and len(value.splitlines()) > 1 else self.problem()
        return f"expected {expected}{f' ({reason})' if reason else ''}"

    def reveal(self) -> str:
        """Return the hidden text; TypeError if it is not a string."""
        # In no local variable, which the error would show.
        if not isinstance(self._value, str):
            raise TypeError("the secret is not a string")
        noted = _reveals.get()
        if noted is not None and self._value:
            noted.add(self._value)
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
