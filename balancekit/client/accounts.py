"""The accounts of a client and the origins that they are at: what is known of each, for as long as the client lives."""

import asyncio
import math
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Final, TypeAlias, cast
from urllib.parse import quote
from zlib import crc32

import attrs
from yarl import URL

from balancekit.client.retry import RetryBudget
from balancekit.errors import BalancekitError, ConfigError, MalformedResponseError, ProviderError, ProviderTimeoutError
from balancekit.http.clock_skew import OriginClock
from balancekit.http.hints import HINTS
from balancekit.http.rate_limit import RateLimit, RateLimiter
from balancekit.http.redaction import attach_cause, redact_exception, secrets_of
from balancekit.http.transport import transport_error
from balancekit.money.balances import AccountBalances, AccountFailure, Balance
from balancekit.money.currencies import check_label
from balancekit.providers.base import BalanceProvider, HttpProvider

CLOCK_DRIFT: Final = 1.0
"""How many seconds two clocks may drift apart before one of them must have been set, or the machine suspended."""

Outcome: TypeAlias = AccountBalances | AccountFailure
"""What reading one account ended with."""


@attrs.define(eq=False)
class Origin:
    """What all accounts at one origin (scheme, host and port) share; `name` is the origin.

    The origin of a provider that is not an HttpProvider is unknown; the provider's name takes its place.
    """

    name: str
    budget: RetryBudget = attrs.field(factory=RetryBudget)
    limiter: RateLimiter | None = None
    clock: OriginClock = attrs.field(factory=OriginClock)


@attrs.define(eq=False, slots=False)
class Account:
    """One account and how to read it; its label and its provider's name are read once and checked.

    `last` is the latest snapshot that this process has seen, and `is_down` whether the last read failed.
    """

    label: str
    provider: str
    source: BalanceProvider
    origin: Origin
    is_down: bool = False
    last: AccountBalances | None = attrs.field(default=None, init=False)
    # When the request of `last` was sent, in the time of the event loop, and how far ahead of the monotonic clock the
    # wall clock then was by its `fetched_at`.
    _sent_at: float = attrs.field(default=-math.inf, init=False)
    _wall_ahead: float = attrs.field(default=0.0, init=False)
    # `last` with the `fetched_at` that is shown, once the wall clock has been set back.
    _redated: AccountBalances | None = attrs.field(default=None, init=False)

    @property
    def signs_time(self) -> bool:
        """Whether its requests are signed with the time, so that an accepted one shows that the clock is right."""
        return bool(getattr(self.source, "signs_time", False))

    @property
    def identity(self) -> tuple[str, ...] | None:
        """What tells the account from every other, whatever its label; None if that is not known."""
        fingerprint = getattr(self.source, "fingerprint", "")
        if not isinstance(fingerprint, str) or not fingerprint:
            return None
        base_url = self.source.base_url if isinstance(self.source, HttpProvider) else ""
        return self.provider, base_url, fingerprint

    @cached_property
    def key(self) -> str:
        """The account's name in a store; a random one if the account cannot be distinguished from others."""
        parts = self.identity or (self.provider, self.origin.name, secrets.token_hex(16))
        # Quoted, so that no part can end where it likes.
        return "|".join(quote(part, safe="/:") for part in (*parts[:-1], self.label, parts[-1]))

    def __str__(self) -> str:
        return f"{self.label} ({self.provider})"

    def accept(self, snapshot: AccountBalances | None) -> AccountBalances | None:
        """Return a snapshot from a store if it is this account's, otherwise None: a store may hold anything."""
        if snapshot is None or (snapshot.account, snapshot.provider) != (self.label, self.provider):
            return None
        return snapshot

    def remember(self, snapshot: AccountBalances, *, sent_at: float) -> None:
        """Keep a snapshot that this process has read as the last one, unless a later one is known.

        `sent_at` is when its request was sent, in the time of the event loop: the wall clock may be set back.
        """
        if sent_at >= self._sent_at:
            self._keep(snapshot, sent_at)

    def remember_stored(self, snapshot: AccountBalances, *, age: float) -> None:
        """Keep a snapshot that is `age` seconds old, as a store says, as the last one, unless a younger one is known.

        The store counts the time in which this machine is suspended.
        """
        now, age = asyncio.get_running_loop().time(), max(0.0, age)
        if age <= now - self._sent_at + max(0.0, wall_ahead() - self._wall_ahead):
            self._keep(snapshot, now - age)

    def _keep(self, snapshot: AccountBalances, sent_at: float) -> None:
        self.last, self._sent_at, self._redated = snapshot, sent_at, None
        sent_monotonic = time.monotonic() - (asyncio.get_running_loop().time() - sent_at)
        self._wall_ahead = snapshot.fetched_at.timestamp() - sent_monotonic

    def redate(self, snapshot: AccountBalances, ahead: float) -> AccountBalances:
        """Return a snapshot as it is to be shown now that the wall clock is so far `ahead` of the monotonic one.

        If the wall clock has been set back, or that of another process is ahead, its `fetched_at` is earlier by that:
        no snapshot is shown as younger than it is.
        """
        too_late = self._wall_ahead - ahead
        if too_late <= CLOCK_DRIFT or snapshot is not self.last:
            return snapshot
        fetched_at = snapshot.fetched_at - timedelta(seconds=too_late)
        # The same object each time, so that callers share one result.
        if self._redated is None or abs((self._redated.fetched_at - fetched_at).total_seconds()) > CLOCK_DRIFT:
            self._redated = attrs.evolve(snapshot, fetched_at=fetched_at)
        return self._redated

    def to_snapshot(self, balances: object, fetched_at: datetime) -> AccountBalances:
        """Make a snapshot of what the provider returned to a request that was sent at `fetched_at` (UTC).

        Raises MalformedResponseError if that is anything but balances of this account.
        """
        if not isinstance(balances, Iterable):
            reason = f"expected balances, got {type(balances).__name__}"
        else:
            # Outside the `try`: an exception of the adapter's own generator may have any text, so it is not shown here.
            listed = tuple(cast("Iterable[object]", balances))
            try:
                return AccountBalances(self.label, self.provider, cast("tuple[Balance, ...]", listed), fetched_at)
            except (TypeError, ValueError) as error:
                reason = str(error)
        raise MalformedResponseError(reason, account=self.label, provider=self.provider)

    def to_failure(self, error: BalancekitError) -> AccountFailure:
        """Make the outcome of a read that ended with an error; it carries the last snapshot, marked as stale."""
        last = None if self.last is None else attrs.evolve(self.redate(self.last, wall_ahead()), stale=True)
        return AccountFailure(self.label, self.provider, error, last)

    def to_error(self, raised: BaseException) -> BalancekitError:
        """Return the error that stands for what the account's provider raised, whatever that is."""
        # A subclass that does not call its base's constructor has none of an error's attributes.
        if isinstance(raised, BalancekitError) and (not isinstance(raised, ProviderError) or hasattr(raised, "hint")):
            # An HttpProvider has done so itself.
            return raised if isinstance(self.source, HttpProvider) else redact_exception(raised, self._secrets())
        error: ProviderError | None = None
        secrets = self._secrets()
        with suppress(Exception):
            error = transport_error(raised, account=self.label, provider=self.provider, secrets=secrets)
        if error is None:
            message = f"the adapter raised {type(raised).__name__}"
            error = attach_cause(ProviderError(message, account=self.label, provider=self.provider), raised, secrets)
        return error

    def _secrets(self) -> Collection[str]:
        with suppress(Exception):
            return secrets_of(self.source)
        return ()

    def timeout_error(self, message: str, hint: str | None = HINTS[ProviderTimeoutError]) -> ProviderTimeoutError:
        """Make the error of an account that did not respond in time."""
        return ProviderTimeoutError(message, account=self.label, provider=self.provider, hint=hint)


