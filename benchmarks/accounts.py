"""The invented accounts: their holdings, their signatures and their exact sums."""

import base64
import hashlib
import hmac
import json
import random
import uuid
from collections import defaultdict
from decimal import Context, Decimal, Inexact, Rounded, localcontext
from functools import cache
from typing import Any, Final

import attrs

CRYPTOPROCESSING: Final = "cryptoprocessing"
GETMANY: Final = "getmany"

SECRET: Final = "an invented secret"
SIGNING_KEY: Final = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
SIGNATURE: Final = hmac.new(SECRET.encode(), b"{}", hashlib.sha512).hexdigest()
"""Of the body `{}`, which is that of every request to Cryptoprocessing."""

EXACT: Final = Context(prec=200, traps=[Inexact, Rounded])
DECIMALS: Final = 8

_FIAT: Final = ("EUR", "USD", "GBP", "CHF", "JPY", "PLN")
_CODES: Final = ("BTC", "ETH", "EUR", "USDT", "USD", "USDC", "LTC", "GBP", "BCH", "XRP", "TRX", "CHF", "DOGE")
_MORE_CODES: Final = ("ADA", "SOL", "JPY", "BNB", "DAI", "PLN", "XLM")


@attrs.frozen
class Account:
    """One invented account; the server derives from its key id the responses and the delay in milliseconds.

    If it `changes`, every amount is another one in each response; otherwise all responses are the same.
    """

    index: int
    currencies: int
    delay: int
    changes: bool = False

    @property
    def provider(self) -> str:
        """Which of the two APIs it is at: each has half of the accounts."""
        return GETMANY if self.index % 2 else CRYPTOPROCESSING

    @property
    def label(self) -> str:
        """The account's name."""
        return f"merchant-{self.index:05}"

    @property
    def key_id(self) -> str:
        """The id by which the server knows the account."""
        return f"{self.index}.{self.currencies}.{self.delay}.{self.changes:d}"

    @classmethod
    def of_key(cls, key_id: str) -> "Account":
        """Return the account of a key id."""
        index, currencies, delay, changes = map(int, key_id.split("."))
        return cls(index, currencies, delay, bool(changes))

    def holdings(self, added: int = 0) -> list[tuple[str, int]]:
        """Return each currency that it holds, and in units of the eighth decimal how much, with so many `added`."""
        chance = random.Random(self.index)
        return [(code, chance.randrange(10 ** chance.randrange(1, 15)) + added) for code in codes(self.currencies)]

    def body(self, added: int = 0) -> bytes:
        """Return the body of its API's response, with so many units added to each amount."""
        holdings = self.holdings(added)
        lines = self._getmany(holdings) if self.provider == GETMANY else self._cryptoprocessing(holdings)
        return json.dumps({"data": lines}, separators=(",", ":")).encode()

    def _cryptoprocessing(self, holdings: list[tuple[str, int]]) -> list[dict[str, Any]]:
        return [
            {"currency": code, "type": "fiat" if code in _FIAT else "crypto", "balance": f"{amount(units):f}"}
            for code, units in holdings
        ]

    def _getmany(self, holdings: list[tuple[str, int]]) -> list[dict[str, Any]]:
        chance = random.Random(self.index)
        lines: list[dict[str, Any]] = []
        for code, units in holdings:
            held: dict[str, Any] = {"value": str(units), "code": code, "decimals": DECIMALS}
            if code not in _FIAT:
                held["chain"] = "ethereum"
            lines.append({"id": str(uuid.UUID(int=chance.getrandbits(128))), "balance": held})
        return lines


@cache
def codes(count: int) -> tuple[str, ...]:
    """Return that many codes of currencies, one in four of them fiat at first, tokens after twenty."""
    known = _CODES + _MORE_CODES
    return known[:count] + tuple(f"TKN{number}" for number in range(count - len(known)))


def amount(units: int) -> Decimal:
    """Return units of the eighth decimal as an amount."""
    return Decimal(units).scaleb(-DECIMALS, EXACT)


def make_accounts(count: int, *, currencies: int = 20, delay: int = 0, changes: bool = False) -> tuple[Account, ...]:
    """Return accounts with so many currencies each, whose responses take so many milliseconds and may change."""
    return tuple(Account(index, currencies, delay, changes) for index in range(count))


@cache
def exact_totals(accounts: tuple[Account, ...]) -> dict[str, Decimal]:
    """Return what the accounts hold together, summed in whole units."""
    totals: defaultdict[str, int] = defaultdict(int)
    for account in accounts:
        for code, units in account.holdings():
            totals[code] += units
    with localcontext(EXACT):
        return {code: amount(units) for code, units in totals.items()}


def signed_text(key_id: str, now: int, nonce: str) -> str:
    """Return the text that a request to getMany signs."""
    return f"{len(key_id)}:{key_id}:10:{now}:24:{nonce}:POST:24:/account.balance.getMany:"


def signing_key_bytes() -> bytes:
    """Return the Ed25519 key as PKCS#8 DER."""
    return base64.b64decode(SIGNING_KEY)
