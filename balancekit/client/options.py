"""The arguments of a client, checked: a setting that cannot work is a ConfigError that says what, where and why."""

import math
from collections.abc import Mapping
from typing import Final

import aiohttp
import attrs

from balancekit.client.origins import Origins
from balancekit.client.retry import RetryPolicy
from balancekit.clock import Clock, checked_clock
from balancekit.errors import ConfigError
from balancekit.http.connections import Proxy, is_proxy
from balancekit.http.durations import is_number, positive_int, shown
from balancekit.http.secret import Secret
from balancekit.money.aliases import check_aliases
from balancekit.providers.base import BalanceProvider, HttpProvider
from balancekit.stores.base import SnapshotStore

MAX_CONCURRENCY: Final = 10_000
"""How many accounts are read at a time at most: each takes a connection, and no process has many more."""


@attrs.frozen
class ReadOptions:
    """How accounts are read: `timeout` (of one attempt) and `deadline` (of a call) are in seconds."""

    concurrency: int
    timeout: float
    deadline: float
    retry: RetryPolicy
    clock: Clock


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


def checked_retry(retry: object, attempts: object) -> RetryPolicy:
    """Return a policy of retries, or the default one with so many attempts."""
    if retry is None:
        return RetryPolicy(positive_int("attempts", attempts))
    if isinstance(retry, RetryPolicy):
        return retry
    raise ConfigError(f"retry: expected a RetryPolicy, got {type(retry).__name__}; attempts takes a number")


def checked_time(clock: object) -> Clock:
    """Return a clock, or that of this machine."""
    try:
        return checked_clock(clock)
    except TypeError as error:
        raise ConfigError(f"clock: {error}") from None


def checked_origins(origins: object) -> Origins:
    """Return what several clients share."""
    if isinstance(origins, Origins):
        return origins
    raise ConfigError(f"origins: expected balancekit.Origins, got {type(origins).__name__}")


def checked_flag(name: str, value: object) -> bool:
    """Return a setting that is on or off."""
    if isinstance(value, bool):
        return value
    raise ConfigError(f"{name}: expected True or False, got {type(value).__name__}")


def checked_proxy(proxy: object, trust_env: object, session: object) -> Proxy:
    """Return the proxy of the client's own session; a session that is lent has its own."""
    uses_environment = checked_flag("trust_env", trust_env)
    if proxy is None:
        return Proxy(uses_environment=uses_environment)
    if session is not None:
        raise ConfigError("proxy: a session that is lent goes through its own: give it the proxy, and the client none")
    address = Secret.of(proxy)
    if not is_proxy(address):
        raise ConfigError("proxy: expected a URL such as http://proxy.example:3128")
    return Proxy(address.reveal(), uses_environment=uses_environment)


def interval(name: str, value: object, *, least: float) -> float:
    """Return a duration of at least so many seconds."""
    if is_number(value) and least <= value < math.inf:
        return float(value)
    raise ConfigError(f"{name}: expected {least:.0f} seconds or more, got {shown(value)}")


def checked_aliases(aliases: Mapping[str, str] | None) -> dict[str, str]:
    """Return a table of aliases."""
    try:
        return check_aliases({} if aliases is None else aliases)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"aliases: {error}") from None


def aliases_of(provider: BalanceProvider) -> dict[str, str]:
    """Return the table of aliases that a provider has for its own account."""
    return checked_aliases(provider.aliases) if isinstance(provider, HttpProvider) and provider.aliases else {}
