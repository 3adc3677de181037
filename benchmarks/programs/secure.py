"""Writes the seconds that https takes: `python -m benchmarks.programs.secure URL ACCOUNTS ROUNDS`."""

import asyncio
import json
import sys
from functools import partial

from benchmarks.accounts import make_accounts
from benchmarks.contenders.library import Library
from benchmarks.contenders.tuned import Tuned
from benchmarks.timing import in_turn


async def _time(base_url: str, count: int, rounds: int) -> dict[str, list[float]]:
    accounts = make_accounts(count)
    ours, theirs = Library(base_url, accounts), Tuned(base_url, accounts)
    ways = {
        "balancekit warm": ours.fetch,
        "tuned warm": theirs.fetch,
        "balancekit cold": partial(Library.fetch_anew, base_url, accounts),
        "tuned cold": partial(Tuned.fetch_anew, base_url, accounts),
    }
    laps = await in_turn(ways, rounds=rounds)
    await ours.aclose()
    await theirs.aclose()
    return laps.seconds


print(json.dumps(asyncio.run(_time(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
