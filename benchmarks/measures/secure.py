"""https with handshakes and without, in a process of its own that trusts the server's certificate."""

import json

from benchmarks.figures import Figure, Results
from benchmarks.measures.run import Run, python


def measure(run: Run, results: Results) -> None:
    """Time 2 and 100 accounts over open connections, and with a client that is new each time."""
    for count in (2, 100):
        seconds = json.loads(
            python(
                *("-m", "benchmarks.programs.secure", run.site.https, str(count), str(run.rounds)),
                # aiohttp makes the context that it checks certificates by as it is imported.
                environ={"SSL_CERT_FILE": str(run.site.certificate)},
            )
        )
        for state in ("warm", "cold"):
            ours, theirs = seconds[f"balancekit {state}"], seconds[f"tuned {state}"]
            name = f"{count} accounts over https, {state}"
            results.add(f"{name} / tuned", Figure.of_ratios(ours, theirs))
            results.add(name, Figure.of(1e3 * one for one in ours), "ms")
