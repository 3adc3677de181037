"""Threads that go on when a command has shown its result: those of an adapter may never end."""

import os
import sys
import threading
import time
from contextlib import suppress
from typing import Final

_GRACE: Final = 1.0
"""How many seconds threads have to end in after the result was shown."""


def end_process_if_threads_go_on(code: object) -> None:
    """End the process, with the exit code of a `SystemExit`, if the interpreter would wait for threads that go on."""
    if not _any_goes_on():
        return
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else bool(code))


def _any_goes_on() -> bool:
    ends_at = time.monotonic() + _GRACE
    others = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for thread in others:
        thread.join(max(0.0, ends_at - time.monotonic()))
    return any(thread.is_alive() for thread in others)
