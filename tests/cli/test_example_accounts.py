"""The invented accounts of `demo` and `sandbox`."""

from decimal import Decimal

from balancekit.cli.example_accounts import add_example_accounts, fetch_balances


async def test_example_accounts_add_up_over_providers_and_chains(sandbox):
    """The accounts are read over HTTP, and their totals span both providers and two chains."""
    merged = await fetch_balances(add_example_accounts(sandbox))

    assert merged.complete
    assert len(sandbox.requests) == 3
    assert {balance.provider for balance in merged["EUR"].balances} == {"cryptoprocessing", "getmany"}
    assert {balance.chain for balance in merged["USDC"].balances} == {None, "ethereum", "polygon"}
    assert merged.amount("ETH") == Decimal("12.123456789012345679")
