"""The origins that accounts are at, and what all accounts at one share: limit, retry budget, cooldown and clock."""

from collections.abc import Mapping
from typing import cast

import attrs
from yarl import URL

from balancekit.client.retry import OriginCooldown, RetryBudget
from balancekit.errors import ConfigError
from balancekit.http.clock_skew import OriginClock
from balancekit.http.rate_limit import Permits, RateLimit
from balancekit.providers.base import BalanceProvider, HttpProvider


@attrs.define(eq=False)
class Origin:
    """What all accounts at one origin (scheme, host and port) share; `name` is the origin.

    The origin of a provider that is not an HttpProvider is unknown; the provider's name takes its place.
    """

    name: str
    budget: RetryBudget = attrs.field(factory=RetryBudget)
    limit: RateLimit | None = None
    permits: Permits = attrs.field(factory=Permits)
    cooldown: OriginCooldown = attrs.field(factory=OriginCooldown)
    clock: OriginClock = attrs.field(factory=OriginClock)


class Origins:
    """The origins of a client's accounts, each made once; `rate_limits` are by URL, or by a provider's name."""

    def __init__(self) -> None:
        self._limits: dict[str, RateLimit] = {}
        self.by_name: dict[str, Origin] = {}

    def set_limits(self, rate_limits: object) -> str:
        """Set the limits; return what is wrong with them, since a URL in the frames of an error may hold a password."""
        limits: object = {} if rate_limits is None else rate_limits
        if not isinstance(limits, Mapping):
            return f"rate_limits: expected limits by URL, got {type(limits).__name__}"
        for url, limit in cast("Mapping[str, object]", limits).items():
            name = _origin_of(url)
            if not isinstance(limit, RateLimit):
                return f"rate_limits: {name}: expected a RateLimit, got {type(limit).__name__}"
            self._limits[name] = limit
        return ""

    def of(self, source: BalanceProvider) -> Origin:
        """Return the origin that a provider sends its requests to."""
        name = source.origin if isinstance(source, HttpProvider) else source.provider
        if name not in self.by_name:
            self.by_name[name] = Origin(name, limit=self._limits.get(name))
        return self.by_name[name]

    def check_all_limits_used(self) -> None:
        """Raise ConfigError for a limit of an origin that has no account: its URL is probably misspelt."""
        for name in self._limits:
            if name not in self.by_name:
                raise ConfigError(f"rate_limits: no account is on {name}; there are {', '.join(self.by_name)}")


def _origin_of(url: object) -> str:
    try:
        return str(URL(cast("str", url)).origin())
    except (TypeError, ValueError):
        # The name of a provider that is not an HttpProvider, or a malformed URL, which may hold a password as well.
        return str(url).rpartition("@")[2]
