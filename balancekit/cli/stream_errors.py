"""stdout and stderr that cannot encode a character, are closed, are full, or whose reader closed the pipe.

Apart from `output`, because every command calls this before anything heavy is imported.
"""

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from typing import Final, NoReturn

CANNOT_WRITE: Final = frozenset({errno.EBADF, errno.EFBIG, errno.EIO, errno.ENOSPC})
"""The errors of a stream that is closed, or of a disk that is full or broken."""


class OutputError(Exception):
    """What was to be written could not be, for the reason of the operating system."""


class _ClosedStream(TextIOBase):
    """Stands in for a stream that was closed before the command began; the interpreter has None there."""

    def write(self, _: object) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    @property
    def buffer(self) -> "_ClosedStream":
        return self


@contextmanager
def writing(name: str) -> Generator[None]:
    """Make an OutputError of what writing raises, except of a closed pipe."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{name}: {error.strerror or error}") from None


def prepare_streams() -> None:
    """Let stdout and stderr write a character that their encoding lacks as an escape instead of raising.

    If stdout is closed, writing to it raises OSError; what would go to a closed stderr is dropped. A closed stdin is
    an empty one.
    """
    # The interpreter has None for a stream that was closed.
    if sys.stdout is None:
        sys.stdout = _ClosedStream()
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - the same
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # It writes what is still to be written, which may fail: then the command fails, and says so.
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")


def discard_unwritten() -> None:
    """Discard what could not be written: the interpreter would flush it at exit and print an error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as devnull:
                os.dup2(devnull.fileno(), stream.fileno())