class Origins:
    """The origins of a client's accounts, each made once; `rate_limits` are by URL, or by a provider's name."""

    def __init__(self) -> None:
        self._limits: dict[str, RateLimit] = {}
        self._origins: dict[str, Origin] = {}

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
        if name not in self._origins:
            limit = self._limits.get(name)
            self._origins[name] = Origin(name, limiter=None if limit is None else RateLimiter(limit))
        return self._origins[name]

    def check_all_limits_used(self) -> None:
        """Raise ConfigError for a limit of an origin that has no account: its URL is probably misspelt."""
        for name in self._limits:
            if name not in self._origins:
                raise ConfigError(f"rate_limits: no account is on {name}; there are {', '.join(self._origins)}")


def wall_ahead() -> float:
    """Return how many seconds the wall clock is ahead of the monotonic one: less, once it has been set back."""
    return time.time() - time.monotonic()


def accounts_by_label(providers: object, origins: Origins) -> dict[str, Account]:
    """Return the accounts of the providers by label; ConfigError for what is not a provider, and for a label twice."""
    if not isinstance(providers, Iterable):
        raise ConfigError(f"providers: expected a list of providers, got {type(providers).__name__}")
    accounts: dict[str, Account] = {}
    labels: dict[tuple[str, ...], str] = {}
    for index, source in enumerate(cast("Iterable[object]", providers)):
        if not isinstance(source, BalanceProvider):
            lacking = [name for name in ("account", "provider", "fetch_balances") if not hasattr(source, name)]
            raise ConfigError(
                f"providers[{index}]: {type(source).__name__} is no BalanceProvider: it lacks {', '.join(lacking)}"
            )
        try:
            account = Account(check_label(source.account), check_label(source.provider), source, origins.of(source))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"providers[{index}]: {error}") from None
        if account.label in accounts:
            raise ConfigError(f"providers[{index}]: a second account is labelled {account.label!r}")
        if account.identity is not None:
            other = labels.setdefault(account.identity, account.label)
            if other != account.label:
                raise ConfigError(
                    f"providers[{index}]: {account.label!r} would be counted twice: it has the same credentials at the "
                    f"same base URL as {other!r}"
                )
        accounts[account.label] = account
    origins.check_all_limits_used()
    return accounts


def stand_in(accounts: Mapping[str, Account], label: str) -> BalanceProvider | None:
    """Return the provider of some account, always the same one for a label; None if there are no accounts."""
    index = crc32(label.encode("utf-8", "replace")) % max(len(accounts), 1)
    return next((account.source for account in islice(accounts.values(), index, None)), None)


def _origin_of(url: object) -> str:
    try:
        return str(URL(cast("str", url)).origin())
    except (TypeError, ValueError):
        # The name of a provider that is not an HttpProvider, or a malformed URL, which may hold a password as well.
        return str(url).rpartition("@")[2]
