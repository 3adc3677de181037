"""Keeping accounts up to date while somebody watches them: what is read again, and when."""

import math
import random
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import attrs

from balancekit.client.accounts import Account
from balancekit.client.watch import DEBOUNCE, Watch
from balancekit.clock import Clock, Timer
from balancekit.errors import ProviderError

_JOIN_WINDOW: Final = 1.0
"""How old, in seconds, a snapshot may be that makes a slow refresh unnecessary: another watch has just read it."""

_SHOW_PENDING_AFTER: Final = 1.0
"""After how many seconds an account that may have changed, and has not been read since, is shown as stale."""

_FIRST_RETRY: Final = 5.0
_LAST_RETRY: Final = 300.0
# In seconds: a longer Retry-After is probably in another unit.
_MAX_RETRY_AFTER: Final = 3600.0


@attrs.define(eq=False)
class _Schedule:
    """When an account is read again: after a change, or after a failure, with a delay that grows."""

    read: Timer | None = None
    retry: Timer | None = None
    delay: float = 0.0
    shown: Timer | None = None

    @property
    def is_set(self) -> bool:
        return (self.read, self.retry, self.shown) != (None, None, None)

    def cancel(self) -> None:
        for timer in (self.read, self.retry, self.shown):
            if timer is not None:
                timer.cancel()


