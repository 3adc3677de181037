"""How much money do we hold, and where: reads many merchant accounts and merges their balances by currency."""

# Type checkers recognise the name. Importing it from `typing` would take most of the time of `balancekit --version`.
TYPE_CHECKING = False

# For type checkers: `X as X` exports a name from the package.
if TYPE_CHECKING:
    from balancekit.client.aggregate import AggregateClient as AggregateClient
    from balancekit.client.known import AccountStatus as AccountStatus
    from balancekit.client.origins import Origins as Origins
    from balancekit.client.retry import RetryPolicy as RetryPolicy
    from balancekit.client.watch import Watch as Watch
    from balancekit.clock import Clock as Clock
    from balancekit.config.loading import (
        Config as Config,
        load_config as load_config,
    )
    from balancekit.errors import (
        AmbiguousCurrencyError as AmbiguousCurrencyError,
        AuthenticationError as AuthenticationError,
        BadRequestError as BadRequestError,
        BalancekitError as BalancekitError,
        ConfigError as ConfigError,
        MalformedResponseError as MalformedResponseError,
        NotReadError as NotReadError,
        ProviderError as ProviderError,
        ProviderTimeoutError as ProviderTimeoutError,
        RateLimitedError as RateLimitedError,
        ServiceUnavailableError as ServiceUnavailableError,
        TransportError as TransportError,
        UnexpectedRedirectError as UnexpectedRedirectError,
        WebhookVerificationError as WebhookVerificationError,
    )
    from balancekit.http.error_responses import ErrorDetail as ErrorDetail
    from balancekit.http.messages import (
        Request as Request,
        Response as Response,
    )
    from balancekit.http.rate_limit import RateLimit as RateLimit
    from balancekit.http.secret import Secret as Secret
    from balancekit.money.amounts import (
        subtract_exactly as subtract_exactly,
        sum_exactly as sum_exactly,
    )
    from balancekit.money.balances import (
        AccountBalances as AccountBalances,
        AccountFailure as AccountFailure,
        Balance as Balance,
        CurrencyTotal as CurrencyTotal,
        ReportedBalances as ReportedBalances,
    )
    from balancekit.money.changes import (
        AccountChange as AccountChange,
        Changes as Changes,
        TotalChange as TotalChange,
    )
    from balancekit.money.currencies import AssetType as AssetType
    from balancekit.money.merge import merge as merge
    from balancekit.money.merged import (
        IncompleteError as IncompleteError,
        MergedBalances as MergedBalances,
    )
    from balancekit.money.minor_units import MinorUnits as MinorUnits
    from balancekit.money.rates import (
        Rate as Rate,
        RateSource as RateSource,
    )
    from balancekit.money.valuation import (
        Valuation as Valuation,
        ValuedTotal as ValuedTotal,
    )
    from balancekit.providers.base import (
        BalanceProvider as BalanceProvider,
        HttpProvider as HttpProvider,
    )
    from balancekit.providers.brands import (
        COINSPAID_2023 as COINSPAID_2023,
        CRYPTOPROCESSING_2026 as CRYPTOPROCESSING_2026,
    )
    from balancekit.providers.cryptoprocessing import CryptoprocessingProvider as CryptoprocessingProvider
    from balancekit.providers.getmany import GetManyProvider as GetManyProvider
    from balancekit.providers.multi_request import (
        MultiRequestProvider as MultiRequestProvider,
        Token as Token,
    )
    from balancekit.stores.base import SnapshotStore as SnapshotStore
    from balancekit.version import __version__ as __version__
    from balancekit.webhooks.events import WebhookEvent as WebhookEvent

# The module of each public name. A module is imported when one of its names is first used, so that a program waits only
# for the imports that it needs; most of their time is aiohttp's.
_HOMES = {
    "COINSPAID_2023": "providers.brands",
    "CRYPTOPROCESSING_2026": "providers.brands",
    "AccountBalances": "money.balances",
    "AccountChange": "money.changes",
    "AccountFailure": "money.balances",
    "AccountStatus": "client.known",
    "AggregateClient": "client.aggregate",
    "AmbiguousCurrencyError": "errors",
    "AssetType": "money.currencies",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "Balance": "money.balances",
    "BalanceProvider": "providers.base",
    "BalancekitError": "errors",
    "Changes": "money.changes",
    "Clock": "clock",
    "Config": "config.loading",
    "ConfigError": "errors",
    "CryptoprocessingProvider": "providers.cryptoprocessing",
    "CurrencyTotal": "money.balances",
    "ErrorDetail": "http.error_responses",
    "GetManyProvider": "providers.getmany",
    "HttpProvider": "providers.base",
    "IncompleteError": "money.merged",
    "MalformedResponseError": "errors",
    "MergedBalances": "money.merged",
    "MinorUnits": "money.minor_units",
    "MultiRequestProvider": "providers.multi_request",
    "NotReadError": "errors",
    "Origins": "client.origins",
    "ProviderError": "errors",
    "ProviderTimeoutError": "errors",
    "Rate": "money.rates",
    "RateLimit": "http.rate_limit",
    "RateLimitedError": "errors",
    "ReportedBalances": "money.balances",
    "RateSource": "money.rates",
    "Request": "http.messages",
    "Response": "http.messages",
    "RetryPolicy": "client.retry",
    "Secret": "http.secret",
    "ServiceUnavailableError": "errors",
    "SnapshotStore": "stores.base",
    "Token": "providers.multi_request",
    "TotalChange": "money.changes",
    "TransportError": "errors",
    "UnexpectedRedirectError": "errors",
    "Valuation": "money.valuation",
    "ValuedTotal": "money.valuation",
    "Watch": "client.watch",
    "WebhookEvent": "webhooks.events",
    "WebhookVerificationError": "errors",
    "__version__": "version",
    "load_config": "config.loading",
    "merge": "money.merge",
    "subtract_exactly": "money.amounts",
    "sum_exactly": "money.amounts",
}

# Hidden from type checkers, which would take any name for an attribute of the package.
if not TYPE_CHECKING:
    __all__ = list(_HOMES)

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
