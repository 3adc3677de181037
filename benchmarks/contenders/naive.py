"""aiohttp as its first page shows it: a task an account, `json=`, `resp.json()`."""

import asyncio
from collections import defaultdict
from decimal import Decimal, localcontext
from typing import Any

import aiohttp

from benchmarks.accounts import CRYPTOPROCESSING, EXACT, Account
from benchmarks.contenders.contender import Contender, Fetched, Signer, make_signers


class Naive(Contender):
    """Everything at once; the session's own limit of 100 connections is the concurrency."""

    name = "naive aiohttp"

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        super().__init__(base_url, accounts)
        self.signers = make_signers(base_url, accounts)
        self.session = aiohttp.ClientSession()

    async def fetch(self) -> Fetched:
        """Read all accounts once."""
        responses = await asyncio.gather(*(self._read(signer) for signer in self.signers))
        totals: defaultdict[str, Decimal] = defaultdict(Decimal)
        with localcontext(EXACT):
            for signer, response in zip(self.signers, responses, strict=True):
                for line in response["data"]:
                    if signer.account.provider == CRYPTOPROCESSING:
                        totals[line["currency"]] += Decimal(line["balance"])
                    else:
                        held = line["balance"]
                        totals[held["code"]] += Decimal(held["value"]).scaleb(-held["decimals"])
        return Fetched(totals)

    async def _read(self, signer: Signer) -> Any:  # noqa: ANN401 - JSON is any of its types
        body = None if signer.body is None else {}
        async with self.session.post(signer.url, json=body, headers=signer.headers()) as response:
            response.raise_for_status()
            return await response.json()

    async def aclose(self) -> None:
        """Close the session."""
        await self.session.close()
