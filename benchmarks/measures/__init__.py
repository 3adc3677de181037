"""One module a subject: each has a function that measures it and adds what it found to the results."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from benchmarks.figures import Results
from benchmarks.measures import command, latency, memory, reading, secure, served, startup, warm
from benchmarks.measures.run import Run

MEASURES: Final[Mapping[str, Callable[[Run, Results], None]]] = MappingProxyType(
    {
        "warm": warm.measure,
        "currencies": warm.measure_currencies,
        "changes": warm.measure_changes,
        "latency": latency.measure,
        "many": latency.measure_many,
        "reading": reading.measure,
        "served": served.measure,
        "secure": secure.measure,
        "kept": memory.measure_kept,
        "stream": memory.measure_stream,
        "imports": startup.measure,
        "command": command.measure,
    }
)
"""Every measure by its name, in the order in which they are taken."""
