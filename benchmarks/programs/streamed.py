"""Writes by how many bytes streaming raised the memory: `python -m benchmarks.programs.streamed URL 10000`.

What there was before includes the adapters of all accounts, which their caller made. The hundred connections, their
buffers and whatever is loaded with the first request are part of it, for few accounts as for many.
"""

import asyncio
import gc
import json
import sys

from balancekit import AccountBalances, AggregateClient
from benchmarks.accounts import make_accounts
from benchmarks.contenders.library import make_providers
from benchmarks.programs.resident import forget_peak, peak_bytes, resident_bytes


async def _stream(base_url: str, count: int) -> int:
    async with AggregateClient(make_providers(base_url, make_accounts(count))) as client:
        gc.collect()
        before = resident_bytes()
        forget_peak()
        read = 0
        async for outcome in client.stream():
            read += isinstance(outcome, AccountBalances)
        if read != count:
            raise ValueError(f"{read} of {count} accounts were read")
        return peak_bytes() - before


print(json.dumps(asyncio.run(_stream(sys.argv[1], int(sys.argv[2])))))
