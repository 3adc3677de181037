"""One account of a client: how to read it, what is known of it, and how its outcomes are made."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final, cast

import attrs

from balancekit.balances import AccountBalances, AccountFailure, snapshot_of
from balancekit.causes import blame
from balancekit.errors import BalancekitError, MalformedResponseError, ProviderError, ProviderTimeoutError
from balancekit.hosts import Host
from balancekit.provider import BalanceProvider, HttpProvider
from balancekit.transport import translate

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
            error = translate(raised, account=self.label, provider=self.provider)
        if error is None:
            message = f"the adapter raised {type(raised).__name__}"
            error = blame(ProviderError(message, account=self.label, provider=self.provider), raised)
        return error
