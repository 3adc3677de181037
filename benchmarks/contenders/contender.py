"""What all contenders have in common: the accounts they read, how they sign, and their result."""

import base64
import os
import time
from abc import ABC, abstractmethod
from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import ClassVar, TypeVar

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from benchmarks.accounts import CRYPTOPROCESSING, SIGNATURE, Account, signed_text, signing_key_bytes

Totals = Mapping[str, Decimal] | Mapping[str, float]

_Item = TypeVar("_Item")


@attrs.frozen
class Fetched:
    """The totals of one fetch, and the rest of its result, which is freed outside the time measured."""

    totals: Totals
    kept: object = None


class Contender(ABC):
    """One way to read all accounts and add up what they hold."""

    name: ClassVar[str]
    concurrency = 100

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        self.base_url = base_url
        self.accounts = accounts

    @classmethod
    async def fetch_anew(cls, base_url: str, accounts: tuple[Account, ...]) -> Fetched:
        """Read all accounts over new connections, and close them."""
        contender = cls(base_url, accounts)
        fetched = await contender.fetch()
        await contender.aclose()
        return fetched

    @abstractmethod
    async def fetch(self) -> Fetched:
        """Read all accounts once."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close every connection."""


class Signer:
    """An account's request, with everything made beforehand that does not change from one to the next."""

    __slots__ = ("_constant", "_key", "account", "body", "url")

    def __init__(self, account: Account, base_url: str, key: Ed25519PrivateKey) -> None:
        self.account = account
        self._key = key
        if account.provider == CRYPTOPROCESSING:
            self.url, self.body = f"{base_url}/api/v2/accounts/list", b"{}"
            self._constant = {
                "Content-Type": "application/json",
                "X-Processing-Key": account.key_id,
                "X-Processing-Signature": SIGNATURE,
            }
        else:
            self.url, self.body, self._constant = f"{base_url}/account.balance.getMany", None, None

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request."""
        if self._constant is not None:
            return self._constant
        key_id, now = self.account.key_id, int(time.time())
        nonce = base64.b64encode(os.urandom(16)).decode()
        signature = self._key.sign(signed_text(key_id, now, nonce).encode())
        return {
            "Bs-Key-Id": key_id,
            "Bs-Timestamp": str(now),
            "Bs-Nonce": nonce,
            "Bs-Signature": base64.b64encode(signature).decode(),
        }


def make_signers(base_url: str, accounts: Iterable[Account]) -> list[Signer]:
    """Return the signers of accounts; the key is loaded once."""
    key = load_der_private_key(signing_key_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return [Signer(account, base_url, key) for account in accounts]


async def share_out(
    items: Iterable[_Item], work: Callable[[Iterator[_Item]], Awaitable[None]], concurrency: int
) -> None:
    """Let so many workers take from one iterator."""
    iterator = iter(items)
    async with TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work(iterator))  # type: ignore[arg-type]
