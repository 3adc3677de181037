"""A fetch of 1000 accounts over open connections: all contenders, then balancekit and *checked* by currencies."""

import asyncio

from benchmarks.accounts import Account, exact_totals, make_accounts
from benchmarks.contenders.checked import Checked
from benchmarks.contenders.contender import Contender, Fetched
from benchmarks.contenders.library import Library
from benchmarks.contenders.naive import Naive
from benchmarks.contenders.over_ccxt import Ccxt
from benchmarks.contenders.over_httpx import Httpx
from benchmarks.contenders.over_requests import PlainRequests, Requests
from benchmarks.contenders.raw import Raw
from benchmarks.contenders.tuned import Tuned
from benchmarks.figures import Figure, Results, Standing
from benchmarks.measures.run import Run
from benchmarks.timing import Watch, in_turn

_ALL: tuple[type[Contender], ...] = (Raw, Tuned, Naive, Checked, Library, Ccxt, Requests, PlainRequests, Httpx)


def measure(run: Run, results: Results) -> None:
    """Time every contender, check its totals, and see how busy the server was with it."""
    asyncio.run(_all(run, results))


async def _all(run: Run, results: Results) -> None:
    accounts = make_accounts(run.accounts(1000))
    contenders = [kind(run.site.http, accounts) for kind in _ALL]
    watches = {one.name: _Watch(one, run, accounts) for one in contenders}
    laps = await in_turn({one.name: one.fetch for one in contenders}, rounds=run.rounds, watches=watches)
    for one in contenders:
        await one.aclose()
    seconds, processor = laps.seconds, laps.processor
    tuned, ours = seconds[Tuned.name], seconds[Library.name]
    for name, watch in watches.items():
        milliseconds = Figure.of(1e3 * one for one in seconds[name])
        ratio, share = Figure.of_ratios(seconds[name], tuned), Figure.of(watch.shares[1:]).median
        results.standings.append(Standing(name, ratio, milliseconds, watch.exact, share))
    results.add("warm fetch / checked", Figure.of_ratios(ours, seconds[Checked.name]))
    results.add("warm fetch / tuned", Figure.of_ratios(ours, tuned))
    for kind in (Checked, Tuned):
        ratios = Figure.of_ratios(processor[Library.name], processor[kind.name])
        results.add(f"warm fetch / {kind.name}, processor time", ratios)
    results.add("warm fetch / raw protocol", Figure.of_ratios(ours, seconds[Raw.name]))
    results.add("times faster than ccxt", Figure.of_ratios(seconds[Ccxt.name], ours))
    results.add("times faster than requests", Figure.of_ratios(seconds[Requests.name], ours))
    results.add("times faster than requests, environment unread", Figure.of_ratios(seconds[PlainRequests.name], ours))
    results.add("times faster than httpx", Figure.of_ratios(seconds[Httpx.name], ours))


class _Watch(Watch):
    """One contender, whether all its totals have been exact, and the server's shares of a core."""

    def __init__(self, contender: Contender, run: Run, accounts: tuple[Account, ...]) -> None:
        self._contender = contender
        self._site = run.site
        self._totals = exact_totals(accounts)
        self.exact = True
        self.shares: list[float] = []

    def before(self) -> None:
        self._site.usage()

    def after(self, fetched: Fetched) -> None:
        self.shares.append(self._site.usage())
        self.exact &= dict(fetched.totals) == self._totals


def measure_currencies(run: Run, results: Results) -> None:
    """Time balancekit and *checked* with few currencies an account and with many."""
    # Of many currencies fewer accounts are enough: the balances are as many as with twenty.
    for count, accounts in ((3, 1000), (20, 1000), (200, 100)):
        seconds = asyncio.run(_pair(run, make_accounts(run.accounts(accounts), currencies=count)))
        results.add(f"{count} currencies / checked", Figure.of_ratios(*seconds))


def measure_changes(run: Run, results: Results) -> None:
    """Time balancekit and *checked* where every amount has changed since the last fetch."""
    seconds = asyncio.run(_pair(run, make_accounts(run.accounts(1000), changes=True)))
    results.add("every amount changed / checked", Figure.of_ratios(*seconds))


async def _pair(run: Run, accounts: tuple[Account, ...]) -> tuple[list[float], list[float]]:
    ours, theirs = Library(run.site.http, accounts), Checked(run.site.http, accounts)
    laps = await in_turn({"ours": ours.fetch, "theirs": theirs.fetch}, rounds=run.rounds)
    await ours.aclose()
    await theirs.aclose()
    return laps.seconds["ours"], laps.seconds["theirs"]
