"""The client that reads many accounts at once: its accounts, its session and its life."""

import asyncio
import random
import warnings
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import UTC, datetime
from operator import is_not
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from balancekit.client.accounts import Account, Hosts, Outcome
from balancekit.client.options import (
    by_label,
    checked_aliases,
    checked_session,
    checked_store,
    interval,
    positive_int,
    positive_seconds,
    seconds,
)
from balancekit.client.retry import RetryPolicy
from balancekit.client.scheduler import Reader
from balancekit.client.steps import Terms
from balancekit.client.watch import Watchers
from balancekit.errors import ConfigError
from balancekit.http.rate_limit import RateLimit
from balancekit.http.transport import Connector
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.merge import MergedBalances, merge
from balancekit.providers.base import BalanceProvider
from balancekit.stores.base import Change, SnapshotStore
from balancekit.stores.fail_open import FailOpenStore
from balancekit.stores.memory import MemoryStore

if TYPE_CHECKING:
    from balancekit.webhooks.events import RawHeaders, WebhookEvent

_LEAST_EVERY: Final = 60.0
"""How many seconds lie at least between two reads that nothing but time has caused: both providers ask not to poll."""

_TOGETHER: Final = 1.0
"""How many seconds before its own a watch takes the read of another."""


class AggregateClient:
    """Reads the balances of many accounts at once and merges them by currency.

    `session` is used and left open; without one the client opens its own and closes it. `concurrency` is how many
    accounts are read at the same time. `timeout` bounds one attempt and `deadline` a whole fetch, in seconds;
    `attempts` is how often an account is tried, the first time included; `retry` says all of it, delays too, and takes
    the place of `attempts`. `rate_limits` bounds the requests to a host, by its URL, over all accounts on it.
    With `trust_env` the client's own session takes proxies from the environment. `store` keeps the snapshots, and is
    left open; by default they are kept in the memory of this client, and with a `RedisStore` all replicas share them.
    `aliases` is passed to `merge`.

    Raises ConfigError for settings that cannot work, such as two accounts of one label.
    """

    def __init__(
        self,
        providers: Iterable[BalanceProvider],
        *,
        session: aiohttp.ClientSession | None = None,
        concurrency: int = 100,
        timeout: float = 10.0,
        deadline: float = 30.0,
        attempts: int = 3,
        retry: RetryPolicy | None = None,
        rate_limits: Mapping[str, RateLimit] | None = None,
        trust_env: bool = False,
        store: SnapshotStore | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        # Set first: the finalizer runs for a client that could not be made, too.
        self._owned: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trust_env = trust_env
        self._closed = False
        self._reader: Reader | None = None
        self._guard: FailOpenStore | None = None
        self._memory = MemoryStore()
        self._watchers = Watchers()
        self._merged: tuple[MergedBalances | None, list[AccountBalances]] = None, []
        self._accounts = by_label(providers, Hosts({} if rate_limits is None else rate_limits))
        self._labels = {account.key: account.label for account in self._accounts.values()}
        self._lent = checked_session(session)
        self._given_store = checked_store(store)
        self._terms = Terms(
            concurrency=positive_int("concurrency", concurrency),
            timeout=positive_seconds("timeout", timeout),
            deadline=positive_seconds("deadline", deadline),
            retry=retry or RetryPolicy(positive_int("attempts", attempts)),
        )
        self._aliases = checked_aliases(aliases)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The labels of all accounts, in the order in which they were given."""
        return tuple(self._accounts)

    async def fetch(
        self,
        accounts: Iterable[str] | None = None,
        *,
        max_age: float = 0.0,
        stale_if_error: float = 0.0,
        strict: bool = False,
    ) -> MergedBalances:
        """Read the accounts (all, or those of the labels given) and merge their balances by currency.

        A snapshot that is no older than `max_age` seconds, and that no webhook has overtaken, is used as it is, and
        callers that want the same account at the same time share one request.

        An account that cannot be read is in `failures` and makes the result not `complete`; with `strict` it raises
        IncompleteError, which carries the same result as `partial`. If its last snapshot is no older than
        `stale_if_error` seconds, the totals hold that one instead, marked as `stale`; it stays a failure. The deadline
        ends the fetch with what has arrived.

        Raises ConfigError for a label that no account has or an age that is none, RuntimeError if the client, or the
        session lent to it, is closed.
        """
        self._refuse_closed()
        selected, fresh, fair = (
            self._select(accounts),
            seconds("max_age", max_age),
            seconds("stale_if_error", stale_if_error),
        )
        async with (await self._ready()).call(selected, fresh) as call:
            outcomes = await call.all()
        merged = self._merge(outcomes, fair)
        if strict:
            merged.raise_for_failures()
        return merged

    def stream(self, accounts: Iterable[str] | None = None, *, max_age: float = 0.0) -> AsyncGenerator[Outcome, None]:
        """Read the accounts and give each outcome as it arrives; aliases are not applied.

        Leaving the loop early ends every request that nobody else waits for; `contextlib.aclosing` does so at once.
        `max_age` is that of `fetch`; without it no snapshot is kept, so that any number of accounts takes little
        memory. Raises as `fetch` does, at the call.
        """
        self._refuse_closed()
        return self._stream(self._select(accounts), seconds("max_age", max_age))

    def watch(
        self,
        accounts: Iterable[str] | None = None,
        *,
        max_age: float = 0.0,
        every: float | None = None,
        stale_if_error: float = 0.0,
    ) -> AsyncGenerator[MergedBalances, None]:
        """Give what the accounts hold now, and again each time that it may have changed, until the client closes.

        `max_age` is that of the first `fetch`. After that an account is read when a webhook, or `invalidate`, says that
        its balances may have changed, here or in another process with the same store; changes within 50 ms are joined.
        One that could not be read is tried again later. `every` reads all accounts that often, in seconds (60 at
        least), for those that have no webhook. Whoever is slow gets the newest state and not each one. A watch that is
        cancelled while it waits, as by a timeout around `anext`, has ended.

        Raises as `fetch` does, at the call.
        """
        self._refuse_closed()
        pause = None if every is None else interval("every", every, least=_LEAST_EVERY)
        selected, fresh, fair = (
            self._select(accounts),
            seconds("max_age", max_age),
            seconds("stale_if_error", stale_if_error),
        )
        return self._watch(selected, fresh, pause, fair)

    async def invalidate(self, account: str) -> None:
        """Say that the account's balances may have changed: no snapshot from before now is taken for fresh.

        Raises ConfigError for a label that no account has.
        """
        self._refuse_closed()
        await self._invalidate(*self._select([account]))

    async def handle_webhook(self, account: str, headers: "RawHeaders", body: bytes) -> "WebhookEvent":
        """Verify the delivery of a webhook and act on it; `headers` and `body` are exactly what was received.

        An event after which balances may have changed does what `invalidate` does. Nothing that it says of amounts is
        believed. Deliveries that come twice, late or out of order do no harm.

        Raises WebhookVerificationError, and nothing else, for a delivery that is refused, be it for an account that is
        not there; RuntimeError if the client is closed.
        """
        from balancekit.webhooks.replay import act_once, deduplication_key
        from balancekit.webhooks.verification import verify

        try:
            self._refuse_closed()
            known = self._accounts.get(account)
            event = verify(None if known is None else known.source, headers, body)
            key = "" if known is None else deduplication_key(known.key, event, body)
        finally:
            # An error keeps this frame, and the headers of a delivery may hold the account's key.
            del headers, body
        if known is not None and event.settled:
            await act_once((await self._ready()).store, key, lambda: self._invalidate(known))
        return event

    async def aclose(self) -> None:
        """Close the client, and its session if it is its own; what is being read fails. Closing twice is fine."""
        self._closed = True
        self._watchers.close()
        if self._reader is not None:
            self._reader.close()
            await self._reader.ended()
        if self._guard is not None:
            await self._guard.aclose()
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.close()

    async def __aenter__(self) -> Self:
        self._refuse_closed()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._owned is not None and not self._owned.closed:
            warnings.warn(f"{self!r} was dropped without aclose()", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"AggregateClient({len(self._accounts)} accounts{', closed' if self._closed else ''})"

    def _select(self, accounts: Iterable[str] | None) -> list[Account]:
        if accounts is None:
            return list(self._accounts.values())
        if isinstance(accounts, str):
            raise ConfigError(f"accounts: expected a list of labels, got the string {accounts!r}")
        selected: dict[str, Account] = {}
        for label in accounts:
            if label not in self._accounts:
                raise ConfigError(f"accounts: no account is labelled {label!r}")
            selected[label] = self._accounts[label]
        return list(selected.values())

    async def _stream(self, accounts: list[Account], max_age: float) -> AsyncGenerator[Outcome, None]:
        async with (await self._ready()).call(accounts, max_age, keeps=max_age > 0) as call:
            while (outcome := await call.next()) is not None:
                yield outcome

    def _merge(self, outcomes: Iterable[Outcome], stale_if_error: float) -> MergedBalances:
        snapshots = [outcome for outcome in outcomes if isinstance(outcome, AccountBalances)]
        failures = [outcome for outcome in outcomes if isinstance(outcome, AccountFailure)]
        now = datetime.now(UTC)
        for failure in failures:
            last = failure.last_known
            if last is not None and stale_if_error > 0 and last.age(now) <= stale_if_error:
                snapshots.append(last)
        if failures:
            return merge(snapshots, failures, aliases=self._aliases)
        # A thousand askers that are given the same snapshots are given the same result.
        merged, of = self._merged
        if merged is None or len(of) != len(snapshots) or any(map(is_not, of, snapshots)):
            merged = merge(snapshots, aliases=self._aliases)
            self._merged = merged, snapshots
        return merged

    async def _watch(
        self, accounts: list[Account], max_age: float, every: float | None, stale_if_error: float
    ) -> AsyncGenerator[MergedBalances, None]:
        labels = tuple(account.label for account in accounts)
        held: dict[str, Outcome] = {}
        told: MergedBalances | None = None
        until: float | None = None
        noted: dict[str, float] | None = {}
        loop = asyncio.get_running_loop()
        if not await self._listens():
            return
        # After that, which is told as a change of anything.
        watcher = self._watchers.open(labels)
        try:
            while True:
                async with (await self._ready()).call(accounts, max_age) as call:
                    for outcome in await call.all():
                        held[outcome.account] = outcome
                        self._watchers.learn(outcome)
                if self._closed:
                    return
                merged = self._merge(held.values(), stale_if_error)
                if merged != told:
                    told = merged
                    yield merged
                # Not after a change: those of one account must not put off the others for ever.
                if every is not None and not noted:
                    until = loop.time() + every * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
                noted = await watcher.changes(until)
                if noted is None:
                    return
                accounts = [self._accounts[label] for label in noted or labels]
                # What was read since the change will do, and so will what is being read for another watch.
                max_age = loop.time() - min(noted.values()) + _TOGETHER if noted else _TOGETHER
        finally:
            self._watchers.leave(watcher)

    async def _listens(self) -> bool:
        """Begin to hear of changes, if others may make them; False if the client is closed."""
        if not self._closed:
            await self._ready()
            if self._guard is not None:
                await self._guard.listen()
        return not self._closed

    async def _invalidate(self, account: Account) -> None:
        await (await self._ready()).store.invalidate(account.key)
        self._told(Change(account.key, invalidated=True))

    def _told(self, change: Change) -> None:
        if self._reader is not None:
            self._reader.changed(change.key)
        if change.key is None:
            self._watchers.note(None)
        elif change.invalidated:
            self._watchers.note(self._labels.get(change.key, ""))

    async def _ready(self) -> Reader:
        """Return what reads in this event loop, with its session; made at the first use."""
        self._refuse_closed()
        loop = asyncio.get_running_loop()
        if self._reader is not None and self._loop is loop:
            return self._reader
        if self._loop is not None and self._loop is not loop:
            await self._leave_loop(self._loop)
        self._loop = loop
        session = self._lent
        if session is None:
            session = self._owned = aiohttp.ClientSession(
                connector=Connector(limit=self._terms.concurrency),
                # The provider's answers depend on the request alone.
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self._trust_env,
                # The client's own timeouts govern.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            )
        self._guard = None if self._given_store is None else self._make_guard(self._given_store)
        self._reader = Reader(self._terms, session, self._guard or self._memory)
        return self._reader

    def _make_guard(self, store: SnapshotStore) -> FailOpenStore:
        # What one of an earlier loop could not tell is not forgotten.
        return FailOpenStore(
            store, self._told, pending_invalidations=None if self._guard is None else self._guard.pending_invalidations
        )

    async def _leave_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the loop of an earlier use, which must have ended; nothing of it can be used in another."""
        if (self._reader is not None and self._reader.busy) or (self._owned is not None and not loop.is_closed()):
            raise RuntimeError("the client is in use in another event loop")
        owned, self._owned, self._reader = self._owned, None, None
        if owned is not None:
            await owned.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._lent is not None and self._lent.closed:
            raise RuntimeError("the session lent to this client is closed")
