"""From the bytes of responses to merged balances, without a network, against orjson and a sum."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal, localcontext

from balancekit import AccountBalances, MergedBalances, Response, merge
from benchmarks.accounts import EXACT, exact_totals, make_accounts
from benchmarks.contenders.library import make_providers
from benchmarks.contenders.tuned import add
from benchmarks.figures import Figure, Results
from benchmarks.measures.run import Run
from benchmarks.timing import in_turn


def measure(run: Run, results: Results) -> None:
    """Time both on the same bodies."""
    accounts = make_accounts(run.accounts(1000))
    bodies = [account.body() for account in accounts]
    providers = make_providers(run.site.http, accounts)
    moment = datetime.now(UTC)

    async def ours() -> MergedBalances:
        return merge(
            [
                AccountBalances(one.account, one.provider, tuple(one.read_response(Response(200, body=body))), moment)
                for one, body in zip(providers, bodies, strict=True)
            ]
        )

    async def theirs() -> dict[str, Decimal]:
        totals: defaultdict[str, Decimal] = defaultdict(Decimal)
        with localcontext(EXACT):
            for account, body in zip(accounts, bodies, strict=True):
                add(totals, account, body)
        return totals

    async def both() -> dict[str, list[float]]:
        wanted = exact_totals(accounts)
        if await theirs() != wanted or {total.currency: total.amount for total in await ours()} != wanted:
            raise ValueError("the totals are not exact")
        return (await in_turn({"ours": ours, "theirs": theirs}, rounds=run.rounds)).seconds

    seconds = asyncio.run(both())
    results.add("bytes to merged / orjson sums", Figure.of_ratios(seconds["ours"], seconds["theirs"]))
    balances = sum(account.currencies for account in accounts)
    results.add("bytes to merged, a balance", Figure.of(1e6 * one / balances for one in seconds["ours"]), "µs")
