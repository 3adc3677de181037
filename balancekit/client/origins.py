"""The origins that accounts are at, and what all accounts at one share: limit, retry budget, cooldown and clock."""

import math
import re
from collections.abc import Mapping
from typing import Final, Protocol, cast
from weakref import WeakSet

import attrs

from balancekit.client.retry import OriginCooldown, RetryBudget
from balancekit.errors import ConfigError, without_frames
from balancekit.http.clock_skew import OriginClock
from balancekit.http.messages import origin_of
from balancekit.http.rate_limit import Permits, RateLimit
from balancekit.http.secret import looks_like_words
from balancekit.providers.base import BalanceProvider, HttpProvider
from balancekit.stores.forgetting import forget_some


class OriginUser:
    """The accounts of one client: an origin at which one of them is, is not forgotten as long as this exists."""


class CooldownListener(Protocol):
    """What is to know of the cooldowns of origins."""

    def on_cooldown(self, origin: "Origin") -> None:
        """Act on a cooldown that an origin has begun."""
        ...


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
    users: WeakSet[OriginUser] = attrs.field(factory=WeakSet[OriginUser])
    # The schedulers that have queued accounts here, of all clients that share it.
    listeners: WeakSet[CooldownListener] = attrs.field(factory=WeakSet[CooldownListener])
    # When its cooldown was last looked up in a store that is shared.
    looked_up_at: float = -math.inf

    @property
    def key(self) -> str:
        """Its name in a store, which is no account's."""
        return f"origin {self.name}"

    def announce_cooldown(self) -> None:
        """Call `on_cooldown` of every listener: the cooldown has begun, or lasts longer than was known."""
        for listener in list(self.listeners):
            listener.on_cooldown(self)

    def is_over(self, now: float) -> bool:
        """Whether it has no account any more, and nothing of it would count for one that comes later."""
        if self.users or self.cooldown.remaining(now) > 0 or not self.budget.is_full(now):
            return False
        return self.limit is None or self.permits.all_free(now)


class Origins:
    """The origins of accounts, with what all accounts at one share: its rate limit, retry budget and cooldown.

    Give the same `Origins` to several clients that run in one event loop, for example one for each tenant, and they
    keep these together. `rate_limits` are by URL; an origin need not have an account yet. An origin without accounts
    is remembered as long as a 429 or the window of its limit counts. Raises ConfigError for what cannot be a limit.
    """

    @without_frames
    def __init__(self, rate_limits: Mapping[str, RateLimit] | None = None) -> None:
        self._limits: dict[str, RateLimit] = {}
        self._by_name: dict[str, Origin] = {}
        limits = cast("object", {} if rate_limits is None else rate_limits)
        if not isinstance(limits, Mapping):
            raise ConfigError(f"rate_limits: expected limits by URL, got {type(limits).__name__}")
        for url, limit in cast("Mapping[str, object]", limits).items():
            name = limited_origin(url)
            if not isinstance(limit, RateLimit):
                raise ConfigError(f"rate_limits: {name}: expected a RateLimit, got {type(limit).__name__}")
            self._limits[name] = limit

    def of(self, source: BalanceProvider, now: float) -> Origin:
        """Return the origin that a provider sends its requests to; `now` is of the monotonic clock."""
        name = source.origin if isinstance(source, HttpProvider) else source.provider
        origin = self._by_name.get(name)
        if origin is None:
            forget_some(self._by_name, lambda other: other.is_over(now))
            origin = self._by_name[name] = Origin(name, limit=self._limits.get(name))
        return origin

    def check_all_limits_used(self) -> None:
        """Raise ConfigError for a limit of an origin that has no account: its URL is probably misspelt."""
        for name in self._limits:
            if name not in self._by_name:
                there = ", ".join(self._by_name) or "no accounts"
                raise ConfigError(
                    f"rate_limits: no account is on {name}; there are {there}. If one is added later, use "
                    "AggregateClient(origins=Origins(rate_limits=...))"
                )

    def __repr__(self) -> str:
        return f"Origins({len(self._by_name)} known)"


_HOST: Final = re.compile(r"(?:(?:\w+:)?//)?(?:[^/?#]*@)?(\[?[\w.-]*)")
_NAME: Final = re.compile(r"[\w .-]+")


def limited_origin(url: object) -> str:
    """Return the origin that a limit is for; of what is no URL, only what may be shown."""
    try:
        return origin_of(cast("str", url))
    except (TypeError, ValueError):
        text = str(url)
    # The name of a provider that is not an HttpProvider, or a malformed URL, which may hold a password or a key: that
    # is no account's, and only what may be its host is kept for the message.
    host = _HOST.match(text)
    shown = text if _NAME.fullmatch(text) or host is None else host[1]
    return shown if shown and looks_like_words(shown) else "a malformed URL"
