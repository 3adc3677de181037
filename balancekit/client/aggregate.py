"""The client that reads many accounts at once: its accounts, its session, its event loop and its life."""

import asyncio
import logging
import warnings
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import is_not
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from balancekit.client.accounts import Account, Origins, Outcome, accounts_by_label, stand_in, wall_ahead
from balancekit.client.double_counting import count_once
from balancekit.client.options import (
    ReadOptions,
    age,
    checked_aliases,
    checked_flag,
    checked_retry,
    checked_session,
    checked_store,
    interval,
    positive_int,
    positive_seconds,
)
from balancekit.client.retry import RetryPolicy
from balancekit.client.scheduler import Scheduler
from balancekit.client.settling import SETTLE_DELAY, SecondLooks
from balancekit.client.watch import Watch, Watchers
from balancekit.errors import ConfigError, WebhookVerificationError
from balancekit.http.rate_limit import RateLimit
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.merge import MergedBalances, merge
from balancekit.providers.base import BalanceProvider
from balancekit.stores.base import Change, SnapshotStore
from balancekit.stores.fail_open import FailOpenStore
from balancekit.stores.memory import MemoryStore

if TYPE_CHECKING:
    from balancekit.webhooks.events import RawHeaders, WebhookEvent

_log = logging.getLogger(__name__)

_MIN_INTERVAL: Final = 60.0
"""The least value of `every`, in seconds: both providers ask not to be polled."""


