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
from benchmarks.timing import in_turn

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


async def laps_while(monkeypatch, stolen, *, rounds):
    """Time a way that takes one second of a clock of its own, while the host takes so much in each round."""
    clock, taken, called = 0.0, 0.0, 0
    monkeypatch.setattr("benchmarks.timing.time.perf_counter", lambda: clock)
    monkeypatch.setattr("benchmarks.timing._stolen", lambda: taken)

    async def way():
        nonlocal clock, taken, called
        clock += 1
        taken += stolen[called]
        called += 1

    laps = await in_turn({"way": way}, rounds=rounds)
    assert laps.seconds == {"way": pytest.approx([1.0] * rounds)}
    return called, [round(lap.stolen, 3) for lap in laps.of["way"]]


async def test_rounds_that_the_host_left_alone_are_not_repeated(monkeypatch):
    """The first, which warms up, is not counted."""
    assert await laps_while(monkeypatch, [0.5, 0, 0.01, 0], rounds=3) == (4, [0, 0, 0.01])


async def test_a_round_that_the_host_disturbed_is_repeated(monkeypatch):
    """It does not count, whatever was measured in it."""
    assert await laps_while(monkeypatch, [0, 0.3, 0, 0.2, 0], rounds=2) == (5, [0, 0])


async def test_a_host_that_never_rests_ends_the_repeating(monkeypatch):
    """After twice as many rounds as were asked for the calmest of them count."""
    assert await laps_while(monkeypatch, [0, 0.3, 0.1, 0.5, 0.2], rounds=2) == (5, [0.1, 0.2])
