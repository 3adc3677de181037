"""Reading the text of a configuration, or of a secret: a regular file of UTF-8, neither waited for nor endless."""

import codecs
import os
import stat
from pathlib import Path
from typing import Final

from balancekit.config.problems import ConfigProblem

_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)  # Windows has none.


def expand_home(path: Path) -> Path:
    """Return a path in which `~` is the home folder."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigProblem("the home folder that ~ stands for is unknown") from None


def read_text(path: Path, limit: int, description: str) -> str:
    """Return the text of a file of at most so many bytes."""
    try:
        # Opened without waiting for the other end of a FIFO.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(limit + 1) if stat.S_ISREG(mode) else b""
    except (OSError, ValueError) as error:
        # A path with a null character is a ValueError.
        raise ConfigProblem(f"{description} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        raise ConfigProblem(f"{description} is {'a FIFO' if stat.S_ISFIFO(mode) else 'a device'}, not a regular file")
    return decode(content, limit, description)


def decode(content: bytes, limit: int, description: str) -> str:
    """Return the text that at most so many bytes hold."""
    if len(content) > limit:
        raise ConfigProblem(f"{description} is larger than {limit} bytes")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigProblem(f"{description} is UTF-16 text; save it as UTF-8")
    if b"\0" in content:
        raise ConfigProblem(f"{description} contains null characters, as UTF-16 text does; save it as UTF-8")
    try:
        # Windows editors begin a file with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigProblem(f"{description} is not UTF-8 text") from None
