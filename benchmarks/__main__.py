"""Runs the benchmarks: `python -m benchmarks`, or `nox -s bench`."""

import argparse
import json
import sys

from benchmarks.chart import CHART, RESULTS, draw
from benchmarks.figures import Results
from benchmarks.measures import MEASURES
from benchmarks.measures.run import Run
from benchmarks.report import to_json, to_text
from benchmarks.site import running_site


def main() -> None:
    """Take the measures, print their table, and keep the results and the chart if nothing was left out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="how often each contender is timed (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few rounds with fewer accounts, to see that it works")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="take this measure alone; repeatable")
    options = parser.parse_args()
    results = Results()
    rounds = 3 if options.quick else options.rounds
    with running_site() as site:
        run = Run(site, rounds, 200 if options.quick else 10_000)
        for name in options.only or MEASURES:
            print(f"measuring: {name}", file=sys.stderr)
            MEASURES[name](run, results)
    document = to_json(results, rounds=rounds)
    print(to_text(document))
    if not options.only and not options.quick:
        RESULTS.write_text(f"{json.dumps(document, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
        CHART.write_text(draw(document), encoding="utf-8")


if __name__ == "__main__":
    main()
