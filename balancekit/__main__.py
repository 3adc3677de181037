"""The command `balancekit`, also as `python -m balancekit`."""

import os
import sys
from contextlib import suppress
from typing import Final

from balancekit.version import __version__

_GRACE: Final = 1.0
"""How many seconds threads have to end in after the result was shown."""


def main() -> None:
    """Run the command line; if its dependencies are missing, print how to install them and exit with 2."""
    # Without click this takes a tenth of the time, which scripts that check the version notice. What cannot be written
    # is left to the command, which says so.
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        try:
            sys.stdout.write(f"balancekit, version {__version__}\n")
            sys.stdout.flush()
        except OSError:
            pass
        else:
            sys.exit(0)
    from importlib.util import find_spec

    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"The balancekit command needs {' and '.join(missing)}. Install it with: pip install 'balancekit[cli]'\n"
        )
        sys.exit(2)
    from balancekit.cli import cli

    try:
        cli(prog_name="balancekit")
    except SystemExit as ended:
        if _has_endless_threads():
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(ended.code if isinstance(ended.code, int) else bool(ended.code))
        raise


def _has_endless_threads() -> bool:
    """Whether threads have not ended soon: an adapter may wait in one, and the interpreter would wait for it."""
    import threading
    import time

    ends_at = time.monotonic() + _GRACE
    others = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for thread in others:
        thread.join(max(0.0, ends_at - time.monotonic()))
    return any(thread.is_alive() for thread in others)


if __name__ == "__main__":
    main()
