"""A progress bar on stderr."""

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# So few accounts are read before a progress bar could be noticed.
_MAX_WITHOUT_PROGRESS: Final = 5


@contextmanager
def progress(what: str, count: int) -> "Generator[Callable[[], None], None, None]":
    """Show how many of the accounts are done; on a terminal, if they are many, and if no log says it of each."""
    is_logged = logging.getLogger("balancekit").isEnabledFor(logging.DEBUG)
    if count <= _MAX_WITHOUT_PROGRESS or is_logged or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from balancekit.cli.output import make_console

    # So short that the `^C` of Ctrl-C stands on the same line of a narrow terminal, and is erased with it.
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, console=make_console(sys.stderr), transient=True) as progress:
        task = progress.add_task(what, total=count)
        yield lambda: progress.advance(task)
