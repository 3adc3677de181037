"""Keeping accounts up to date while they are watched: what is read again and when, and when watches are notified."""

import math
import random
import time
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Final

from balancekit.client.account_state import CLOCK_DRIFT, Moment
from balancekit.client.accounts import Account
from balancekit.client.schedule import Schedule
from balancekit.client.watch import Watch
from balancekit.clock import Clock, Timer
from balancekit.errors import ProviderError
from balancekit.money.merged import MergedBalances

DEBOUNCE: Final = 0.05
"""For how many seconds changes, and what is read, are joined."""

_MERGE_SHARE: Final = 0.2
"""Which part of the time watches may take to merge, at most: the more that takes, the longer results are joined."""

_MERGE_WAITS: Final = 0.2
"""How many seconds, beside twice its CPU time, a merge counts for at most: for the rest the process was stopped."""

_JOIN_WINDOW: Final = 1.0
"""How old, in seconds, a snapshot may be that makes a slow refresh unnecessary: another watch has just read it."""

_BEGIN_WITHIN: Final = 2.0
"""After how many seconds a watch gives its first state, read or not: a store that hangs takes one of them."""

_SHOW_PENDING_AFTER: Final = 1.0
"""After how many seconds an account that may have changed, and has not been read since, is shown as stale."""

_FIRST_RETRY: Final = 5.0
_LAST_RETRY: Final = 300.0
# In seconds: a longer Retry-After is probably in another unit.
_MAX_RETRY_AFTER: Final = 3600.0


