"""A fetch that may be served from memory, where the client can do that."""

import asyncio
import inspect
from typing import Any

from balancekit import AggregateClient
from benchmarks.accounts import make_accounts
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, Results
from benchmarks.measures.run import Run
from benchmarks.timing import in_turn


def measure(run: Run, results: Results) -> None:
    """Time it beside one that reads again."""
    if "max_age" in inspect.signature(AggregateClient.fetch).parameters:
        asyncio.run(_served(run, results))


async def _served(run: Run, results: Results) -> None:
    ours = Library(run.site.http, make_accounts(run.accounts(1000)))
    fetch: Any = ours.client.fetch
    await fetch()
    laps = await in_turn({"served": lambda: fetch(max_age=3600.0), "asked": fetch}, rounds=run.rounds)
    seconds = laps.seconds
    results.add("fetch served from memory", Figure.of(1e3 * one for one in seconds["served"]), "ms")
    results.add("fetch served from memory / asked for", Figure.of_ratios(seconds["served"], seconds["asked"]))
    await ours.aclose()
