"""What all accounts on one host share: the retries it may be sent, its limit on the rate, and the time on its clock."""

from collections.abc import Mapping

import attrs
from yarl import URL

from balancekit.budget import RetryBudget
from balancekit.errors import ConfigError
from balancekit.provider import BalanceProvider, HttpProvider
from balancekit.rate_limit import RateLimit, RateLimiter


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