class Keeper:
    """Reads the accounts that are watched again, once for all watches of a client.

    `refresh` reads accounts in the background, unless a snapshot is no older than a number of seconds; `accounts` are
    those of the client, by label. `listen` has the changes of other processes reported.
    """

    def __init__(
        self,
        clock: Clock,
        accounts: Mapping[str, Account],
        *,
        refresh: Callable[[Sequence[Account], float], None],
        listen: Callable[[], Awaitable[None]],
    ) -> None:
        self.clock = clock
        self._accounts = accounts
        self._refresh = refresh
        self._listen = listen
        self._closed = False
        # Weak, so that a watch that was left without closing it is forgotten. With the timer of its slow refresh.
        self.watches: WeakKeyDictionary[Watch, Timer | None] = WeakKeyDictionary()
        self._schedules: dict[str, _Schedule] = {}

    @property
    def idle(self) -> bool:
        """Whether nobody waits for news, and nothing is to be read."""
        return not any(watch.is_waiting for watch in self.watches) and not any(
            schedule.is_set for schedule in self._schedules.values()
        )

    async def open(self, watch: Watch) -> None:
        """Begin a watch: its accounts are read, unless a snapshot of them is fresh enough."""
        if not self._may_open(watch):
            return
        # First, so that no change is missed. Starting to listen reports that anything may have changed.
        await self._listen()
        if not self._may_open(watch):
            return
        self.watches[watch] = None
        accounts = watch.select(self._accounts)
        for account in accounts:
            watch.expect(account.label)
        if not accounts:
            watch.notify()
        self._refresh(accounts, watch.options.max_age)
        self._schedule_slow_refresh(watch)

    def _may_open(self, watch: Watch) -> bool:
        if self._closed:
            watch.close()
        return not watch.is_closed

    def resume(self, watch: Watch) -> None:
        """Have read what was not while nobody waited for the next state of a watch."""
        missed, watch.missed = watch.missed, set()
        for label in missed:
            account = self._accounts.get(label)
            if account is None:
                continue
            if account.state.failure is not None:
                self._schedule_retry(account)
            else:
                self._schedule_read(account)

    def leave(self, watch: Watch) -> None:
        """End a watch; what is to be read for nobody else is not read."""
        timer = self.watches.pop(watch, None)
        if timer is not None:
            timer.cancel()
        for label in [label for label in self._schedules if not self._watchers_of(label)]:
            self._schedules.pop(label).cancel()

    def on_read(self, account: Account) -> None:
        """Take note of what is newly known of an account, whichever call has read it."""
        watches = self._watchers_of(account.label)
        if not watches:
            return
        for watch in watches:
            watch.notify(account.label)
        if account.state.failure is not None:
            self._schedule_retry(account)
        elif (schedule := self._schedules.get(account.label)) is not None and account.state.is_valid:
            schedule.cancel()
            del self._schedules[account.label]

    def on_invalidated(self, account: Account) -> None:
        """Have an account read again whose balances may have changed; changes that follow at once are joined."""
        watches = self._watchers_of(account.label)
        if not watches:
            return
        for watch in watches:
            watch.expect(account.label)
        self._schedule_read(account)

    def on_put(self, account: Account) -> None:
        """Take what another process has put into the shared store, if somebody watches the account."""
        if self._watchers_of(account.label):
            self._refresh([account], math.inf)

    def on_lost(self) -> None:
        """Read the accounts that may have changed while changes of other processes were not heard."""
        watched = [account for account in self._accounts.values() if self._watchers_of(account.label)]
        self._refresh(watched, math.inf)

    def on_added(self, account: Account) -> None:
        """Have watches of all accounts follow one that was added."""
        watches = self._watchers_of(account.label)
        for watch in watches:
            watch.expect(account.label)
        if watches:
            self._refresh([account], 0.0)

    def on_removed(self, account: Account) -> None:
        """Have watches follow that an account was removed."""
        if (schedule := self._schedules.pop(account.label, None)) is not None:
            schedule.cancel()
        for watch in self._watchers_of(account.label):
            watch.notify(account.label)

    def close(self) -> None:
        """End all watches."""
        self._closed = True
        for watch in list(self.watches):
            watch.close()
        for schedule in self._schedules.values():
            schedule.cancel()
        self._schedules.clear()

    def _watchers_of(self, label: str) -> list[Watch]:
        return [watch for watch in list(self.watches) if watch.includes(label)]

    def _is_wanted(self, account: Account) -> bool:
        """Return whether somebody waits for news of an account; if not, it is read when somebody does."""
        watches = self._watchers_of(account.label)
        if any(watch.is_waiting for watch in watches):
            return True
        for watch in watches:
            watch.missed.add(account.label)
        return False

    def _schedule_read(self, account: Account) -> None:
        if not self._is_wanted(account):
            return
        schedule = self._schedules.setdefault(account.label, _Schedule())
        now = self.clock.monotonic()
        interval = min(watch.options.min_interval for watch in self._watchers_of(account.label))
        at = max(now + DEBOUNCE, account.state.requested_at + interval)
        if schedule.read is None:
            schedule.read = self.clock.call_at(at, self._read, account)
        if schedule.shown is None:
            schedule.shown = self.clock.call_at(at + _SHOW_PENDING_AFTER, self._show_pending, account)

    def _read(self, account: Account) -> None:
        self._schedules[account.label].read = None
        if self._is_wanted(account):
            # What was read since the change is valid, and so is what is being read.
            self._refresh([account], math.inf)

    def _show_pending(self, account: Account) -> None:
        self._schedules[account.label].shown = None
        for watch in self._watchers_of(account.label):
            if account.label in watch.pending:
                watch.notify()

    def _schedule_retry(self, account: Account) -> None:
        if not self._is_wanted(account):
            return
        schedule = self._schedules.setdefault(account.label, _Schedule())
        if schedule.retry is not None:
            return
        schedule.delay = min(schedule.delay * 2, _LAST_RETRY) if schedule.delay else _FIRST_RETRY
        error = account.state.failure
        retry_after = error.retry_after if isinstance(error, ProviderError) else None
        wait = max(schedule.delay * random.uniform(0.5, 1.0), min(retry_after or 0.0, _MAX_RETRY_AFTER))  # noqa: S311 - jitter
        schedule.retry = self.clock.call_at(self.clock.monotonic() + wait, self._retry, account)

    def _retry(self, account: Account) -> None:
        self._schedules[account.label].retry = None
        if self._is_wanted(account):
            # Without an age, since its cooldown may last a little longer.
            self._refresh([account], 0.0)

    def _schedule_slow_refresh(self, watch: Watch) -> None:
        if watch.options.every is not None:
            wait = watch.options.every * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            at = self.clock.monotonic() + wait
            self.watches[watch] = self.clock.call_at(at, self._refresh_slowly, weakref.ref(watch))

    def _refresh_slowly(self, reference: "weakref.ref[Watch]") -> None:
        watch = reference()
        if watch is None or watch not in self.watches:
            return
        accounts = watch.select(self._accounts)
        if watch.is_waiting:
            self._refresh(accounts, _JOIN_WINDOW)
        else:
            watch.missed.update(account.label for account in accounts)
        self._schedule_slow_refresh(watch)
