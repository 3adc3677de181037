"""What is added to the time that the provider takes: two accounts at 200 ms, and a thousand at 50 ms."""

import asyncio
from functools import partial

from benchmarks.accounts import make_accounts
from benchmarks.contenders.library import Library
from benchmarks.contenders.tuned import Tuned
from benchmarks.figures import Figure, Results
from benchmarks.measures.run import Run
from benchmarks.timing import in_turn

_DELAY = 200
_SHORT_DELAY = 50
_CONCURRENCY = 100


def measure(run: Run, results: Results) -> None:
    """Time two slow accounts over open connections, and with a client that is new each time."""
    asyncio.run(_two(run, results))


async def _two(run: Run, results: Results) -> None:
    accounts = make_accounts(2, delay=_DELAY)
    ours, theirs = Library(run.site.http, accounts), Tuned(run.site.http, accounts)
    ways = {
        "2 accounts at 200 ms, warm": ours.fetch,
        "2 accounts at 200 ms, cold": partial(Library.fetch_anew, run.site.http, accounts),
        "2 accounts at 200 ms, warm: tuned": theirs.fetch,
        "2 accounts at 200 ms, cold: tuned": partial(Tuned.fetch_anew, run.site.http, accounts),
    }
    for name, seconds in (await in_turn(ways, rounds=run.rounds)).seconds.items():
        results.add(name, Figure.of(1e3 * one - _DELAY for one in seconds), "ms over 200")
    await ours.aclose()
    await theirs.aclose()


def measure_many(run: Run, results: Results) -> None:
    """Time a thousand accounts that take 50 ms each against the time that a concurrency of 100 must take."""
    asyncio.run(_many(run, results, ""))
    try:
        from uvloop import new_event_loop
    except ImportError:
        return
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_many(run, results, ", uvloop"))


async def _many(run: Run, results: Results, loop: str) -> None:
    accounts = make_accounts(run.accounts(1000), delay=_SHORT_DELAY)
    ours, theirs = Library(run.site.http, accounts), Tuned(run.site.http, accounts)
    ideal = _SHORT_DELAY / 1e3 * max(len(accounts) / _CONCURRENCY, 1)
    laps = await in_turn({"": ours.fetch, ": tuned": theirs.fetch}, rounds=run.rounds)
    for whose, taken in laps.seconds.items():
        results.add(f"1000 accounts at 50 ms / ideal{loop}{whose}", Figure.of(one / ideal for one in taken))
    await ours.aclose()
    await theirs.aclose()
