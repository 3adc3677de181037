"""What it takes to import balancekit, each time in a fresh interpreter."""

from benchmarks.figures import Figure, Results
from benchmarks.measures.run import Run, python

_IMPORTS = {
    "ours": "import balancekit",
    "used": "from balancekit import AggregateClient, CryptoprocessingProvider",
    "theirs": "import aiohttp, attrs, cattrs",
}
_TIMED = "import time; begun = time.perf_counter(); {}; print(time.perf_counter() - begun)"


def measure(run: Run, results: Results) -> None:
    """Time the imports from within, so that the interpreter's own start is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for turn in range(run.rounds + 1):
        for name, statement in _IMPORTS.items():
            took = float(python("-c", _TIMED.format(statement)))
            if turn:
                seconds[name].append(took)
    results.add("import balancekit / aiohttp, attrs, cattrs", Figure.of_ratios(seconds["ours"], seconds["theirs"]))
    name = "from balancekit import AggregateClient, CryptoprocessingProvider / the same"
    results.add(name, Figure.of_ratios(seconds["used"], seconds["theirs"]))
    results.add("import balancekit", Figure.of(1e3 * one for one in seconds["ours"]), "ms")
