"""How names, numbers and amounts are written in a line: in columns, and so that no name moves what is around it."""

import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from balancekit.money.amounts import format_amount

MAX_NAMES: Final = 10
"""How many names a line has, unless it says another number; the number of the others follows."""

ISOLATES: Final = "\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
"""What stands before and after a name that would reorder the line."""

_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_WITHOUT_WIDTH: Final = frozenset({"Mn", "Me", "Cf"})


def align_decimal_points(amounts: Iterable[Decimal], most: int | None = None) -> list[str]:
    """Write amounts in plain notation with every digit, padded so that their decimal points stand in one column.

    With `most`, amounts with more characters than that before or after the point stand out.
    """
    halves = [format_amount(amount).partition(".") for amount in amounts]
    before = _greatest((len(whole) for whole, _, _ in halves), most)
    after = _greatest((len(point + rest) for _, point, rest in halves), most)
    return [f"{whole:>{before}}{point + rest:<{after}}" for whole, point, rest in halves]


def align_names(names: Sequence[str], most: int | None = None) -> list[str]:
    """Return names padded to one width; with `most`, those that are wider than that stand out."""
    widths = [*map(_columns, names)]
    width = _greatest(widths, most)
    return [name + " " * (width - own) for name, own in zip(names, widths, strict=True)]


def isolate(name: str) -> str:
    """Return a code or a label so that it neither reorders nor moves what is around it.

    Letters that are written from right to left would reorder it, and many blanks would move it to another line.
    """
    name = " ".join(name.split())
    if name.isascii() or not any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in name):
        return name
    return name.join(ISOLATES)


def one_line(text: str, *, kept: str = "") -> str:
    """Return untrusted text as one printable line, in which the characters `kept` may be too."""
    line = " ".join(text.split())
    return "".join(each if each.isprintable() or each in kept else "?" for each in line)


def name_some(names: Sequence[str], most: int = MAX_NAMES) -> str:
    """Return names in one line: as many as `most`, and how many more there are."""
    more = len(names) - most
    shown = ", ".join(map(isolate, names[:most]))
    return f"{shown} and {more} more" if more > 0 else shown


def pluralize(count: int, noun: str) -> str:
    """Return a number with its noun: `1 account`, `3 accounts`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _greatest(lengths: Iterable[int], most: int | None) -> int:
    return max((length for length in lengths if most is None or length <= most), default=0)


def _columns(name: str) -> int:
    if name.isascii():
        return len(name)
    wide = sum(unicodedata.east_asian_width(character) in {"F", "W"} for character in name)
    return len(name) + wide - sum(unicodedata.category(character) in _WITHOUT_WIDTH for character in name)
