"""Who is to look at which accounts again, and when: after a change, and after a failure."""

import asyncio
import random
from contextlib import suppress
from typing import Final

import attrs

from balancekit.client.accounts import Outcome
from balancekit.errors import ProviderError
from balancekit.money.balances import AccountFailure

BURST: Final = 0.05
"""How many seconds after a change others are waited for, to be looked at together with it."""

_FIRST_RETRY: Final = 5.0
_LAST_RETRY: Final = 300.0
# However long a provider asks to be left alone: it may mean something else.
_LONGEST_WAIT: Final = 3600.0


class Watcher:
    """One `watch`: the accounts that it is to look at again, and since when."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watched = frozenset(labels)
        self._noted: dict[str, float] = {}
        self._woken = asyncio.Event()

    def note(self, label: str | None) -> None:
        """Note that something happened to an account, or without a label to any."""
        for changed in self._labels if label is None else self._watched & {label}:
            self._noted.setdefault(changed, self._loop.time())
            self._woken.set()

    def close(self) -> None:
        """End the watch."""
        self._closed.set()
        self._woken.set()

    async def changes(self, until: float | None) -> dict[str, float] | None:
        """Wait for changes: which accounts, and since when; none of them when the time has come, None at the end.

        Changes that follow at once are joined to the first. Those that there are when the time has come are told next:
        accounts that change all the time must not put off the others for ever.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._woken.wait()
            # Others may follow, and are waited for no longer than the watch goes on.
            async with asyncio.timeout(BURST):
                await self._closed.wait()
        if self._closed.is_set():
            return None
        if until is not None and self._loop.time() >= until:
            return {}
        self._woken.clear()
        noted, self._noted = self._noted, {}
        return noted


@attrs.define(eq=False)
class _Retry:
    delay: float
    timer: asyncio.TimerHandle | None = None


class Watchers:
    """All watches of a client; what they cannot read they try again together, so that it costs one request."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._retries: dict[str, _Retry] = {}

    def open(self, labels: tuple[str, ...]) -> Watcher:
        """Begin a watch of these accounts."""
        watcher = Watcher(labels)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """End a watch."""
        self._watchers.discard(watcher)
        if not self._watchers:
            self._forget_retries()

    def note(self, label: str | None) -> None:
        """Tell all watches that something happened to an account, or without a label to any."""
        for watcher in self._watchers:
            watcher.note(label)

    def learn(self, outcome: Outcome) -> None:
        """Learn what became of an account: one that failed is looked at again later, and later each time."""
        retry = self._retries.get(outcome.account)
        if not isinstance(outcome, AccountFailure):
            if retry is not None:
                self._cancel(self._retries.pop(outcome.account))
            return
        if retry is not None and retry.timer is not None:
            return
        delay = _FIRST_RETRY if retry is None else min(retry.delay * 2, _LAST_RETRY)
        asked = outcome.error.retry_after if isinstance(outcome.error, ProviderError) else None
        wait = max(delay * random.uniform(0.5, 1.0), min(asked or 0.0, _LONGEST_WAIT))  # noqa: S311 - jitter
        loop = asyncio.get_running_loop()
        self._retries[outcome.account] = _Retry(delay, loop.call_later(wait, self._look_again, outcome.account))

    def close(self) -> None:
        """End all watches."""
        self._forget_retries()
        for watcher in self._watchers:
            watcher.close()

    def _look_again(self, label: str) -> None:
        self._retries[label].timer = None
        self.note(label)

    def _forget_retries(self) -> None:
        for retry in self._retries.values():
            self._cancel(retry)
        self._retries.clear()

    def _cancel(self, retry: _Retry) -> None:
        if retry.timer is not None:
            retry.timer.cancel()
