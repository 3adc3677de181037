"""stdout and stderr that cannot encode a character, or whose reader closed the pipe.

Apart from `output`, because every command calls this before anything heavy is imported.
"""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path


def escape_unencodable() -> None:
    """Let stdout and stderr write a character that their encoding lacks as an escape instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence_broken_pipes() -> None:
    """Discard what a closed pipe has left unwritten: the interpreter would flush it at exit and print an error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as devnull:
                os.dup2(devnull.fileno(), stream.fileno())
