"""The built-in provider adapters, one module for each API, and the registry of their names.

To add one: write its module in this package and add its line to `BUILT_IN`; `accounts.toml` then knows its name. An
adapter in another distribution registers its class under the entry point group `balancekit.providers`.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
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
"""The name of each provider and where its class is, as `module:class`."""

ENTRY_POINTS: Final = "balancekit.providers"
"""The entry point group in which other distributions register their adapters."""


def provider_class(name: str) -> type[HttpProvider]:
    """Return the adapter class of a provider's name, whether built in or registered by another distribution.

    Raises ConfigError if no class has that name, or if the registered object is not a subclass of HttpProvider.
    """
    path = BUILT_IN.get(name)
    if path is not None:
        return cast("type[HttpProvider]", resolve_name(path))
    # Imported and searched only now: it takes a while, and most names are built in.
    from importlib.metadata import entry_points

    registered = entry_points(group=ENTRY_POINTS)
    if name in registered.names:
        loaded = registered[name].load()
        if isinstance(loaded, type) and issubclass(loaded, HttpProvider):
            return loaded
        raise ConfigError(f"the provider {name!r} is registered as {loaded!r}, which is no HttpProvider")
    known = ", ".join(sorted({*BUILT_IN, *registered.names}))
    raise ConfigError(f"no provider is named {name!r}; there are {known}")
