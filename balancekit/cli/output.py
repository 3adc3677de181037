"""Writing to stdout and stderr: colour only for terminals, no digit cut off, a reader that leaves early noticed."""

import errno
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

from balancekit.cli.messages import describe_failure, describe_gap
from balancekit.cli.stream_errors import abandon_closed
from balancekit.http.messages import excerpt

# JSON and CSV need nothing of it, and it takes a fifth of the time that the command does.
if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from balancekit.money.merge import MergedBalances

LOUD: Final = "bold red"
_LONGEST_LINE: Final = 2000
# Wider than any table, so that rich measures how wide it would like to be.
_UNBOUNDED: Final = 100_000


def console(stream: TextIO) -> "Console":
    """Return a console that takes no text for markup and writes no escape codes to a pipe, or where NO_COLOR is set."""
    from rich.console import Console

    class HonestConsole(Console):
        # rich would exit with 1, which here means that nothing could be read.
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    plain = bool(os.environ.get("NO_COLOR"))
    return HonestConsole(
        file=stream, markup=False, highlight=False, emoji=False, color_system=None if plain else "auto"
    )


def show(table: "RenderableType") -> None:
    """Write a table to stdout, wider than the terminal if that is what its numbers need.

    A terminal wraps lines that are too long for it, so no digit is lost; in a pipe nothing is wrapped at all.
    """
    from rich.measure import Measurement

    out = console(sys.stdout)
    needed = Measurement.get(out, out.options.update_width(_UNBOUNDED), table)
    out.width = max(out.width, needed.minimum if out.is_terminal else needed.maximum)
    out.print(table)
    sys.stdout.flush()


def say(text: str, style: str = "") -> None:
    """Write text of the program's own to stdout, with a line break; nothing is wrapped."""
    from rich.text import Text

    console(sys.stdout).print(Text(text, style), soft_wrap=True)
    sys.stdout.flush()


def write(data: str) -> None:
    """Write data to stdout exactly as it is, in UTF-8 whatever the terminal's encoding is."""
    sys.stdout.buffer.write(data.encode())
    sys.stdout.buffer.flush()


def tell(message: str, style: str = "") -> None:
    """Write one line to stderr; what is not printable in it is shown as `?`, and nothing is wrapped."""
    from rich.text import Text

    console(sys.stderr).print(Text(excerpt(message, _LONGEST_LINE), style), soft_wrap=True)


def tell_failures(merged: "MergedBalances") -> None:
    """Write to stderr which accounts could not be read and why; the last line says what the totals lack."""
    for failure in merged.failures:
        tell(describe_failure(failure))
    gap = describe_gap(merged)
    if gap is not None:
        tell(gap, LOUD)


def tell_error(error: BaseException) -> None:
    """Write to stderr why a command ends early; nothing if nobody is there to read what it writes."""
    if isinstance(error, BrokenPipeError):
        abandon_closed()
    elif isinstance(error, KeyboardInterrupt):
        tell("Interrupted.")
    else:
        for line in str(error).splitlines():
            tell(f"Error: {line}", LOUD)
