"""Writing to stdout and stderr: colour only on terminals, no digit cut off, a closed pipe raised as an error."""

import errno
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

from balancekit.cli.messages import describe_failures
from balancekit.cli.stream_errors import OutputError, discard_unwritten, writing
from balancekit.http.messages import excerpt
from balancekit.money.layout import ISOLATES

# rich is imported where it is used: JSON and CSV do not need it, and importing it takes a fifth of a command's time.
if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from balancekit.money.merged import MergedBalances

ERROR_STYLE: Final = "bold red"
_MAX_LINE_LENGTH: Final = 2000
# Wider than any table.
_WIDTH_OF_PIPE: Final = 100_000


def make_console(stream: TextIO) -> "Console":
    """Return a console that reads no markup, and writes no escape codes to a pipe or if NO_COLOR is set."""
    from rich.console import Console

    class RaisingConsole(Console):
        # rich would exit with 1, which means here that no account could be read.
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    plain = bool(os.environ.get("NO_COLOR"))
    console = RaisingConsole(
        file=stream, markup=False, highlight=False, emoji=False, color_system=None if plain else "auto"
    )
    if console.is_dumb_terminal:
        # rich takes each such terminal to be 80 wide.
        with suppress(OSError):
            console.size = os.get_terminal_size(stream.fileno())
    return console


def print_table(table: "RenderableType") -> None:
    """Write a table to stdout; in a pipe nothing is wrapped.

    What cannot be made narrow enough for a terminal is wrapped by the terminal, so that every digit is shown.
    """
    out = make_console(sys.stdout)
    if not out.is_terminal:
        out.width = _WIDTH_OF_PIPE
    with writing("stdout"):
        out.print(table, crop=False)
        sys.stdout.flush()


def echo(text: str, style: str = "", *, wraps: bool = False) -> None:
    """Write the program's own text to stdout, with a line break; if it `wraps`, between words on a terminal."""
    from rich.text import Text

    out = make_console(sys.stdout)
    with writing("stdout"):
        out.print(Text(text, style), soft_wrap=not (wraps and out.is_terminal))
        sys.stdout.flush()


def write_raw(data: str) -> None:
    """Write data to stdout unchanged, in UTF-8 whatever the terminal's encoding is."""
    with writing("stdout"):
        sys.stdout.buffer.write(data.encode())
        sys.stdout.buffer.flush()


def echo_error(message: str, style: str = "") -> None:
    """Write one line to stderr, wrapped between words on a terminal; characters that are not printable become `?`."""
    from rich.text import Text

    console = make_console(sys.stderr)
    # There is no better place to say that stderr cannot be written.
    with suppress(OutputError), writing("stderr"):
        line = excerpt(message, _MAX_LINE_LENGTH, kept=ISOLATES)
        console.print(Text(line, style), soft_wrap=not console.is_terminal)


def wrap_message(message: str, head: str) -> str:
    """Return a message that is written to stderr below a head, wrapped between words if that is a terminal."""
    from rich.text import Text

    console = make_console(sys.stderr)
    if not console.is_terminal:
        return message
    lines = Text(head + message).wrap(console, console.width)
    return "\n".join(line.plain.rstrip() for line in lines).removeprefix(head)


def end_interrupted_line() -> None:
    """Begin a new line after the `^C` that a terminal shows of Ctrl-C."""
    if sys.stderr.isatty():
        echo_error("")


def echo_failures(merged: "MergedBalances") -> None:
    """Write to stderr which accounts could not be read and why; the last line says which ones the totals lack."""
    for line in describe_failures(merged.failures):
        echo_error(line)
    notice = merged.notice
    if notice is not None:
        echo_error(notice, ERROR_STYLE)


def echo_exception(error: BaseException) -> None:
    """Write to stderr why a command ends early; nothing if the reader closed the pipe."""
    if isinstance(error, BrokenPipeError):
        discard_unwritten()
    elif isinstance(error, KeyboardInterrupt):
        end_interrupted_line()
        echo_error("Interrupted.")
    elif isinstance(error, SystemExit):
        echo_error("Error: an adapter raised SystemExit", ERROR_STYLE)
    else:
        if isinstance(error, OutputError):
            discard_unwritten()
        for line in str(error).splitlines():
            echo_error(f"Error: {line}", ERROR_STYLE)