class AggregateClient:
    """Reads the balances of many accounts at once and merges them by currency.

    `session` is used and left open; without one the client opens its own and closes it. `concurrency` is how many
    accounts are read at the same time. `timeout` bounds one attempt and `deadline` a whole fetch, in seconds;
    `attempts` is how often an account is tried, the first time included; `retry` replaces it, and sets the delays too.
    `rate_limits` limits the requests to an origin, which is given by a URL, over all accounts at it.
    With `trust_env` the client's own session takes proxies from the environment. `store` keeps the snapshots, and is
    left open; by default they are kept in the memory of this client, and with a `RedisStore` all replicas share them.
    `aliases` is passed to `merge`. `settle_delay` is how many seconds after an event of a webhook the account is looked
    at again, for a balance that the provider books after it has sent the event: such a delay is usually below a second,
    and each burst of events costs one more request. Zero switches that off.

    Raises ConfigError for settings that cannot work, such as two accounts of one label.
    """

    # Here, since `repr` and the finalizer also run for a client whose constructor raised, or never ran.
    _accounts: Mapping[str, Account] = MappingProxyType({})
    _closed = False
    _owned: aiohttp.ClientSession | None = None

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
        settle_delay: float = SETTLE_DELAY,
    ) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trust_env = checked_flag("trust_env", trust_env)
        self._scheduler: Scheduler | None = None
        self._second_looks: SecondLooks | None = None
        self._shared_store: FailOpenStore | None = None
        self._memory = MemoryStore()
        self._watchers = Watchers()
        # The last complete result and the snapshots that it was merged from.
        self._merged: tuple[MergedBalances | None, list[AccountBalances]] = None, []
        origins = Origins()
        problem = origins.set_limits(rate_limits)
        del rate_limits
        if problem:
            raise ConfigError(problem)
        self._accounts = accounts_by_label(providers, origins)
        self._labels = {account.key: account.label for account in self._accounts.values()}
        self._lent = checked_session(session)
        self._given_store = checked_store(store)
        unknown = [account.label for account in self._accounts.values() if account.identity is None]
        if unknown and self._given_store is not None:
            _log.warning(
                "not shared through the store, since nothing distinguishes it from other accounts: %s",
                ", ".join(unknown),
            )
        self._options = ReadOptions(
            concurrency=positive_int("concurrency", concurrency),
            timeout=positive_seconds("timeout", timeout),
            deadline=positive_seconds("deadline", deadline),
            retry=checked_retry(retry, attempts),
        )
        self._aliases = checked_aliases(aliases)
        self._settle_delay = interval("settle_delay", settle_delay, least=0.0)

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

        A snapshot that is no older than `max_age` seconds, and that no webhook has invalidated, is used as it is, and
        callers that want the same account at the same time share one request.

        An account that cannot be read is in `failures` and makes the result not `complete`; with `strict` it raises
        IncompleteError, which carries the same result as `partial`. If its last snapshot is no older than
        `stale_if_error` seconds, the totals hold that one instead, marked as `stale`; it stays a failure. The deadline
        ends the fetch with what has arrived.

        Raises ConfigError for a label that no account has or an invalid age, RuntimeError if the client, or the session
        lent to it, is closed.
        """
        self._check_open()
        selected = self._select(accounts)
        max_age, stale_if_error = age("max_age", max_age), age("stale_if_error", stale_if_error)
        merged = self._merge(await self._read(selected, max_age), stale_if_error)
        if strict:
            merged.raise_for_failures()
        return merged

    def stream(self, accounts: Iterable[str] | None = None, *, max_age: float = 0.0) -> AsyncGenerator[Outcome, None]:
        """Read the accounts and give each outcome as it arrives; aliases are not applied.

        Leaving the loop early ends every request that no other caller waits for; `contextlib.aclosing` does so at once.
        `max_age` is that of `fetch`; without it no snapshot is kept, so that any number of accounts takes little
        memory. Raises as `fetch` does, at the call.
        """
        self._check_open()
        return self._stream(self._select(accounts), age("max_age", max_age))

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
        least), for those that have no webhook. A slow consumer gets the newest state, not every state in between. A
        watch that is cancelled while it waits, as by a timeout around `anext`, has ended.

        Raises as `fetch` does, at the call.
        """
        self._check_open()
        every = None if every is None else interval("every", every, least=_MIN_INTERVAL)
        selected = self._select(accounts)
        max_age, stale_if_error = age("max_age", max_age), age("stale_if_error", stale_if_error)
        return Watch(
            {account.label: account for account in selected},
            self._watchers,
            start_listening=self._start_listening,
            read=self._read,
            merge=lambda outcomes: self._merge(outcomes, stale_if_error),
            max_age=max_age,
            every=every,
        ).states()

    async def invalidate(self, account: str) -> None:
        """Mark the account's balances as possibly changed: no snapshot from before now counts as fresh.

        Raises ConfigError for a label that no account has.
        """
        self._check_open()
        (known,) = self._select([account])
        await self._ready()
        await self._invalidate(known)

    async def handle_webhook(self, account: str, headers: "RawHeaders", body: bytes) -> "WebhookEvent":
        """Verify the delivery of a webhook and act on it; `headers` and `body` are exactly what was received.

        An event after which balances may have changed does what `invalidate` does, and again after `settle_delay`.
        Amounts in it are not used. Deliveries that come twice, late or out of order do no harm.

        Raises WebhookVerificationError, and nothing else, for a delivery that is rejected, also for a label that no
        account has; RuntimeError if the client is closed.
        """
        from balancekit.webhooks.replay import act_once, deduplication_key
        from balancekit.webhooks.verification import verify

        known = self._accounts.get(account)
        try:
            self._check_open()
            source = stand_in(self._accounts, account) if known is None else known.source
            event = verify(source, headers, body, stands_in=known is None)
            key = "" if known is None else deduplication_key(known.key, event, body)
        except WebhookVerificationError as error:
            error.account = None if known is None else account
            raise
        finally:
            # An error keeps this frame, and the headers of a delivery may hold the account's key.
            del headers, body
        if known is not None and event.settled:
            await self._ready()
            await act_once(self._store, key, lambda: self._settle(known))
        return event

    async def aclose(self) -> None:
        """Close the client, and its session if it is its own; what is being read fails. Closing twice is fine."""
        self._closed = True
        self._watchers.close()
        if self._scheduler is not None:
            self._scheduler.close()
        if self._second_looks is not None:
            await self._second_looks.aclose()
        if self._scheduler is not None:
            await self._scheduler.drain()
        if self._shared_store is not None:
            await self._shared_store.aclose()
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.close()

    async def __aenter__(self) -> Self:
        self._check_open()
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

    async def _read(self, accounts: Sequence[Account], max_age: float) -> Iterable[Outcome]:
        async with (await self._ready()).wait_for(accounts, max_age) as waiter:
            return await waiter.all()

    async def _stream(self, accounts: Sequence[Account], max_age: float) -> AsyncGenerator[Outcome, None]:
        async with (await self._ready()).wait_for(accounts, max_age, store_result=max_age > 0) as waiter:
            while (outcome := await waiter.next()) is not None:
                if isinstance(outcome, AccountBalances):
                    outcome = self._accounts[outcome.account].redate(outcome, wall_ahead())
                yield outcome

    def _merge(self, outcomes: Iterable[Outcome], stale_if_error: float) -> MergedBalances:
        ahead, accounts = wall_ahead(), self._accounts
        snapshots = [accounts[one.account].redate(one, ahead) for one in outcomes if isinstance(one, AccountBalances)]
        # Made anew, since a watch keeps failures for long, and the wall clock may be set back in that time.
        failures = [accounts[one.account].to_failure(one.error) for one in outcomes if isinstance(one, AccountFailure)]
        now = datetime.now(UTC)
        for failure in failures:
            last = failure.last_known
            if last is not None and stale_if_error > 0 and last.age(now) <= stale_if_error:
                snapshots.append(last)
        if failures:
            return self._merge_once(snapshots, failures)
        # Callers that get the same snapshots get the same result, which is merged once.
        merged, merged_from = self._merged
        if merged is None or len(merged_from) != len(snapshots) or any(map(is_not, merged_from, snapshots)):
            merged = self._merge_once(snapshots, failures)
            self._merged = merged, snapshots
        return merged

    def _merge_once(self, snapshots: list[AccountBalances], failures: list[AccountFailure]) -> MergedBalances:
        """Merge; of two accounts that list one balance, the one that was given later fails."""
        counted, failed = count_once(
            snapshots,
            failures,
            origin_of=lambda label: self._accounts[label].origin.name,
            labels=self._accounts,
        )
        return merge(counted, failed, aliases=self._aliases)

    async def _start_listening(self) -> None:
        """Listen for changes that other processes make, if the store is shared."""
        await self._ready()
        if self._shared_store is not None:
            await self._shared_store.listen()

    async def _settle(self, account: Account) -> None:
        await self._invalidate(account)
        if self._second_looks is not None and not self._closed:
            self._second_looks.schedule(account.label, lambda: self._invalidate(account))

    async def _invalidate(self, account: Account) -> None:
        await self._store.invalidate(account.key)
        self._on_change(Change(account.key, invalidated=True))

    def _on_change(self, change: Change) -> None:
        if self._scheduler is not None:
            self._scheduler.resume_awaiting_lease(change.key)
        if change.key is None:
            self._watchers.notify(None)
        elif change.invalidated:
            self._watchers.notify(self._labels.get(change.key, ""))

    @property
    def _store(self) -> FailOpenStore | MemoryStore:
        return self._shared_store or self._memory

    async def _ready(self) -> Scheduler:
        """Return the scheduler of the running event loop, which is made at its first use."""
        self._check_open()
        loop = asyncio.get_running_loop()
        if self._scheduler is not None and self._loop is loop:
            return self._scheduler
        earlier_session = self._leave_loop()
        # Everything of this loop is made before the first await, since other callers may come then.
        self._loop = loop
        session = self._lent
        if session is None:
            session = self._owned = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._options.concurrency), trust_env=self._trust_env
            )
        if self._given_store is not None:
            # Invalidations that could not be passed on in an earlier loop are passed on in this one.
            earlier = self._shared_store
            self._shared_store = FailOpenStore(
                self._given_store,
                self._on_change,
                pending_invalidations=None if earlier is None else earlier.pending_invalidations,
            )
        self._second_looks = SecondLooks(self._settle_delay)
        scheduler = self._scheduler = Scheduler(self._options, session, self._store)
        if earlier_session is not None:
            await earlier_session.close()
        return scheduler

    def _leave_loop(self) -> aiohttp.ClientSession | None:
        """Drop what belongs to an earlier event loop, and return its session, which is still to be closed.

        Raises RuntimeError if the client is still in use there.
        """
        is_waiting = self._scheduler is not None and self._scheduler.busy
        if is_waiting or (self._owned is not None and self._loop is not None and not self._loop.is_closed()):
            raise RuntimeError("the client is in use in another event loop")
        if self._second_looks is not None:
            self._second_looks.cancel()
        owned, self._owned, self._scheduler = self._owned, None, None
        return owned

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._lent is not None and self._lent.closed:
            raise RuntimeError("the session lent to this client is closed")
