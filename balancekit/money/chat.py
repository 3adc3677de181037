"""Lines as messages of a chat: each within the chat's limit, and each with the notice of what is missing. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from balancekit.errors import ConfigError

TextStyle = Literal["plain", "telegram", "discord", "discord_embed"]
"""How messages are marked up: not at all, as HTML for Telegram, or as a block of code for Discord."""

# Where there is more than one message, or currencies may be left out, the details or a frame may take a quarter of a
# message, and a frame this many UTF-16 units in any case.
_SHARE: Final = 4
_SHORT_FRAME: Final = 200


def _escape_html(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escape_discord(line: str) -> str:
    # With a blank of no width, no three backticks end the block, and no mention reaches anybody.
    return line.replace("`", "`\u200b").replace("@", "@\u200b")


# Named tuples, since a class of attrs takes a millisecond to make, and every program imports this module.
class _Style(NamedTuple):
    limit: int | None
    before: str
    after: str
    escape: Callable[[str], str]


_STYLES: Final[dict[str, _Style]] = {
    "plain": _Style(None, "", "", str),
    "telegram": _Style(4096, "<pre>", "</pre>", _escape_html),
    "discord": _Style(2000, "```\n", "\n```", _escape_discord),
    "discord_embed": _Style(4096, "```\n", "\n```", _escape_discord),
}


class CurrencyLine(NamedTuple):
    """A line about a currency; one that is `kept` is never left out."""

    text: str
    kept: bool = False


class Frame(NamedTuple):
    """What each message has around its lines: what a view is of, and the notice. An empty text is none."""

    scope: str = ""
    notice: str = ""

    @property
    def length(self) -> int:
        """How many UTF-16 units it adds to a message with other lines."""
        return sum(1 + count_units(line) for line in self if line)


class Bounds:
    """What messages must keep to: each of them its `limit` in UTF-16 units, and the rest all of them together.

    Raises ConfigError for an unknown style, for a bound that is not a whole number from 1, and for a limit above the
    style's own, which is the limit unless one is given.
    """

    def __init__(
        self,
        style: str = "plain",
        limit: int | None = None,
        max_parts: int | None = None,
        max_total: int | None = None,
        max_lines: int | None = None,
    ) -> None:
        if style not in _STYLES:
            raise ConfigError(f"style must be one of {', '.join(_STYLES)}, not {style!r}")
        bounds = {"limit": limit, "max_parts": max_parts, "max_total": max_total, "max_lines": max_lines}
        for name, value in bounds.items():
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigError(f"{name} must be a whole number from 1, not {value!r}")
        self._style = _STYLES[style]
        if limit is not None and self._style.limit is not None and limit > self._style.limit:
            raise ConfigError(f"limit must be at most {self._style.limit} with the style {style}, not {limit}")
        self._markup = len(self._style.before) + len(self._style.after)
        most = self._style.limit if limit is None else limit
        self.room: float = float("inf") if most is None else most - self._markup
        """How long the text within the mark-up of one message may be."""
        self.may_omit: bool = (max_parts, max_total, max_lines) != (None, None, None)
        """Whether there is a bound for which currencies may be left out."""
        self._max_parts, self._max_total, self._max_lines = max_parts, max_total, max_lines

    def escape(self, line: str) -> str:
        """Return a line so that it cannot end the mark-up around it."""
        return self._style.escape(line)

    def check_limit(self, lines: Iterable[str], frame: Frame) -> None:
        """Raise ConfigError unless each line fits into a message, together with the frame."""
        least = max(map(count_units, lines), default=-1) + frame.length
        if least > self.room:
            raise ConfigError(
                f"limit must be at least {least + self._markup}, not {self.room + self._markup}: the longest line and "
                "the notice need as much"
            )

    def admit(self, messages: Sequence[str], lines: int) -> bool:
        """Return whether messages with so many lines about currencies keep to the bounds on all of them."""
        return (
            (self._max_parts is None or len(messages) <= self._max_parts)
            and (self._max_total is None or sum(map(count_units, messages)) <= self._max_total)
            and (self._max_lines is None or lines <= self._max_lines)
        )

    def pack(self, lines: Iterable[str], frame: Frame) -> list[str] | None:
        """Return the fewest messages that have the lines, in order, each in the frame; None if a line is too long."""
        style = self._style
        room = self.room - frame.length
        packed: list[list[str]] = [[]]
        used = -1
        for line in lines:
            length = count_units(line)
            if length > room:
                return None
            if used + 1 + length > room:
                packed.append([])
                used = -1
            packed[-1].append(line)
            used += 1 + length
        return [
            style.before + "\n".join(filter(None, (frame.scope, *part, frame.notice))) + style.after for part in packed
        ]


def count_units(text: str) -> int:
    """Return the length of a text in UTF-16 units, as Telegram counts it; it is never less than `len(text)`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def make_messages(
    currencies: Sequence[CurrencyLine], details: Sequence[Sequence[str]], frames: Sequence[Frame], bounds: Bounds
) -> list[str]:
    """Return messages with the lines about currencies in order, then the details, and each in a frame.

    `details` and `frames` are alternatives, the longest first. Only where there is a bound on all messages together,
    currencies that are not kept give way to a line that says how many.

    Raises ConfigError if the bounds have no room for what must be there.
    """
    escape = bounds.escape
    currencies = [CurrencyLine(escape(line.text), line.kept) for line in currencies]
    texts = [line.text for line in currencies]
    details = [[*map(escape, lines)] for lines in details]
    frames = [Frame(escape(frame.scope), escape(frame.notice)) for frame in frames]

    # One message with everything, if there is room.
    whole = bounds.pack([*texts, *details[0]], frames[0])
    if whole is not None and len(whole) == 1 and bounds.admit(whole, len(texts)):
        return whole
    # Otherwise the longest frame and details that leave enough room for currencies.
    bounds.check_limit(texts, frames[-1])
    longest = max(map(count_units, texts), default=-1)
    for frame in frames:
        if frame != frames[-1] and (
            frame.length > max(bounds.room // _SHARE, _SHORT_FRAME) or longest + frame.length > bounds.room
        ):
            continue
        for lines in details:
            if bounds.may_omit and count_units("\n".join(lines)) > bounds.room // _SHARE:
                continue
            messages = _with_most(currencies, lines, frame, bounds)
            if messages is not None:
                return messages
    raise _too_small(currencies, frames[-1], bounds)


def _with_most(
    currencies: Sequence[CurrencyLine], details: Sequence[str], frame: Frame, bounds: Bounds
) -> list[str] | None:
    """Return messages with as many currencies as there is room for; None if there is none for those that are kept."""
    others = [index for index, line in enumerate(currencies) if not line.kept]

    def attempt(count: int) -> list[str] | None:
        lines = _without(currencies, {*others[count:]})
        messages = bounds.pack([*lines, *details], frame)
        return messages if messages is not None and bounds.admit(messages, len(lines)) else None

    best = attempt(len(others))
    if best is not None or not bounds.may_omit:
        return best
    least, most = 0, len(others) - 1
    while least <= most:
        middle = (least + most) // 2
        messages = attempt(middle)
        if messages is None:
            most = middle - 1
        else:
            best, least = messages, middle + 1
    return best


def _without(currencies: Sequence[CurrencyLine], omitted: set[int]) -> list[str]:
    lines = [line.text for index, line in enumerate(currencies) if index not in omitted]
    return [*lines, f"and {len(omitted)} more currenc{'y' if len(omitted) == 1 else 'ies'}"] if omitted else lines


def _too_small(currencies: Sequence[CurrencyLine], frame: Frame, bounds: Bounds) -> ConfigError:
    lines = _without(currencies, {index for index, line in enumerate(currencies) if not line.kept})
    bounds.check_limit(lines, frame)
    messages = bounds.pack(lines, frame) or []
    return ConfigError(
        f"the currencies that are kept need max_parts={len(messages)}, max_total={sum(map(count_units, messages))} and "
        f"max_lines={len(lines)}: allow more, or keep fewer"
    )
