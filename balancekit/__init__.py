"""How much money do we hold, and where: reads many merchant accounts and merges their balances by currency."""

from balancekit.version import __version__

# Type checkers know it by its name; importing it would take most of the time that `balancekit --version` does.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from balancekit.client.aggregate import AggregateClient
    from balancekit.client.retry import RetryPolicy
    from balancekit.errors import (
        AmbiguousCurrencyError,
        AuthenticationError,
        BadRequestError,
        BalancekitError,
        ConfigError,
        MalformedResponseError,
        ProviderError,
        ProviderTimeoutError,
        RateLimitedError,
        ServiceUnavailableError,
        TransportError,
        UnexpectedRedirectError,
        WebhookVerificationError,
    )
    from balancekit.http.error_responses import ErrorDetail
    from balancekit.http.messages import Request, Response
    from balancekit.http.rate_limit import RateLimit
    from balancekit.http.secret import Secret
    from balancekit.money.aliases import CRYPTOPROCESSING_2026
    from balancekit.money.balances import AccountBalances, AccountFailure, Balance, CurrencyTotal
    from balancekit.money.currencies import AssetType
    from balancekit.money.merge import IncompleteError, MergedBalances, merge
    from balancekit.providers.base import BalanceProvider, HttpProvider
    from balancekit.providers.cryptoprocessing import CryptoprocessingProvider
    from balancekit.providers.getmany import GetManyProvider
    from balancekit.stores.base import SnapshotStore
    from balancekit.webhooks.events import WebhookEvent

__all__ = [
    "CRYPTOPROCESSING_2026",
    "AccountBalances",
    "AccountFailure",
    "AggregateClient",
    "AmbiguousCurrencyError",
    "AssetType",
    "AuthenticationError",
    "BadRequestError",
    "Balance",
    "BalanceProvider",
    "BalancekitError",
    "ConfigError",
    "CryptoprocessingProvider",
    "CurrencyTotal",
    "ErrorDetail",
    "GetManyProvider",
    "HttpProvider",
    "IncompleteError",
    "MalformedResponseError",
    "MergedBalances",
    "ProviderError",
    "ProviderTimeoutError",
    "RateLimit",
    "RateLimitedError",
    "Request",
    "Response",
    "RetryPolicy",
    "Secret",
    "ServiceUnavailableError",
    "SnapshotStore",
    "TransportError",
    "UnexpectedRedirectError",
    "WebhookEvent",
    "WebhookVerificationError",
    "__version__",
    "merge",
]

# Where each name is. A module is imported when one of its names is first used, so that nobody waits for what is not:
# most of the time of an import is that of aiohttp.
_HOMES = {
    "CRYPTOPROCESSING_2026": "money.aliases",
    "AccountBalances": "money.balances",
    "AccountFailure": "money.balances",
    "AggregateClient": "client.aggregate",
    "AmbiguousCurrencyError": "errors",
    "AssetType": "money.currencies",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "Balance": "money.balances",
    "BalanceProvider": "providers.base",
    "BalancekitError": "errors",
    "ConfigError": "errors",
    "CryptoprocessingProvider": "providers.cryptoprocessing",
    "CurrencyTotal": "money.balances",
    "ErrorDetail": "http.error_responses",
    "GetManyProvider": "providers.getmany",
    "HttpProvider": "providers.base",
    "IncompleteError": "money.merge",
    "MalformedResponseError": "errors",
    "MergedBalances": "money.merge",
    "ProviderError": "errors",
    "ProviderTimeoutError": "errors",
    "RateLimit": "http.rate_limit",
    "RateLimitedError": "errors",
    "Request": "http.messages",
    "Response": "http.messages",
    "RetryPolicy": "client.retry",
    "Secret": "http.secret",
    "ServiceUnavailableError": "errors",
    "SnapshotStore": "stores.base",
    "TransportError": "errors",
    "UnexpectedRedirectError": "errors",
    "WebhookEvent": "webhooks.events",
    "WebhookVerificationError": "errors",
    "merge": "money.merge",
}

# Type checkers would take any name for one that is here.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
