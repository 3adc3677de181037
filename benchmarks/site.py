"""The server as a process of its own, on a core of its own where the system allows it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import attrs

from benchmarks.certificate import write_certificate

_ROOT: Final = Path(__file__).parents[1]


@attrs.define
class Site:
    """The addresses of the server, and the path of the certificate that its clients trust."""

    http: str
    https: str
    certificate: Path
    _asked_at: float = 0.0
    _used: float = 0.0

    def usage(self) -> float:
        """Return the share of a core that the server has used since this was asked before."""
        with urlopen(f"{self.http}/usage") as response:
            used, now = json.load(response), time.perf_counter()
        share = (used - self._used) / (now - self._asked_at)
        self._used, self._asked_at = used, now
        return share


@contextmanager
def running_site() -> Iterator[Site]:
    """Run the server, keep this process off its core, and end it."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with tempfile.TemporaryDirectory() as folder:
        certificate, chain = write_certificate(Path(folder))
        command = [sys.executable, "-m", "benchmarks.server", "--certificate", str(chain)]
        if len(cores) > 1:
            command += ["--core", str(cores[-1])]
            os.sched_setaffinity(0, cores[:-1])
        with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            ports = json.loads(process.stdout.readline())
            try:
                yield Site(f"http://127.0.0.1:{ports['http']}", f"https://127.0.0.1:{ports['https']}", certificate)
            finally:
                process.stdin.close()
                if cores:
                    os.sched_setaffinity(0, cores)
