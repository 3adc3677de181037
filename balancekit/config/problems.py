"""What is wrong in a configuration: all of it at once, each mistake with the line of the key that it is about."""

import difflib
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Final

import attrs

from balancekit.http.secret import looks_like_words

_MAX_LABELS: Final = 10

Path = tuple[str, ...]
"""The keys that lead to a value of the document: `("accounts", "shop-eu", "secret")`."""


class ConfigProblem(Exception):  # noqa: N818 - it never leaves this package
    """One thing that is wrong; the code that catches it adds where that is."""

    def within(self, place: str) -> "ConfigProblem":
        """Return the same problem with the name of its part of the file in front."""
        return ConfigProblem(f"{place}: {self}")


class ConfigProblems(Exception):  # noqa: N818 - the same
    """Everything that is wrong, a line for each."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__(*lines)


@attrs.define
class Problems:
    """The problems that were found so far."""

    # A mapping: in a list, each problem would be compared with all before.
    _found: dict[tuple[Path, str], None] = attrs.field(factory=dict[tuple[Path, str], None], init=False)

    def add(self, path: Path, text: str) -> None:
        """Add a problem of the value at a path, once."""
        self._found[path, text] = None

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self, line_of: Callable[[], Callable[[Path], int | None]]) -> None:
        """Raise ConfigProblems in the order of the file, if there are any; `line_of` finds the line of a path."""
        if not self._found:
            return
        find = line_of()
        numbered = sorted(((find(path) or 0, text) for path, text in self._found), key=lambda found: found[0])
        raise ConfigProblems(f"{line or ''}{':' if line else ''} {text}" for line, text in numbered)


def nearest(key: str, known: Collection[str]) -> str | None:
    """Return the known name that a key is probably meant to be, if any."""
    return next(iter(difflib.get_close_matches(key, known, n=1)), None)


def unknown_label(label: str, known: Collection[str]) -> str:
    """Return the message about a label that no account has."""
    close = nearest(label, known)
    shown = ", ".join(map(repr, islice(known, _MAX_LABELS))) or "none"
    more = f" and {len(known) - _MAX_LABELS} more" if len(known) > _MAX_LABELS else ""
    meant = f"did you mean {close!r}?" if close else f"there are {shown}{more}"
    return f"no account is labelled {label!r}; {meant}"


def unknown_key(key: str, known: Collection[str], *, hidden: str = "a key") -> str:
    """Return the message about a key, or another name, that there is not; `hidden` stands for one that is not shown."""
    close = nearest(key, known)
    meant = f"did you mean {close!r}?" if close else f"there are {', '.join(known)}"
    # The secret itself may stand here by mistake.
    return f"{repr(key) if looks_like_words(key) else hidden} is unknown; {meant}"
