"""ccxt: an exchange of its kind for these two APIs, one object an account; its amounts are floats."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import aiohttp
from ccxt.async_support.base.exchange import Exchange

from benchmarks.accounts import CRYPTOPROCESSING, Account
from benchmarks.contenders.contender import Contender, Fetched, Signer, make_signers, share_out


class _Merchant(Exchange):  # type: ignore[misc]  # ccxt has no types
    def describe(self) -> Any:  # noqa: ANN401 - ccxt's signature
        return self.deep_extend(super().describe(), {"id": "merchant", "name": "merchant", "enableRateLimit": False})

    def sign(self, path, api="public", method="GET", params=None, headers=None, body=None):  # noqa: ANN001, ANN202, ARG002, PLR0917 - ccxt's signature
        signer: Signer = self.options["signer"]
        body = None if signer.body is None else signer.body.decode()
        return {"url": signer.url, "method": method, "body": body, "headers": signer.headers()}

    async def fetch_balance(self, params: Any = None) -> Any:  # noqa: ANN401, ARG002 - ccxt's signature
        response = await self.request("balances", "private", "POST")
        result: dict[str, Any] = {"info": response}
        for line in response["data"]:
            entry = self.account()
            if self.options["signer"].account.provider == CRYPTOPROCESSING:
                entry["total"] = self.safe_string(line, "balance")
                result[self.safe_currency_code(line["currency"])] = entry
            else:
                held = line["balance"]
                entry["total"] = self.parse_units(held)
                result[self.safe_currency_code(held["code"])] = entry
        return self.safe_balance(result)

    def parse_units(self, held: dict[str, Any]) -> str:
        """Return the amount as text, by moving the point."""
        digits, decimals = held["value"].rjust(held["decimals"] + 1, "0"), held["decimals"]
        return f"{digits[:-decimals]}.{digits[-decimals:]}"


class Ccxt(Contender):
    """All exchange objects share one session and one SSL context, which ccxt does not do by itself."""

    name = "ccxt"

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        super().__init__(base_url, accounts)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self.concurrency))
        self.exchanges = [
            _Merchant({"session": self.session, "options": {"signer": signer}})
            for signer in make_signers(base_url, accounts)
        ]
        # Each would make its own with its first request, in 30 milliseconds.
        context = ssl.create_default_context()
        for exchange in self.exchanges:
            exchange.ssl_context = context

    async def fetch(self) -> Fetched:
        """Read all accounts once."""
        totals: defaultdict[str, float] = defaultdict(float)
        kept: list[Any] = []

        async def work(exchanges: Iterator[_Merchant]) -> None:
            for exchange in exchanges:
                balance = await exchange.fetch_balance()
                kept.append(balance)
                for code, total in balance["total"].items():
                    totals[code] += total

        await share_out(self.exchanges, work, self.concurrency)
        return Fetched(totals, kept)

    async def aclose(self) -> None:
        """Close the exchanges and their session."""
        # Together, since each sleeps for a quarter of a second.
        await asyncio.gather(*(exchange.close() for exchange in self.exchanges))
        await self.session.close()
