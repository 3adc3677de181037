"""The invented accounts of `demo` and `sandbox`: at both providers, with currencies in common."""

from collections.abc import Sequence

from balancekit.client.aggregate import AggregateClient
from balancekit.client.settling import SETTLE_DELAY
from balancekit.money.merged import MergedBalances
from balancekit.providers import provider_class
from balancekit.sandbox import Holding, Sandbox, SandboxAccount


def add_example_accounts(sandbox: Sandbox) -> tuple[SandboxAccount, ...]:
    """Add three accounts to a sandbox: currencies at both providers, one on two chains, a zero, a long amount."""
    return (
        sandbox.add_cryptoprocessing("shop-eu", {"BTC": "0.04", "LTC": "0", "EUR": "10250.40", "USDC": "1830.25"}),
        sandbox.add_cryptoprocessing("shop-us", {"BTC": "1.50000001", "ETH": "0.123456789012345678", "USD": "980.15"}),
        sandbox.add_getmany(
            "treasury",
            [
                Holding("ETH", "12.000000000000000001", decimals=18, chain="ethereum"),
                Holding("EUR", "1500000", decimals=2),
                Holding("USDC", "250", decimals=6, chain="ethereum"),
                Holding("USDC", "99.95", decimals=6, chain="polygon"),
            ],
        ),
    )


def make_client(accounts: Sequence[SandboxAccount], *, settle_delay: float = SETTLE_DELAY) -> AggregateClient:
    """Return a client of a sandbox's accounts that uses the adapters of the real providers."""
    providers = [provider_class(account.provider)(account.label, **account.settings) for account in accounts]
    return AggregateClient(providers, settle_delay=settle_delay)


async def fetch_balances(accounts: Sequence[SandboxAccount]) -> MergedBalances:
    """Read accounts of a sandbox as those of a real provider: over HTTP, with signed requests."""
    async with make_client(accounts) as client:
        return await client.fetch()
