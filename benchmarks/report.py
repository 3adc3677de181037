"""The results as a table for the terminal and as JSON for keeping."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.figures import BOUNDS, Figure, Results

_LIBRARIES: Final = "balancekit aiohttp attrs cattrs ccxt cryptography httpx orjson requests uvloop".split()  # noqa: SIM905 - shorter


def to_json(results: Results, *, rounds: int) -> dict[str, Any]:
    """Return all facts of the run, without any that identifies the machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": rounds,
        "machine": {
            "cores": os.cpu_count(),
            "cpu": _cpu(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": f"{platform.python_implementation()} {platform.python_version()}",
        },
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name)) is not None},
        "contenders": [
            {
                "name": one.name,
                "ratio": _rounded(one.ratio),
                "milliseconds": _rounded(one.milliseconds),
                "exact": one.exact,
                "server_share": round(one.server_share, 2),
            }
            for one in results.standings
        ],
        "measures": [_measure(name, unit, figure) for name, (unit, figure) in results.figures.items()],
    }


def to_text(results: dict[str, Any]) -> str:
    """Return the table of a run."""
    lines = [f"{'contender':44} {'ratio to tuned':>24} {'ms':>8} {'server':>7}  totals"]
    for one in results["contenders"]:
        share = f"{one['server_share']:.0%}"
        exact = "exact" if one["exact"] else "not exact"
        lines.append(
            f"{one['name']:44} {_spread(one['ratio']):>24} {one['milliseconds']['median']:8.1f} {share:>7}  {exact}"
        )
    lines.append("")
    lines.append(f"{'measure':76} {'median (lowest to highest)':>32} {'must':>6} {'aim':>6}  met")
    for one in results["measures"]:
        bounds = f"{one['must']:6} {one['aim']:6}  {one['met']}" if "must" in one else ""
        lines.append(f"{one['name']:76} {_spread(one) + ' ' + one['unit']:>32} {bounds}".rstrip())
    return "\n".join(lines)


def _measure(name: str, unit: str, figure: Figure) -> dict[str, Any]:
    document: dict[str, Any] = {"name": name, "unit": unit, **_rounded(figure)}
    bound = BOUNDS.get(name)
    if bound is not None:
        document |= {**attrs.asdict(bound), "met": bound.met(document["median"])}
    return document


def _rounded(figure: Figure) -> dict[str, float]:
    return {
        name: float(f"{value:.3g}") if abs(value) < 1e3 else round(value)
        for name, value in attrs.asdict(figure).items()
    }


def _spread(figure: dict[str, float]) -> str:
    return f"{figure['median']:g} ({figure['lowest']:g} to {figure['highest']:g})"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
