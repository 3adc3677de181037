"""What a kept balance takes, and what streaming takes when its caller keeps nothing: each in a process of its own."""

import json
from typing import Any

from benchmarks.figures import Figure, Results
from benchmarks.measures.run import Run, python

# A process is its own warm-up, and the figures hardly differ.
_TIMES = 3


def measure_kept(run: Run, results: Results) -> None:
    """Weigh the merged balances of 10,000 accounts, in resident memory and in what Python allocated."""
    count = str(run.accounts(10_000))
    for way, name in (("resident", "memory a kept balance"), ("traced", "memory a kept balance, traced")):
        weights = [_run("kept", count, way) for _ in range(min(run.rounds, _TIMES))]
        results.add(name, Figure.of(weights), "bytes")


def measure_stream(run: Run, results: Results) -> None:
    """Compare the high-water marks of 10,000 accounts and 100 above what there was before."""
    few, many = [], []
    for _ in range(min(run.rounds, _TIMES)):
        few.append(_run("streamed", run.site.http, "100"))
        many.append(_run("streamed", run.site.http, str(run.accounts(10_000))))
    results.add("stream() memory, 10,000 / 100 accounts", Figure.of_ratios(many, few))
    results.add("stream() memory, 100 accounts", Figure.of(one / 2**20 for one in few), "MiB")
    results.add("stream() memory, 10,000 accounts", Figure.of(one / 2**20 for one in many), "MiB")


def _run(program: str, *arguments: str) -> Any:  # noqa: ANN401 - JSON is any of its types
    return json.loads(python("-m", f"benchmarks.programs.{program}", *arguments))
