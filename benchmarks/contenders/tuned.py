"""aiohttp tuned by hand for this one duty: it adds up exactly, checks nothing and keeps nothing."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal, setcontext

import aiohttp
import orjson

from benchmarks.accounts import CRYPTOPROCESSING, EXACT, Account
from benchmarks.contenders.contender import Contender, Fetched, Signer, make_signers, share_out


class Tuned(Contender):
    """A worker for each connection, all on one iterator; the amounts of both APIs are strings, so orjson is exact."""

    name = "tuned aiohttp"

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        super().__init__(base_url, accounts)
        self.signers = make_signers(base_url, accounts)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A timer a request costs a fifth of the time; there is one around the whole fetch.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )

    async def fetch(self) -> Fetched:
        """Read all accounts once."""
        totals: defaultdict[str, Decimal] = defaultdict(Decimal)

        async def work(signers: Iterator[Signer]) -> None:
            # One exact context for all that a worker adds; it is the worker's own.
            setcontext(EXACT)
            for signer in signers:
                add(totals, signer.account, await self.read(signer))

        async with asyncio.timeout(30):
            await share_out(self.signers, work, self.concurrency)
        return Fetched(totals)

    async def read(self, signer: Signer) -> bytes:
        """Send one request and return the body of its response."""
        async with self.session.post(
            signer.url, data=signer.body, headers=signer.headers(), allow_redirects=False
        ) as response:
            response.raise_for_status()
            return await response.read()

    async def aclose(self) -> None:
        """Close the session."""
        await self.session.close()


def add(totals: defaultdict[str, Decimal], account: Account, body: bytes) -> None:
    """Add the amounts in a body to the totals, unchecked."""
    lines = orjson.loads(body)["data"]
    if account.provider == CRYPTOPROCESSING:
        for line in lines:
            totals[line["currency"]] += Decimal(line["balance"])
    else:
        for line in lines:
            held = line["balance"]
            totals[held["code"]] += Decimal(held["value"]).scaleb(-held["decimals"])
