"""What a client is given, checked: everything that cannot work is a ConfigError that says what, where and why."""

import math
from collections.abc import Iterable, Mapping
from typing import cast

import aiohttp

from balancekit.client.accounts import Account, Hosts
from balancekit.errors import ConfigError
from balancekit.money.aliases import check_aliases
from balancekit.money.currencies import check_label
from balancekit.providers.base import BalanceProvider
from balancekit.stores.base import SnapshotStore


def by_label(providers: object, hosts: Hosts) -> dict[str, Account]:
    """Return the accounts of the providers by label."""
    if not isinstance(providers, Iterable):
        raise ConfigError(f"providers: expected a list of providers, got {type(providers).__name__}")
    accounts: dict[str, Account] = {}
    for index, source in enumerate(cast("Iterable[object]", providers)):
        if not isinstance(source, BalanceProvider):
            lacking = [name for name in ("account", "provider", "fetch_balances") if not hasattr(source, name)]
            raise ConfigError(
                f"providers[{index}]: {type(source).__name__} is no BalanceProvider: it lacks {', '.join(lacking)}"
            )
        try:
            account = Account(check_label(source.account), check_label(source.provider), source, hosts.of(source))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"providers[{index}]: {error}") from None
        if account.label in accounts:
            raise ConfigError(f"providers[{index}]: a second account is labelled {account.label!r}")
        accounts[account.label] = account
    hosts.refuse_unused_limits()
    return accounts


def checked_session(session: object) -> aiohttp.ClientSession | None:
    """Return a session that is lent, if any."""
    if session is None or isinstance(session, aiohttp.ClientSession):
        return session
    raise ConfigError(f"session: expected an aiohttp.ClientSession, got {type(session).__name__}")


def checked_store(store: object) -> SnapshotStore | None:
    """Return a store that is lent, if any."""
    if store is None or isinstance(store, SnapshotStore):
        return store
    raise ConfigError(f"store: expected a SnapshotStore, got {type(store).__name__}")


def positive_int(name: str, value: object) -> int:
    """Return a count."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ConfigError(f"{name}: expected a whole number above zero, got {value!r}")


def positive_seconds(name: str, value: object) -> float:
    """Return a duration that is not zero."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise ConfigError(f"{name}: expected seconds above zero, got {value!r}")


def seconds(name: str, value: object) -> float:
    """Return an age, which may be zero or without end."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ConfigError(f"{name}: expected seconds, zero or more, got {value!r}")


def interval(name: str, value: object, *, least: float) -> float:
    """Return a duration that is not too short."""
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf:
        return float(value)
    raise ConfigError(f"{name}: expected {least:.0f} seconds or more, got {value!r}")


def checked_aliases(aliases: Mapping[str, str] | None) -> dict[str, str]:
    """Return a table of aliases."""
    try:
        return check_aliases({} if aliases is None else aliases)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"aliases: {error}") from None
