"""The built-in provider adapters, one module for each API, and the registry of their names.

To add one: write its module in this package and add its line to `BUILT_IN`; `accounts.toml` then knows its name. An
adapter in another distribution registers its class under the entry point group `balancekit.providers`.
"""

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from balancekit.errors import ConfigError
from balancekit.http.secret import looks_like_words
from balancekit.providers.settings import ProviderFactory, settings_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cryptoprocessing": "balancekit.providers.cryptoprocessing:CryptoprocessingProvider",
        "getmany": "balancekit.providers.getmany:GetManyProvider",
    }
)
"""The name of each provider and where its class is, as `module:class`."""

ENTRY_POINTS: Final = "balancekit.providers"
"""The entry point group in which other distributions register their adapters."""

_IMPORT_PROBLEM: Final = re.compile(
    r"No module named '[\w.]+'(?:; '[\w.]+' is not a package)?"
    r"|cannot import name '\w+' from (?:partially initialized module )?'[\w.]+' \(.*\)"
)


def provider_class(name: str) -> ProviderFactory:
    """Return the adapter of a provider's name, whether built in or registered by another distribution.

    That is a class of providers, or anything else that makes one when it is called.

    Raises ConfigError if nothing has that name or more than one thing, if its module cannot be imported, if what is
    registered makes no BalanceProvider, or if its settings cannot be read.
    """
    # The search path is the cache's key: what a program adds to it is found.
    registered = _entry_points(tuple(sys.path))
    found = [entry for entry in registered if entry.name == name]
    owners = " and ".join(sorted(entry.dist.name if entry.dist else "an unnamed distribution" for entry in found))
    if name in BUILT_IN:
        if found:
            raise ConfigError(f"the provider {name!r} is built in, and {owners} registers another under that name")
        return cast("ProviderFactory", resolve_name(BUILT_IN[name]))
    if not found:
        known = ", ".join(sorted({*BUILT_IN, *(entry.name for entry in registered)}))
        # The secret itself may stand here by mistake.
        named = f"named {name!r}{_meaning(name)}" if looks_like_words(name) else "of that name"
        raise ConfigError(f"no provider is {named}; there are {known}")
    if len(found) > 1:
        raise ConfigError(f"the provider {name!r} is registered more than once, by {owners}: uninstall all but one")
    (entry,) = found
    try:
        loaded = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the module may raise anything, even SystemExit(0)
        # Any message but Python's own may show what the module was reading, such as the environment.
        is_own = isinstance(error, ImportError) and _IMPORT_PROBLEM.fullmatch(str(error))
        shown = repr(error) if is_own else type(error).__name__
        problem = f"importing {name!r} raised {shown}"
    else:
        try:
            # What another call makes shows when it has made it.
            makes = hasattr(loaded, "fetch_balances") if isinstance(loaded, type) else callable(loaded)
            if makes:
                factory = cast("ProviderFactory", loaded)
                # Read once here, so that no later reader has to expect an exception.
                settings_of(factory)
                return factory
            problem = f"the provider {name!r} is registered as {entry.value}, which makes no BalanceProvider"
        except Exception as error:  # noqa: BLE001 - what a class declares may raise anything
            problem = f"the settings of {name!r} cannot be read: {type(error).__name__}"
    raise ConfigError(problem)


def _meaning(name: str) -> str:
    """Return what a processor's own name stands for, where its API has another one here."""
    from balancekit.providers.brands import BRANDS

    if name in BRANDS:
        return ", a brand of cryptoprocessing"
    return ", whose API is getmany" if name == "blacksheep" else ""


@lru_cache(maxsize=1)
def _entry_points(path: tuple[str, ...]) -> "tuple[EntryPoint, ...]":  # noqa: ARG001 - a key of the cache
    # A slow import, for those alone that look for a provider by its name.
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINTS))
