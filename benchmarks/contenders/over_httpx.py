"""httpx, at a concurrency of 10: it gets slower with more."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal, setcontext

import httpx

from benchmarks.accounts import EXACT, Account
from benchmarks.contenders.contender import Contender, Fetched, Signer, make_signers, share_out
from benchmarks.contenders.tuned import add


class Httpx(Contender):
    """An `AsyncClient` with a worker for each connection; sums as *tuned* does."""

    name = "httpx, 10 at a time"
    concurrency = 10

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        super().__init__(base_url, accounts)
        self.signers = make_signers(base_url, accounts)
        self.client = httpx.AsyncClient(timeout=10, trust_env=False)

    async def fetch(self) -> Fetched:
        """Read all accounts once."""
        totals: defaultdict[str, Decimal] = defaultdict(Decimal)

        async def work(signers: Iterator[Signer]) -> None:
            setcontext(EXACT)
            for signer in signers:
                response = await self.client.post(signer.url, content=signer.body, headers=signer.headers())
                add(totals, signer.account, response.raise_for_status().content)

        await share_out(self.signers, work, self.concurrency)
        return Fetched(totals)

    async def aclose(self) -> None:
        """Close the client."""
        await self.client.aclose()
