"""Writes how many bytes a kept balance takes: `python -m benchmarks.programs.kept 10000 resident`, or `traced`."""

import gc
import json
import sys
import tracemalloc
from datetime import UTC, datetime

from balancekit import AccountBalances, MergedBalances, Response, merge
from benchmarks.accounts import make_accounts
from benchmarks.contenders.library import make_providers
from benchmarks.programs.resident import resident_bytes

_BASE_URL = "http://127.0.0.1"


def main() -> None:
    """Read and merge so many accounts, keep nothing but the result, and weigh it."""
    count, way = int(sys.argv[1]), sys.argv[2]
    accounts = make_accounts(count)
    providers = make_providers(_BASE_URL, accounts)
    bodies = (account.body() for account in accounts)

    def read() -> MergedBalances:
        snapshots: list[AccountBalances] = []
        for one, body in zip(providers, bodies, strict=True):
            # The moment of each is its own, as it is after a fetch.
            held = tuple(one.read_response(Response(200, {}, body)))
            snapshots.append(AccountBalances(one.account, one.provider, held, datetime.now(UTC)))
        return merge(snapshots)

    # Objects that are made once, with the first responses, are not part of it.
    merge([AccountBalances("a", "b", (), datetime.now(UTC))])
    for one, account in zip(providers[:2], accounts, strict=False):
        one.read_response(Response(200, {}, account.body()))
    gc.collect()
    if way == "traced":
        tracemalloc.start()
    before = resident_bytes()
    merged = read()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] if way == "traced" else resident_bytes() - before
    print(json.dumps(after / sum(len(total.balances) for total in merged)))


main()
