"""What stdout and stderr are made to do where they cannot take what is written."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path


def escape_unencodable() -> None:
    """Write characters that the terminal's encoding lacks as escapes, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence_broken_pipes() -> None:
    """Send nowhere what is left for a reader that has gone: the interpreter would try it at its end, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
