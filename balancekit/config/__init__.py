"""`accounts.toml`: which accounts to read, where their secrets are, which aliases and client settings apply.

    [accounts.shop-eu]
    provider = "cryptoprocessing"
    key = "pk_0123"
    secret = { env = "SHOP_EU_SECRET" }              # or { file = "…" }, relative to the folder of accounts.toml

    [providers.cryptoprocessing]                     # optional: what its accounts have unless they say otherwise
    base_url = "https://app.sandbox.cryptoprocessing.com/api/v2"

    [aliases]                                        # optional, see `merge`
    USDCE = "USDC"

    [client]                                         # optional: the arguments of AggregateClient
    deadline = 10

The settings of an account are the keyword-only parameters of its adapter's constructor, so this package knows no
provider in particular.
"""

from balancekit.config.client_table import CLIENT_SETTINGS, ClientSettings, StoreSettings
from balancekit.config.loading import Config, load_account, load_config, parse_config

__all__ = [
    "CLIENT_SETTINGS",
    "ClientSettings",
    "Config",
    "StoreSettings",
    "load_account",
    "load_config",
    "parse_config",
]
