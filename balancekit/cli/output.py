"""Writing to stdout and stderr: colour only for terminals, no digit cut off, a reader that leaves early noticed."""

import errno
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

from balancekit.cli.messages import describe_failure, incomplete_notice
from balancekit.cli.stream_errors import silence_broken_pipes
from balancekit.http.messages import excerpt

# JSON and CSV need nothing of it, and it takes a fifth of the time that the command does.
if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from balancekit.money.merge import MergedBalances

ERROR_STYLE: Final = "bold red"
_MAX_LINE_LENGTH: Final = 2000
# Wider than any table, so that rich measures how wide it would like to be.
_MAX_TABLE_WIDTH: Final = 100_000


def make_console(stream: TextIO) -> "Console":
    """Return a console that takes no text for markup and writes no escape codes to a pipe, or where NO_COLOR is set."""
    from rich.console import Console

    class RaisingConsole(Console):
        # rich would exit with 1, which here means that nothing could be read.
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    plain = bool(os.environ.get("NO_COLOR"))
    return RaisingConsole(
        file=stream, markup=False, highlight=False, emoji=False, color_system=None if plain else "auto"
    )


def print_table(table: "RenderableType") -> None:
    """Write a table to stdout, wider than the terminal if that is what its numbers need.

    A terminal wraps lines that are too long for it, so no digit is lost; in a pipe nothing is wrapped at all.
    """
    from rich.measure import Measurement

    out = make_console(sys.stdout)
    needed = Measurement.get(out, out.options.update_width(_MAX_TABLE_WIDTH), table)
    out.width = max(out.width, needed.minimum if out.is_terminal else needed.maximum)
    out.print(table)
    sys.stdout.flush()


def echo(text: str, style: str = "") -> None:
    """Write text of the program's own to stdout, with a line break; nothing is wrapped."""
    from rich.text import Text

    make_console(sys.stdout).print(Text(text, style), soft_wrap=True)
    sys.stdout.flush()


def write_raw(data: str) -> None:
    """Write data to stdout exactly as it is, in UTF-8 whatever the terminal's encoding is."""
    sys.stdout.buffer.write(data.encode())
    sys.stdout.buffer.flush()


def echo_error(message: str, style: str = "") -> None:
    """Write one line to stderr; what is not printable in it is shown as `?`, and nothing is wrapped."""
    from rich.text import Text

    make_console(sys.stderr).print(Text(excerpt(message, _MAX_LINE_LENGTH), style), soft_wrap=True)


def echo_failures(merged: "MergedBalances") -> None:
    """Write to stderr which accounts could not be read and why; the last line says what the totals lack."""
    for failure in merged.failures:
        echo_error(describe_failure(failure))
    gap = incomplete_notice(merged)
    if gap is not None:
        echo_error(gap, ERROR_STYLE)


def echo_exception(error: BaseException) -> None:
    """Write to stderr why a command ends early; nothing if nobody is there to read what it writes."""
    if isinstance(error, BrokenPipeError):
        silence_broken_pipes()
    elif isinstance(error, KeyboardInterrupt):
        echo_error("Interrupted.")
    else:
        for line in str(error).splitlines():
            echo_error(f"Error: {line}", ERROR_STYLE)
