"""What an `AggregateClient` consists of: its accounts, what is known of them, and its part in the running event loop.

Nothing here refers to the client itself, so that one that is dropped without being closed is noticed at once.
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial

import aiohttp

from balancekit.client.account_book import AccountBook
from balancekit.client.account_state import Moment
from balancekit.client.accounts import Account, Outcome
from balancekit.client.flights import CallOptions
from balancekit.client.keeper import Keeper
from balancekit.client.options import ReadOptions
from balancekit.client.results import Results
from balancekit.client.runtime import Runtime
from balancekit.client.watch import Watch, WatchOptions
from balancekit.clock import check_time_passes
from balancekit.http.connections import Proxy
from balancekit.logs import Log
from balancekit.money.balances import AccountFailure
from balancekit.money.merged import MergedBalances
from balancekit.stores.base import Change, SnapshotStore
from balancekit.stores.recent_events import RecentEvents
from balancekit.stores.tasks import finish
from balancekit.webhooks.replay import Delivery, LatestDeliveries, act_once

_log = Log(__name__)


class ClientCore:
    """Reads the accounts of the `book` in whichever event loop is running; settings are those of `AggregateClient`."""

    def __init__(
        self,
        book: AccountBook,
        options: ReadOptions,
        *,
        lent: aiohttp.ClientSession | None,
        proxy: Proxy,
        store: SnapshotStore | None,
        aliases: Mapping[str, str],
        settle_delay: float,
    ) -> None:
        self.book = book
        self.closed: bool = False
        self.runtime: Runtime | None = None
        self._options = options
        self._clock = options.clock
        self._lent = lent
        self._proxy = proxy
        self._given_store = store
        self._settle_delay = settle_delay
        self._context = contextvars.copy_context()
        self._results = Results(book, aliases)
        self._keeper = Keeper(self._clock, book, refresh=self._refresh, listen=self._listen, merge=self._merge_watched)
        self.deliveries: LatestDeliveries = LatestDeliveries()
        self._events = RecentEvents(self._clock)
        self._log_not_shared(book.values())

    def check_open(self) -> None:
        """Raise RuntimeError if the client, or the session lent to it, is closed."""
        if self.closed:
            raise RuntimeError("the client is closed")
        if self._lent is not None and self._lent.closed:
            raise RuntimeError("the session lent to this client is closed")

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, and nothing waits for its time."""
        return self._keeper.idle and (self.runtime is None or self.runtime.scheduler.idle)

    def moment(self) -> Moment:
        """Return this moment."""
        return Moment.of(self._clock)

    async def fetch(
        self, accounts: Mapping[str, Account], options: CallOptions, *, is_all: bool, stale_for: float
    ) -> MergedBalances:
        """Read accounts and merge what they hold; after a failure with a snapshot of up to `stale_for` seconds."""
        labels = None if is_all else tuple(accounts)
        # In another event loop, or none yet, what an earlier one has left undone comes first.
        is_here = self.runtime is not None and self.runtime.loop is asyncio.get_running_loop()
        may_be_cached = self._given_store is None and options.max_age > 0 and is_here
        if may_be_cached:
            merged = self._results.cached(labels, stale_for, options.max_age, self.moment())
            if merged is not None:
                return merged
        revision = self.book.revision
        runtime = await self.ready()
        async with runtime.scheduler.wait_for(accounts.values(), options) as waiter:
            outcomes = await waiter.all()
        merged = self._results.of_outcomes(outcomes, accounts, labels, stale_for, self.moment())
        if self.book.revision != revision:
            # One of them may have been removed.
            self._results.forget_all()
        elif may_be_cached:
            self._results.remember(labels, list(accounts.values()), stale_for, merged)
        return merged

    async def stream(self, accounts: Mapping[str, Account], options: CallOptions) -> AsyncGenerator[Outcome, None]:
        """Read accounts and give each outcome as it arrives."""
        runtime = await self.ready()
        async with runtime.scheduler.wait_for(accounts.values(), options) as waiter:
            while (outcome := await waiter.next()) is not None:
                account = accounts[outcome.account]
                if isinstance(outcome, AccountFailure):
                    yield account.to_failure(outcome.error, self.moment())
                else:
                    yield account.state.instead_of(outcome, self.moment())
                # Released now: it may hold thousands of balances, and the next may take long.
                del outcome

    def latest(self, accounts: Mapping[str, Account], *, is_all: bool) -> MergedBalances:
        """Merge the last that is known of accounts."""
        return self._results.of_known(accounts, None if is_all else tuple(accounts), self.moment())

    def watch(self, accounts: Mapping[str, Account] | None, options: WatchOptions) -> Watch:
        """Make a watch of those accounts, or of all."""
        return Watch(self._keeper, accounts, options)

    def stop_watching(self) -> None:
        """End every watch, and each later one when it begins."""
        self._keeper.close()

    async def invalidate(self, account: Account) -> None:
        """Note that an account's balances may have changed, for all that share the store."""
        await self._invalidate(await self.ready(), account)

    async def settle(self, account: Account, delivery: Delivery) -> None:
        """Act on an event after which balances may have changed, once, and look again after a while."""
        runtime = await self.ready()

        async def invalidate_twice() -> None:
            await self._invalidate(runtime, account)
            if not self.closed:
                runtime.second_looks.schedule(account.label, partial(self._look_again, runtime, account.label))

        await act_once(runtime.store or self._events, self.deliveries, delivery, invalidate_twice)

    def add(self, provider: object) -> None:
        """Add the account of a provider, in the event loop that was entered."""
        account = self.book.add(provider, "provider")
        self._log_not_shared([account])
        self._results.forget()
        self._keeper.on_added(account)

    async def remove(self, label: str) -> None:
        """Remove an account; callers that wait for it get a failure."""
        await self.enter_loop()
        account = self.book.remove(label)
        self._results.forget_all()
        if self.runtime is not None:
            self.runtime.scheduler.forget(account)
            if self.runtime.store is not None:
                self.runtime.store.forget(account.key)
        self._keeper.on_removed(account)

    async def aclose(self) -> None:
        """End everything, within a second."""
        self.closed = True
        self._keeper.close()
        if self.runtime is not None:
            # A caller that is cancelled does not come back to close the rest.
            await finish(self.runtime.aclose)

    async def enter_loop(self) -> None:
        """Have what an earlier event loop was used for go on in the running one, as `ready` does, if there is anything.

        Whatever notifies watches has to come here first: their timers are those of the loop in which that is done.
        """
        self.check_open()
        if self.runtime is not None:
            await self.ready()

    async def ready(self) -> Runtime:
        """Return the part in the running event loop, which is made at its first use there."""
        self.check_open()
        # Each time: a test may freeze it in the middle.
        check_time_passes()
        earlier = self.runtime
        if earlier is not None and earlier.loop is asyncio.get_running_loop() and not earlier.has_ended:
            return earlier
        if earlier is not None and earlier.is_in_use:
            raise RuntimeError("the client is in use in another event loop; for threads there is balancekit.blocking")
        pending = None if earlier is None or earlier.store is None else earlier.store.pending_invalidations
        # Everything of this loop is made before the first await, since other callers may come then.
        runtime = self.runtime = Runtime.make(
            self._options,
            self.book.origins,
            lent=self._lent,
            proxy=self._proxy,
            store=self._given_store,
            pending_invalidations=pending,
            settle_delay=self._settle_delay,
            on_read=self._on_read,
            on_change=self._on_change,
            on_end=self._on_end,
        )
        await runtime.begin()
        if earlier is not None:
            self._take_over_looks(earlier, runtime)
            await earlier.leave()
        return runtime

    def _on_end(self) -> None:
        self._keeper.leave_loop()
        # A result that is cached would keep the next caller from `ready`, which takes over what the loop left undone.
        self._results.forget()

    def _take_over_looks(self, earlier: Runtime, runtime: Runtime) -> None:
        now = self._clock.monotonic()
        for label, at in earlier.second_looks.pending.items():
            account = self.book.get(label)
            if account is not None and at <= now:
                # Now, so that no caller takes a snapshot from before; the others that share the store learn of it soon.
                account.state.invalidate(self.moment())
                self._results.forget()
            runtime.second_looks.schedule_at(at, label, partial(self._look_again, runtime, label))

    async def _look_again(self, runtime: Runtime, label: str) -> None:
        # The account that has the label by then: its key may have been rotated since the event.
        account = self.book.get(label)
        if account is not None:
            await self._invalidate(runtime, account)

    def _log_not_shared(self, accounts: Iterable[Account]) -> None:
        unknown = [account.label for account in accounts if not account.fingerprint]
        if unknown and self._given_store is not None:
            _log.warning(
                "not shared through the store, since nothing distinguishes it from other accounts: %s",
                ", ".join(unknown),
            )

    async def _invalidate(self, runtime: Runtime, account: Account) -> None:
        since = self._clock.monotonic()
        try:
            if runtime.store is not None:
                # Nobody is given the snapshot from before while the store takes its time.
                account.state.invalidate(self.moment(), since=since)
                self._results.forget()
                await runtime.store.invalidate(account.key)
        finally:
            # Also if the caller has not waited for the store, which is then given it later. What was read in between
            # has the version that the store had before.
            self._on_change(Change(account.key, invalidated=True), since=since)

    def _merge_watched(self, watch: Watch) -> MergedBalances:
        return self._results.of_watched(watch, self.moment())

    def _refresh(self, accounts: Sequence[Account], max_age: float) -> None:
        if self.runtime is not None and not self.closed:
            # In the context in which the client was made: the current one may be that of a read, as adapters left it.
            self._context.copy().run(self.runtime.scheduler.refresh, accounts, max_age=max_age)

    async def _listen(self) -> None:
        """Have changes that other processes make reported, if the store is shared."""
        runtime = await self.ready()
        if runtime.store is not None:
            runtime.store.run_in_background(runtime.store.listen())

    def _on_read(self, account: Account) -> None:
        self._results.forget()
        if self._keeper.has_watches:
            self._keeper.on_read(account)

    def _on_change(self, change: Change, *, since: float | None = None) -> None:
        """Act on a change of what is stored, here (then `since` is given) or in another process."""
        if self.runtime is not None:
            self.runtime.scheduler.resume_awaiting_lease(change.key)
        if change.key is None:
            self._keeper.on_lost()
            return
        account = self.book.by_key(change.key)
        if account is None:
            return
        if change.invalidated:
            account.state.invalidate(self.moment(), since=since)
            self._results.forget()
            self._keeper.on_invalidated(account)
        elif not change.released:
            self._keeper.on_put(account)
