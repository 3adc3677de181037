"""The standings of the contenders as a bar chart, drawn from the JSON of a run: `python -m benchmarks.chart`."""

import json
from html import escape
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results.json"
CHART: Final = HERE / "chart.svg"

_WIDTH, _LABELS, _BARS, _STEP, _TOP = 720, 220, 400, 30, 52

_TITLE: Final = "Time to read 1000 accounts of 20 currencies over open connections; tuned aiohttp takes 1"
_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.quiet { fill: #59636e }
rect { fill: #8c959f }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  rect { fill: #656c76 }
  .ours { fill: #4493f8 }
}"""


def draw(results: dict[str, Any]) -> str:
    """Return the chart as SVG: a bar a contender, quickest first, as long as its time."""
    standings = sorted(results["contenders"], key=lambda one: one["ratio"]["median"])
    longest = max(one["ratio"]["median"] for one in standings)
    height = _TOP + _STEP * len(standings) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_TITLE}">',
        f"<style>\n{_STYLE}\n</style>",
        f'<text class="title" x="0" y="16">{_TITLE}</text>',
        f'<text class="quiet" x="0" y="36">{escape(_circumstances(results))}</text>',
    ]
    for place, one in enumerate(standings):
        parts += _bar(one, _TOP + _STEP * place, _BARS * one["ratio"]["median"] / longest)
    return "\n".join([*parts, "</svg>", ""])


def _bar(one: dict[str, Any], top: int, length: float) -> list[str]:
    ours = ' class="ours"' if one["name"] == "balancekit" else ""
    figure = f"{one['ratio']['median']:.2f}" + ("" if one["exact"] else ", totals not exact")
    return [
        f'<text x="{_LABELS - 10}" y="{top + 15}" text-anchor="end">{escape(one["name"])}</text>',
        f'<rect{ours} x="{_LABELS}" y="{top}" width="{length:.1f}" height="20" rx="2"/>',
        f'<text class="quiet" x="{_LABELS + length + 8:.1f}" y="{top + 15}">{figure}</text>',
    ]


def _circumstances(results: dict[str, Any]) -> str:
    machine = results["machine"]
    return f"{results['date']}, {machine['python']}, {machine['cores']} cores, loopback, plain HTTP"


def main() -> None:
    """Draw the chart of the results that are stored."""
    CHART.write_text(draw(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
