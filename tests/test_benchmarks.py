"""The benchmarks: the chart is that of the results, and what is compared does the duty; nothing here is timed."""

import json

import pytest

from benchmarks.accounts import exact_totals, make_accounts
from benchmarks.chart import CHART, RESULTS, draw
from benchmarks.contenders.checked import Checked
from benchmarks.contenders.library import Library
from benchmarks.contenders.naive import Naive
from benchmarks.contenders.raw import Raw
from benchmarks.contenders.tuned import Tuned
from benchmarks.figures import BOUNDS
from benchmarks.site import running_site

KINDS = [Raw, Tuned, Naive, Checked, Library]


@pytest.fixture(scope="module")
def site():
    """Run the stand-in server."""
    with running_site() as site:
        yield site


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
async def test_totals_are_exact(site, kind):
    """A contender's totals are those of its accounts, on new connections and on open ones."""
    accounts = make_accounts(6, currencies=30)
    contender = kind(site.http, accounts)

    fetched = [await contender.fetch(), await contender.fetch()]

    await contender.aclose()
    assert [dict(one.totals) for one in fetched] == [exact_totals(accounts)] * 2


def test_chart_is_of_the_results():
    """The chart that is shown is drawn from the results that are kept."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))

    chart = draw(results)

    assert chart == CHART.read_text(encoding="utf-8")


def test_results_have_every_promised_measure():
    """Whatever is held to a bound is among the results, with that bound beside it."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))

    measured = {one["name"]: (one["must"], one["aim"]) for one in results["measures"] if "must" in one}

    assert measured == {name: (bound.must, bound.aim) for name, bound in BOUNDS.items()}
