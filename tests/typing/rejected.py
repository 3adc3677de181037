"""Wrong calls of the public surface: each line fails if a type checker accepts it. It is never run.

Every ignored error must be there: mypy has `warn_unused_ignores`, pyright `reportUnnecessaryTypeIgnoreComment`.
"""

from datetime import datetime
from decimal import Decimal

from balancekit import (
    AccountBalances,
    AccountFailure,
    AggregateClient,
    AssetType,
    Balance,
    CryptoprocessingProvider,
    CurrencyTotal,
    GetManyProvider,
    HttpProvider,
    MergedBalances,
    ProviderError,
    RateLimit,
    Request,
    Response,
    RetryPolicy,
    WebhookEvent,
    merge,
)
from balancekit.sandbox import Holding


def values(balance: Balance, moment: datetime) -> None:
    """Construct values from what they do not accept."""
    Balance("BTC", 0.1, "crypto", "shop", "fake", "BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", "0.1", "crypto", "shop", "fake", "BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", 1, "crypto", "shop", "fake", "BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance(None, Decimal(1), "crypto", "shop", "fake", "BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", Decimal(1), 5, "shop", "fake", "BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", Decimal(1), "crypto", 7, "fake", "BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", Decimal(1), "crypto", "shop", None, "BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", Decimal(1), "crypto", "shop", "fake", b"BTC")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", Decimal(1), "crypto", "shop", "fake", "BTC", chain=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Balance("BTC", Decimal(1), "crypto", "shop", "fake", "BTC", reference=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AccountBalances(7, "fake", [balance], moment)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AccountBalances("shop", "fake", balance, moment)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AccountBalances("shop", "fake", ["BTC"], moment)  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    AccountBalances("shop", "fake", [balance], "2026-01-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AccountBalances("shop", "fake", [balance], moment, "no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AccountFailure("shop", "fake", ValueError())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CurrencyTotal("BTC", AssetType.CRYPTO, 0.1, [balance])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CurrencyTotal("BTC", AssetType.CRYPTO, Decimal(1), ["BTC"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    MergedBalances([balance], [], [])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    MergedBalances([], [balance], [])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    MergedBalances([], [], [balance])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    merge([balance])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    merge([], aliases={"USDCE": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    ProviderError("lost", account="shop", provider="fake", retry_after="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WebhookEvent("till", "fake", 5, None, None, settled=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Holding("BTC", 0.1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def settings(provider: HttpProvider) -> None:
    """Construct what sends requests from what it does not accept."""
    CryptoprocessingProvider("eu", key=5, secret="s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    GetManyProvider("till", webhook_key=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    provider.balance("BTC", 0.1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AggregateClient([5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    AggregateClient([provider], timeout="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RateLimit("30", per=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryPolicy("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Request("GET", "https://bank.example", {}, "{}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Response("200")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Response(200, {"Retry-After": 5})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
