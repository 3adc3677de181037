"""One account of a client: how to read it, what is known of it, and how its outcomes are made."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, cast

import attrs
from yarl import URL

from balancekit.client.retry import RetryBudget
from balancekit.errors import BalancekitError, ConfigError, MalformedResponseError, ProviderError, ProviderTimeoutError
from balancekit.http.rate_limit import RateLimit, RateLimiter
from balancekit.http.redaction import attach_cause
from balancekit.http.transport import transport_error
from balancekit.money.balances import AccountBalances, AccountFailure, snapshot_of
from balancekit.providers.base import BalanceProvider, HttpProvider


@attrs.define(eq=False)
class Host:
    """One origin (scheme, host and port), or one provider that tells of none; `clock_offset` is in seconds."""

    name: str
    budget: RetryBudget = attrs.field(factory=RetryBudget)
    limiter: RateLimiter | None = None
    clock_offset: float = 0.0


class Hosts:
    """The hosts of a client's accounts, each made once."""

    def __init__(self, rate_limits: Mapping[str, RateLimit]) -> None:
        self._limits = {_origin(url): _checked(url, limit) for url, limit in rate_limits.items()}
        self._hosts: dict[str, Host] = {}

    def of(self, source: BalanceProvider) -> Host:
        """Return the host that a provider sends its requests to."""
        name = source.origin if isinstance(source, HttpProvider) else source.provider
        if name not in self._hosts:
            limit = self._limits.get(name)
            self._hosts[name] = Host(name, limiter=None if limit is None else RateLimiter(limit))
        return self._hosts[name]

    def refuse_unused_limits(self) -> None:
        """Raise ConfigError for a limit on a host that no account is on: a misspelt one would limit nothing."""
        for name in self._limits:
            if name not in self._hosts:
                raise ConfigError(f"rate_limits: no account is on {name}; there are {', '.join(self._hosts)}")


def _origin(url: str) -> str:
    try:
        return str(URL(url).origin())
    except (TypeError, ValueError):
        # A provider that is no HttpProvider is limited by its name.
        return url


def _checked(url: str, limit: object) -> RateLimit:
    if isinstance(limit, RateLimit):
        return limit
    raise ConfigError(f"rate_limits: {url}: expected a RateLimit, got {type(limit).__name__}")


Outcome = AccountBalances | AccountFailure
"""What became of reading one account."""

_LATE_HINT: Final = "The provider is slow or out of reach. Try again later, or give it more time"


@attrs.define(eq=False)
class Account:
    """One account and how to read it; its label and its provider's name are read once and checked.

    `adapter` is the source if it is one that the client tells the time of its host.
    `down` is whether it could not be read the last time, `last` the latest snapshot that this process has seen.
    `key` is what the account is called in a store, where another may have the same label.
    """

    label: str
    provider: str
    source: BalanceProvider
    host: Host
    down: bool = False
    last: AccountBalances | None = None
    adapter: HttpProvider | None = attrs.field(init=False, default=None)
    key: str = attrs.field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        # Asking an abstract class for its instances takes longer than looking it up.
        self.adapter = self.source if isinstance(self.source, HttpProvider) else None
        fingerprint = "" if self.adapter is None else self.adapter.fingerprint
        self.key = f"{self.label}@{self.host.name}#{fingerprint}" if fingerprint else f"{self.label}@{self.host.name}"

    def __str__(self) -> str:
        return f"{self.label} ({self.provider})"

    def own(self, snapshot: AccountBalances | None) -> AccountBalances | None:
        """Return a snapshot that a store gave if it is of this account: a store may hold anything."""
        return (
            None
            if snapshot is None or (snapshot.account, snapshot.provider) != (self.label, self.provider)
            else snapshot
        )

    def saw(self, snapshot: AccountBalances | None) -> None:
        """Remember a snapshot if it is the latest."""
        if snapshot is not None and (self.last is None or self.last.fetched_at <= snapshot.fetched_at):
            self.last = snapshot

    def snapshot(self, balances: object, fetched_at: datetime) -> AccountBalances:
        """Make a snapshot of what the provider returned to a request sent at that moment in UTC.

        Raises MalformedResponseError if it is no balances of the account.
        """
        if not isinstance(balances, Iterable):
            reason = f"expected balances, got {type(balances).__name__}"
        else:
            # What a generator raises is the adapter's own, and is not repeated.
            listed = tuple(cast("Iterable[object]", balances))
            try:
                return snapshot_of(self.label, self.provider, listed, fetched_at)
            except (TypeError, ValueError) as error:
                reason = str(error)
        raise MalformedResponseError(reason, account=self.label, provider=self.provider)

    def failure(self, error: BalancekitError) -> AccountFailure:
        """Return the outcome of reading the account in vain."""
        last = None if self.last is None else attrs.evolve(self.last, stale=True)
        return AccountFailure(self.label, self.provider, error, last)

    def late(self, message: str, hint: str = _LATE_HINT) -> ProviderTimeoutError:
        """Return the error of an account that gave no answer in time."""
        return ProviderTimeoutError(message, account=self.label, provider=self.provider, hint=hint)

    def error(self, raised: BaseException) -> BalancekitError:
        """Return the error that reading the account ended with, whatever its provider raised."""
        # An error of somebody's own that leaves out its constructor has none of its facts.
        if isinstance(raised, BalancekitError) and (not isinstance(raised, ProviderError) or hasattr(raised, "hint")):
            return raised
        error: ProviderError | None = None
        with suppress(Exception):
            error = transport_error(raised, account=self.label, provider=self.provider)
        if error is None:
            message = f"the adapter raised {type(raised).__name__}"
            error = attach_cause(ProviderError(message, account=self.label, provider=self.provider), raised)
        return error
