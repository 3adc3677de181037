"""Reading what was written to a pseudo-terminal: one read may end anywhere, within a character, too."""

import os


def read_until(terminal, text):
    """Return what was written to a terminal, when it has a text; OSError if nobody can write it any more."""
    shown = b""
    while text.encode() not in shown:
        shown += os.read(terminal, 65536)
    return shown.decode(errors="replace")


def read_all(terminal):
    """Return all that was written to a terminal, when nobody can write any more, and close it."""
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            os.close(terminal)
            return shown.decode()
