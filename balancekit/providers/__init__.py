"""The built-in provider adapters, one file an API, and the registry of their names.

To add one: write its file here and its line below. Its class then has its name in `accounts.toml`, too. An adapter that
lives in another distribution registers itself under the entry point group `balancekit.providers`.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from balancekit.errors import ConfigError
from balancekit.providers.base import HttpProvider

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cryptoprocessing": "balancekit.providers.cryptoprocessing:CryptoprocessingProvider",
        "getmany": "balancekit.providers.getmany:GetManyProvider",
    }
)
"""Where the class of each provider's name is."""

ENTRY_POINTS: Final = "balancekit.providers"


def provider_class(name: str) -> type[HttpProvider]:
    """Return the adapter of that name, built in or registered by another distribution; ConfigError if none."""
    path = BUILT_IN.get(name)
    if path is not None:
        module, _, attribute = path.partition(":")
        return cast("type[HttpProvider]", getattr(import_module(module), attribute))
    # Looking through every installed distribution takes a while, and most names are built in.
    from importlib.metadata import entry_points

    registered = entry_points(group=ENTRY_POINTS)
    if name in registered.names:
        loaded = registered[name].load()
        if isinstance(loaded, type) and issubclass(loaded, HttpProvider):
            return loaded
        raise ConfigError(f"the provider {name!r} is registered as {loaded!r}, which is no HttpProvider")
    known = ", ".join(sorted({*BUILT_IN, *registered.names}))
    raise ConfigError(f"no provider is named {name!r}; there are {known}")
