"""Tuned aiohttp that also checks each amount's text and keeps frozen objects: the duty nearest to balancekit's."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

import attrs
import orjson

from benchmarks.accounts import CRYPTOPROCESSING, EXACT, Account
from benchmarks.contenders.contender import Fetched, Signer, share_out
from benchmarks.contenders.tuned import Tuned

_AMOUNT = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,30})?", re.ASCII).fullmatch
_UNITS = re.compile(r"-?[0-9]{1,60}", re.ASCII).fullmatch


@attrs.frozen
class Held:
    """One currency in one account, with the facts that balancekit keeps."""

    currency: str
    amount: Decimal
    asset_type: str
    account: str
    provider: str
    code: str
    chain: str | None = None
    reference: str | None = None


class Checked(Tuned):
    """Reads as *tuned* does, keeps what it read, and adds up at the end."""

    name = "checked aiohttp"

    async def fetch(self) -> Fetched:
        """Read all accounts once."""
        kept: dict[str, tuple[Held, ...]] = {}

        async def work(signers: Iterator[Signer]) -> None:
            for signer in signers:
                kept[signer.account.label] = read_lines(signer.account, await self.read(signer))

        async with asyncio.timeout(30):
            await share_out(self.signers, work, self.concurrency)
        by_currency: defaultdict[str, list[Held]] = defaultdict(list)
        for held in kept.values():
            for one in held:
                by_currency[one.currency].append(one)
        with localcontext(EXACT):
            totals = {currency: sum((one.amount for one in held), Decimal()) for currency, held in by_currency.items()}
        return Fetched(totals, (kept, by_currency))


def read_lines(account: Account, body: bytes) -> tuple[Held, ...]:
    """Return the balances in a body; ValueError for an amount that is not a plain decimal."""
    read = _read_cryptoprocessing if account.provider == CRYPTOPROCESSING else _read_getmany
    return tuple(read(account.label, account.provider, orjson.loads(body)["data"]))


def _read_cryptoprocessing(label: str, provider: str, lines: list[Any]) -> list[Held]:
    read: list[Held] = []
    for line in lines:
        code, text = line["currency"], line["balance"]
        if not _AMOUNT(text):
            raise ValueError("not a plain decimal")
        read.append(Held(code.upper(), Decimal(text), line["type"], label, provider, code))
    return read


def _read_getmany(label: str, provider: str, lines: list[Any]) -> list[Held]:
    read: list[Held] = []
    for line in lines:
        held = line["balance"]
        code, units, chain = held["code"], held["value"], held.get("chain")
        if not _UNITS(units):
            raise ValueError("not a whole number")
        amount = Decimal(f"{units}E-{held['decimals']:d}")
        asset_type = "crypto" if chain else "fiat"
        read.append(Held(code.upper(), amount, asset_type, label, provider, code, chain, line["id"]))
    return read
