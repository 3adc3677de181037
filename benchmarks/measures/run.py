"""One run of the program: how thorough it is, where the server is, and how other processes are started."""

import os
import subprocess
import sys
from collections.abc import Mapping

import attrs

from benchmarks.site import Site


@attrs.frozen
class Run:
    """How often each contender is timed, with how many accounts at most, and where they are read."""

    site: Site
    rounds: int
    most_accounts: int = 10_000

    def accounts(self, count: int) -> int:
        """Return how many accounts to read instead of that many: fewer in a quick run."""
        return min(count, self.most_accounts)


def python(*arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run a new interpreter and return its output; its errors are shown."""
    environment = {**os.environ, **(environ or {})}
    # An installed package comes with its bytecode; one in a working tree has it once it was imported.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