class Keeper:
    """Reads the accounts that are watched again, once for all watches of a client.

    `refresh` reads accounts in the background, unless a snapshot is no older than a number of seconds; `accounts` are
    those of the client, by label. `listen` has the changes of other processes reported. `merge` makes the next state of
    a watch.
    """

    def __init__(
        self,
        clock: Clock,
        accounts: Mapping[str, Account],
        *,
        refresh: Callable[[Sequence[Account], float], None],
        listen: Callable[[], Awaitable[None]],
        merge: Callable[[Watch], MergedBalances],
    ) -> None:
        self._clock = clock
        self._accounts = accounts
        self._refresh = refresh
        self._listen = listen
        self._merge = merge
        self._closed = False
        # Weak, so that a watch that was left without closing it is forgotten.
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        # How many wait for each watch. Not weak: nothing else may refer to a task that waits.
        self._waiting: dict[Watch, int] = {}
        # The same watches by the labels of their accounts, None for all.
        self._waiting_for: dict[str | None, dict[Watch, None]] = {}
        self._schedules: dict[str, Schedule] = {}
        # Accounts that were to be read while nobody waited, and whether they may have changed then.
        self._missed: dict[str, bool] = {}
        # Those that are to be read at once, and that are being read.
        self._due: set[str] = set()
        self._due_timer: Timer | None = None
        self._expected: set[str] = set()
        # Accounts with news of which watches have not been notified, and when they will be. When watches were notified
        # last, and how many seconds merging has taken since then.
        self._news: set[str] = set()
        self._news_timer: Timer | None = None
        self._news_at = 0.0
        self._notified_at = -math.inf
        self._merge_seconds = 0.0

    @property
    def has_watches(self) -> bool:
        """Whether there is any watch."""
        return bool(self._watches)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for news, and nothing is to be read."""
        if self._waiting or self._due_timer is not None or self._news_timer is not None:
            return False
        return not any(schedule.is_set for schedule in self._schedules.values())

    async def open(self, watch: Watch) -> None:
        """Begin a watch, unless it has begun: its accounts are read, unless a snapshot of them is fresh enough."""
        if self._closed:
            watch.close()
        if self._has_begun(watch):
            return
        # Listening begins in the background: once it has, `on_lost` looks up what has changed before.
        await self._listen()
        # During the wait, another task may have begun it.
        if self._has_begun(watch):
            return
        accounts = watch.select(self._accounts)
        self._watches.add(watch)
        watch.since = self._clock.monotonic() - watch.options.max_age
        watch.pending.update(account.label for account in accounts)
        now = self._clock.monotonic()
        if not accounts or any(account.origin.cooldown.remaining(now) > 0 for account in accounts):
            # There is nothing to wait for, or for long.
            watch.notify(None)
        # What is read in time comes first: the state that shows it cancels this.
        watch.show_timer = self._clock.call_at(now + _BEGIN_WITHIN, self._show_anew, weakref.ref(watch))
        self._read(accounts, watch.options.max_age)
        self._schedule_slow_refresh(watch)

    def _has_begun(self, watch: Watch) -> bool:
        return watch.is_closed or watch in self._watches

    def begin_waiting(self, watch: Watch) -> None:
        """Note that somebody waits for the next state of a watch, and read what was not while nobody did."""
        if watch not in self._watches:
            return
        waiting = self._waiting[watch] = self._waiting.get(watch, 0) + 1
        if waiting > 1:
            return
        for label in watch.labels:
            self._waiting_for.setdefault(label, {})[watch] = None
        for account in self._select([label for label in self._missed if watch.includes(label)]):
            if self._missed.pop(account.label):
                self._schedule_read(account)
            elif account.state.failure is not None:
                self._schedule_retry(account)
            else:
                self._read_soon([account])
        # Other watches may want it later than this one.
        shortest = watch.options.min_interval
        put_off = [
            label
            for label, schedule in self._schedules.items()
            if schedule.read is not None and shortest < schedule.interval and watch.includes(label)
        ]
        for account in self._select(put_off):
            self._read_in_time(account)
        if watch.options.every is not None and watch.refresh_timer is None:
            self._read_slowly(watch)

    def end_waiting(self, watch: Watch) -> None:
        """Note that somebody does not wait any more for the next state of a watch."""
        waiting = self._waiting.pop(watch, 0) - 1
        if waiting > 0:
            self._waiting[watch] = waiting
        elif waiting == 0:
            for label in watch.labels:
                del self._waiting_for[label][watch]
                if not self._waiting_for[label]:
                    del self._waiting_for[label]

    def merge(self, watch: Watch) -> MergedBalances:
        """Make the next state of a watch."""
        began, cpu_time = self._clock.monotonic(), time.thread_time()
        try:
            merged = self._merge(watch)
        finally:
            longest = 2 * (time.thread_time() - cpu_time) + _MERGE_WAITS
            self._merge_seconds += min(self._clock.monotonic() - began, longest)
        self._schedule_too_old(watch, merged)
        return merged

    def leave(self, watch: Watch) -> None:
        """End a watch; without any, nothing is left to be read."""
        self._watches.discard(watch)
        for timer in (watch.refresh_timer, watch.show_timer):
            if timer is not None:
                timer.cancel()
        if not self._watches:
            self._reset()

    def on_read(self, account: Account) -> None:
        """Take note of what is newly known of an account, whichever call has read it."""
        self._expected.discard(account.label)
        self._announce(account)
        if account.state.failure is not None:
            self._schedule_retry(account)
        elif not account.state.is_valid:
            if account.state.last is not None:
                self._schedule_read(account)
        elif (schedule := self._schedules.get(account.label)) is not None:
            schedule.cancel()
            del self._schedules[account.label]

    def on_invalidated(self, account: Account) -> None:
        """Have an account read again whose balances may have changed; changes that follow at once are joined."""
        if self._watches:
            self._schedule_read(account)

    def on_put(self, account: Account) -> None:
        """Take what another process has put into the shared store."""
        self._read_soon([account])

    def on_lost(self) -> None:
        """Read the accounts that may have changed while changes of other processes were not heard."""
        self._read_soon(self._accounts.values())

    def on_added(self, account: Account) -> None:
        """Have watches of all accounts follow one that was added."""
        if self._is_wanted(account, has_changed=True):
            self._show_unless_read(account)
            self._read([account], 0.0)

    def on_removed(self, account: Account) -> None:
        """Have watches follow that an account was removed."""
        if (schedule := self._schedules.pop(account.label, None)) is not None:
            schedule.cancel()
        self._expected.discard(account.label)
        self._missed.pop(account.label, None)
        self._announce(account)

    def close(self) -> None:
        """End all watches, and each later one when it begins."""
        self._closed = True
        self.leave_loop()

    def leave_loop(self) -> None:
        """End all watches: their event loop is left."""
        for watch in list(self._watches):
            # If the loop is closed, there is nobody to wake.
            with suppress(RuntimeError):
                watch.close()

    def _reset(self) -> None:
        for schedule in self._schedules.values():
            schedule.cancel()
        for timer in (self._due_timer, self._news_timer):
            if timer is not None:
                timer.cancel()
        self._due_timer = self._news_timer = None
        for noted in (self._schedules, self._missed, self._due, self._expected, self._news):
            noted.clear()

    def _select(self, labels: Iterable[str]) -> list[Account]:
        return [self._accounts[label] for label in labels if label in self._accounts]

    def _is_wanted(self, account: Account, *, has_changed: bool = False) -> bool:
        """Return whether somebody waits for news of an account; if not, it is read when somebody does.

        A read that was scheduled is made, even if the consumer is at work by then: it may never wait for long.
        """
        if None in self._waiting_for or account.label in self._waiting_for:
            return True
        if self._watches:
            self._missed[account.label] = has_changed or self._missed.get(account.label, False)
        return False

    def _read(self, accounts: Collection[Account], max_age: float) -> None:
        self._expected.update(account.label for account in accounts)
        self._refresh(list(accounts), max_age)

    def _read_soon(self, accounts: Iterable[Account]) -> None:
        """Read accounts that may have changed, together with others of which that is heard at the same time."""
        if self._watches:
            self._add_due(account for account in accounts if self._is_wanted(account))

    def _add_due(self, accounts: Iterable[Account]) -> None:
        self._due.update(account.label for account in accounts)
        if self._due and self._due_timer is None:
            self._due_timer = self._clock.call_at(self._clock.monotonic(), self._read_due)

    def _read_due(self) -> None:
        self._due_timer = None
        due, self._due = self._due, set()
        # What was read since the change is valid, and so is what is being read.
        self._read(self._select(due), math.inf)

    def _schedule_read(self, account: Account) -> None:
        if self._is_wanted(account, has_changed=True):
            self._read_in_time(account)
            self._show_unless_read(account)

    def _read_in_time(self, account: Account) -> None:
        """Schedule a read for the watch with the shortest interval of those that wait, however late it joins them."""
        waiting = chain(self._waiting_for.get(account.label, ()), self._waiting_for.get(None, ()))
        interval = min(watch.options.min_interval for watch in waiting)
        at = max(self._clock.monotonic() + DEBOUNCE, account.state.requested_at + interval)
        schedule = self._schedules.setdefault(account.label, Schedule())
        if schedule.read is None or at < schedule.read_at:
            if schedule.read is not None:
                schedule.read.cancel()
            schedule.read = self._clock.call_at(at, self._read_scheduled, account)
            schedule.read_at, schedule.interval = at, interval

    def _show_unless_read(self, account: Account) -> None:
        schedule = self._schedules.setdefault(account.label, Schedule())
        if schedule.shown is None:
            at = self._clock.monotonic() + DEBOUNCE + _SHOW_PENDING_AFTER
            schedule.shown = self._clock.call_at(at, self._show_pending, account)

    def _read_scheduled(self, account: Account) -> None:
        self._schedules[account.label].read = None
        self._add_due([account])

    def _show_pending(self, account: Account) -> None:
        self._schedules[account.label].shown = None
        if not account.state.is_valid:
            self._announce(account)

    def _schedule_retry(self, account: Account) -> None:
        schedule = self._schedules.get(account.label)
        if (schedule is not None and schedule.retry is not None) or not self._is_wanted(account):
            return
        schedule = self._schedules.setdefault(account.label, Schedule())
        schedule.delay = min(schedule.delay * 2, _LAST_RETRY) if schedule.delay else _FIRST_RETRY
        error = account.state.failure
        retry_after = error.retry_after if isinstance(error, ProviderError) else None
        wait = max(schedule.delay * random.uniform(0.5, 1.0), min(retry_after or 0.0, _MAX_RETRY_AFTER))  # noqa: S311 - jitter
        schedule.retry = self._clock.call_at(self._clock.monotonic() + wait, self._retry, account)

    def _retry(self, account: Account) -> None:
        self._schedules[account.label].retry = None
        # With a `max_age` it would be given the same failure again, since its cooldown may last a little longer.
        self._read([account], 0.0)

    def _schedule_too_old(self, watch: Watch, merged: MergedBalances) -> None:
        """Notify a watch when a snapshot that it shows after a failure becomes too old for that."""
        if watch.show_timer is not None:
            watch.show_timer.cancel()
            watch.show_timer = None
        failed = self._select({one.account for one in merged.failures} & {one.account for one in merged.accounts})
        if failed and watch.options.stale_if_error < math.inf:
            moment = Moment.of(self._clock)
            ages = [kept.age(moment) for account in failed if (kept := account.state.kept) is not None]
            wait = watch.options.stale_if_error - max(ages, default=math.inf)
            # A little later than `Results` gives a watch what another like it was given.
            at = moment.now + max(0.0, wait) + 1.1 * CLOCK_DRIFT
            watch.show_timer = self._clock.call_at(at, self._show_anew, weakref.ref(watch))

    def _show_anew(self, reference: "weakref.ref[Watch]") -> None:
        if (watch := reference()) is not None:
            watch.notify(None)

    def _schedule_slow_refresh(self, watch: Watch) -> None:
        if watch.options.every is not None:
            wait = watch.options.every * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            at = self._clock.monotonic() + wait
            watch.refresh_timer = self._clock.call_at(at, self._refresh_slowly, weakref.ref(watch))

    def _refresh_slowly(self, reference: "weakref.ref[Watch]") -> None:
        watch = reference()
        if watch is None or watch.is_closed:
            return
        watch.refresh_timer = None
        # If nobody waits, all are read when somebody does.
        if watch in self._waiting:
            self._read_slowly(watch)

    def _read_slowly(self, watch: Watch) -> None:
        self._read(watch.select(self._accounts), _JOIN_WINDOW)
        self._schedule_slow_refresh(watch)

    def _announce(self, account: Account) -> None:
        """Notify watches that something new is known of an account, together with what else is learned at that time."""
        if not self._watches:
            return
        self._news.add(account.label)
        pause = max(DEBOUNCE, self._merge_seconds / _MERGE_SHARE)
        # Others may be read in the same moment. Once all have been, there is nothing to wait for.
        wait = DEBOUNCE if self._expected else 0.0
        at = max(self._clock.monotonic() + wait, self._notified_at + pause)
        if self._news_timer is not None and at < self._news_at:
            self._news_timer.cancel()
            self._news_timer = None
        if self._news_timer is None:
            self._news_at = at
            self._news_timer = self._clock.call_at(at, self._notify)

    def _notify(self) -> None:
        self._news_timer = None
        news, self._news = self._news, set()
        self._notified_at, self._merge_seconds = self._clock.monotonic(), 0.0
        for watch in list(self._watches):
            if watch.pending:
                watch.pending -= {label for label in watch.pending & news if self._is_read(label, watch.since)}
            watch.notify(news)

    def _is_read(self, label: str, since: float) -> bool:
        account = self._accounts.get(label)
        if account is None or account.state.failure is not None:
            return True
        kept = account.state.kept
        return kept is not None and kept.sent_at >= since
