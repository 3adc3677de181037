"""How much money do we hold, and where: reads many merchant accounts and merges their balances by currency."""

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
from balancekit.version import __version__
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
