"""One account: its provider, its origin, what is known of it, and what becomes of that which its provider returns."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TypeAlias, cast
from urllib.parse import quote

import attrs

from balancekit.client.account_state import AccountState, Moment, own_copy
from balancekit.client.origins import Origin
from balancekit.errors import BalancekitError, MalformedResponseError, ProviderError, ProviderTimeoutError
from balancekit.http.echoes import check_names, names_of
from balancekit.http.hints import HINTS
from balancekit.http.known_secrets import credentials_of, secrets_of
from balancekit.http.last_read import forget_last_read, keep_no_longer_than
from balancekit.http.messages import origin_of
from balancekit.http.quotations import Secrets
from balancekit.http.redaction import attach_cause, error_like, exit_like
from balancekit.http.transport import transport_error
from balancekit.money.balances import AccountBalances, AccountFailure, Balance, ReportedBalances
from balancekit.money.exact_json import ShapeError
from balancekit.providers.base import BalanceProvider, HttpProvider
from balancekit.providers.checked import checked_balances, is_written_in
from balancekit.stores.base import Stored

Outcome: TypeAlias = AccountBalances | AccountFailure
"""What reading one account ended with."""


@attrs.define(eq=False, slots=False)
class Account:
    """One account, how to read it and what is known of it; its label and its provider's name were checked.

    `aliases` are the adapter's own, usually none. Once it `is_removed`, it is not read any more.
    """

    label: str
    provider: str
    # An adapter may have a repr of its own, with its keys, and error trackers show the locals of frames.
    source: BalanceProvider = attrs.field(repr=False)
    origin: Origin
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    state: AccountState = attrs.field(
        default=attrs.Factory(lambda self: AccountState(origin_cooldown=self.origin.cooldown), takes_self=True),
        init=False,
    )
    is_removed: bool = attrs.field(default=False, init=False)

    @property
    def signs_time(self) -> bool:
        """Whether its requests are signed with the time, so that an accepted one shows that the clock is right."""
        return bool(getattr(self.source, "signs_time", False))

    @cached_property
    def identities(self) -> frozenset[tuple[str, ...]]:
        """What distinguishes the account from every other of a client, whatever its label, as far as that is known.

        It is known by its request, and by a fingerprint that was set: among those of its provider, and by a request
        with credentials among all. Later changes of the provider's settings do not change it.
        """
        if not isinstance(self.source, HttpProvider):
            return frozenset([(self.provider, "", self.given_fingerprint)] if self.given_fingerprint else [])
        request, base_url = self.source.request_identity, self.source.base_url
        known = {(self.provider, base_url, one) for one in (self.given_fingerprint, request.digest) if one}
        return frozenset(known | {("", base_url, request.digest)} if request.has_secret else known)

    @cached_property
    def given_fingerprint(self) -> str:
        """The fingerprint that was set in place of the one that the request makes; empty if none was."""
        made = self.source.request_identity.fingerprint if isinstance(self.source, HttpProvider) else ""
        return "" if self.fingerprint == made else self.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """What distinguishes the account in all processes, so that it can be shared; empty if nothing does."""
        fingerprint: object = getattr(self.source, "fingerprint", "")
        return fingerprint if isinstance(fingerprint, str) else ""

    @cached_property
    def key(self) -> str:
        """The account's name in a store; a random one if the account cannot be distinguished from others."""
        fingerprint = self.fingerprint
        if fingerprint and isinstance(self.source, HttpProvider):
            # The path of the base URL may hold a token, and names in a store are seen by others.
            base = hashlib.sha256(self.source.base_url.encode()).hexdigest()[:16]
            parts: tuple[str, ...] = (self.provider, f"{origin_of(self.source.base_url)}/{base}", fingerprint)
        else:
            parts = (self.provider, "" if fingerprint else self.origin.name, fingerprint or secrets.token_hex(16))
        # Quoted, so that no part can end where it likes.
        return "|".join(quote(part, safe="/:") for part in (*parts[:-1], self.label, parts[-1]))

    def __str__(self) -> str:
        return f"{self.label} ({self.provider})"

    def accept(self, stored: Stored, *, age: float, moment: Moment) -> AccountBalances | None:
        """Return the snapshot that a store has, dated by its age, or None if it is no snapshot of this account.

        A store may hold anything.
        """
        snapshot = stored.snapshot
        if snapshot is None or (snapshot.account, snapshot.provider) != (self.label, self.provider):
            return None
        return self.state.date(snapshot, age=age, moment=moment)

    def to_snapshot(self, balances: object, fetched_at: datetime) -> AccountBalances:
        """Make a snapshot of what the provider returned to a request that was sent at `fetched_at` (UTC).

        Raises ShapeError if that is anything but balances of this account.
        """
        if not self._is_read_by_base_class:
            balances = checked_balances(balances)
            if balances:
                known = () if self.state.last is None else names_of(self.state.last.balances)
                check_names(names_of(balances), known, credentials_of(self.source))
        reported_at = balances.reported_at if isinstance(balances, ReportedBalances) else None
        try:
            held = cast("tuple[Balance, ...]", balances)
            snapshot = AccountBalances(self.label, self.provider, held, fetched_at, reported_at=reported_at)
        except ValueError as error:
            raise ShapeError(str(error)) from None
        if self._is_read_by_base_class:
            keep_no_longer_than(snapshot, self.source)
        return snapshot

    def forget_read(self) -> None:
        """Have its adapter keep nothing of what it read last: nobody keeps the snapshot."""
        if self._is_read_by_base_class:
            forget_last_read(self.source)

    def to_failure(self, error: BalancekitError, moment: Moment) -> AccountFailure:
        """Make the outcome of a read that ended with an error, of which it has a copy."""
        return AccountFailure(self.label, self.provider, own_copy(error), self.state.stale(moment))

    def to_error(self, raised: BaseException) -> BalancekitError:
        """Return the error that stands for what the account's provider raised, whatever that is."""
        secrets, error = Secrets(), None
        try:
            if isinstance(raised, ShapeError):
                raised = MalformedResponseError(str(raised), account=self.label, provider=self.provider)
            if self._is_read_by_base_class and isinstance(raised, BalancekitError):
                # The frames would keep what it has read.
                return raised.with_traceback(None)
            secrets = secrets_of(self.source)
            if isinstance(raised, BalancekitError):
                return error_like(raised, secrets, account=self.label, provider=self.provider)
            error = transport_error(raised, account=self.label, provider=self.provider, secrets=secrets)
        except Exception:  # noqa: BLE001 - an adapter's exception may fail at whatever is done with it
            error = None
        if error is None:
            message = f"the adapter raised {type(raised).__name__}"
            error = attach_cause(ProviderError(message, account=self.label, provider=self.provider), raised, secrets)
        return error

    def to_exit(self, raised: BaseException) -> BaseException:
        """Return what ends the task or the program as what the account's provider raised does, redacted.

        A cancellation is returned as it is: nobody is shown what ends a task of ours.
        """
        return raised if isinstance(raised, asyncio.CancelledError) else exit_like(raised, secrets_of(self.source))

    @cached_property
    def _is_read_by_base_class(self) -> bool:
        """Whether a base class of ours fetches the balances: it has checked them, and made the errors."""
        # By name, so that the base class of adapters of several requests is imported for these alone.
        read = getattr(self.source.fetch_balances, "__func__", None)
        return is_written_in(HttpProvider.__module__.rpartition(".")[0], read)

    def timeout_error(self, message: str, hint: str | None = HINTS[ProviderTimeoutError]) -> ProviderTimeoutError:
        """Make the error of an account that did not respond in time."""
        return ProviderTimeoutError(message, account=self.label, provider=self.provider, hint=hint)
