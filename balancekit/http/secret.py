"""A secret: text that is shown nowhere unless it is revealed by name."""

from typing import Final, NoReturn, final

_MASK: Final = "***"


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

    @classmethod
    def of(cls, value: object) -> "Secret":
        """Hide a value, or return the secret that already hides it."""
        return value if isinstance(value, Secret) else cls(value)

    @property
    def is_text(self) -> bool:
        """Whether the hidden value is a non-empty string without blanks around it, which UTF-8 can write."""
        value = self._value
        if not isinstance(value, str) or not value or value != value.strip():
            return False
        # A byte of an environment variable that is not UTF-8 arrives as half of a surrogate pair.
        return not any("\ud800" <= character <= "\udfff" for character in value)

    @property
    def is_header_text(self) -> bool:
        """Whether the hidden value can be sent as a header's value: visible ASCII characters only."""
        value = self._value
        return isinstance(value, str) and value != "" and all("!" <= character <= "~" for character in value)

    def reveal(self) -> str:
        """Return the hidden text; TypeError if it is not a string."""
        value = self._value
        if isinstance(value, str):
            return value
        raise TypeError("the secret is not a string")

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
