"""How much money do we hold, and where: reads many merchant accounts and merges their balances by currency."""

from balancekit.version import __version__

# Type checkers know it by its name; importing it would take most of the time that `balancekit --version` does.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from balancekit.aliases import CRYPTOPROCESSING_2026
    from balancekit.assets import AssetType
    from balancekit.balances import AccountBalances, AccountFailure, Balance
    from balancekit.client import AggregateClient
    from balancekit.errors import (
        AmbiguousCurrencyError,
        AuthenticationError,
        BadRequestError,
        BalancekitError,
        ConfigError,
        IncompleteError,
        MalformedResponseError,
        ProviderError,
        ProviderTimeoutError,
        RateLimitedError,
        ServiceUnavailableError,
        TransportError,
        UnexpectedRedirectError,
        WebhookVerificationError,
    )
    from balancekit.http import Request, Response
    from balancekit.merged import CurrencyTotal, MergedBalances, merge
    from balancekit.provider import BalanceProvider, HttpProvider
    from balancekit.providers.cryptoprocessing import CryptoprocessingProvider
    from balancekit.providers.getmany import GetManyProvider
    from balancekit.rate_limit import RateLimit
    from balancekit.refusals import ErrorDetail
    from balancekit.retry import RetryPolicy
    from balancekit.secret import Secret
    from balancekit.stores.protocol import SnapshotStore
    from balancekit.webhooks.event import WebhookEvent

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
    "CRYPTOPROCESSING_2026": "aliases",
    "AccountBalances": "balances",
    "AccountFailure": "balances",
    "AggregateClient": "client",
    "AmbiguousCurrencyError": "errors",
    "AssetType": "assets",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "Balance": "balances",
    "BalanceProvider": "provider",
    "BalancekitError": "errors",
    "ConfigError": "errors",
    "CryptoprocessingProvider": "providers.cryptoprocessing",
    "CurrencyTotal": "merged",
    "ErrorDetail": "refusals",
    "GetManyProvider": "providers.getmany",
    "HttpProvider": "provider",
    "IncompleteError": "errors",
    "MalformedResponseError": "errors",
    "MergedBalances": "merged",
    "ProviderError": "errors",
    "ProviderTimeoutError": "errors",
    "RateLimit": "rate_limit",
    "RateLimitedError": "errors",
    "Request": "http",
    "Response": "http",
    "RetryPolicy": "retry",
    "Secret": "secret",
    "ServiceUnavailableError": "errors",
    "SnapshotStore": "stores.protocol",
    "TransportError": "errors",
    "UnexpectedRedirectError": "errors",
    "WebhookEvent": "webhooks.event",
    "WebhookVerificationError": "errors",
    "merge": "merged",
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
