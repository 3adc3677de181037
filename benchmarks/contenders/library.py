"""balancekit as its user gets it: retries, their budget, a limit on the rate, checks and logging are switched on."""

from collections.abc import Iterable

from balancekit import AggregateClient, CryptoprocessingProvider, GetManyProvider, HttpProvider, RateLimit
from benchmarks.accounts import CRYPTOPROCESSING, SECRET, SIGNING_KEY, Account
from benchmarks.contenders.contender import Contender, Fetched

# Never reached, so that it has the cost of a limit without its waits.
HIGH_LIMIT = RateLimit(20_000, per=1)


def make_providers(base_url: str, accounts: Iterable[Account]) -> list[HttpProvider]:
    """Return the adapters of the accounts."""
    return [
        CryptoprocessingProvider(account.label, key=account.key_id, secret=SECRET, base_url=f"{base_url}/api/v2")
        if account.provider == CRYPTOPROCESSING
        else GetManyProvider(account.label, key_id=account.key_id, signing_key=SIGNING_KEY, base_url=base_url)
        for account in accounts
    ]


class Library(Contender):
    """`AggregateClient.fetch()`."""

    name = "balancekit"

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        super().__init__(base_url, accounts)
        self.client = AggregateClient(make_providers(base_url, accounts), rate_limits={base_url: HIGH_LIMIT})

    async def fetch(self) -> Fetched:
        """Read all accounts once, or raise."""
        merged = await self.client.fetch(strict=True)
        return Fetched({total.currency: total.amount for total in merged}, merged)

    async def aclose(self) -> None:
        """Close the client."""
        await self.client.aclose()
