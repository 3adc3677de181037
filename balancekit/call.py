"""One caller that waits for the outcomes of some accounts, until all have come or its deadline has."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from balancekit.account import Account, Outcome
from balancekit.balances import AccountFailure
from balancekit.telemetry import FetchSpan

if TYPE_CHECKING:
    from balancekit.read import Read


class Call:
    """What one `fetch` or `stream` waits for; each account ends in exactly one outcome.

    Accounts are `unasked` until somebody reads them, and `pending` until their outcome arrives.
    `since` and `ends_at` are in the time of the event loop: no snapshot from before `since` will do, and at `ends_at`
    the function `expire` is called, which must end what is left. Unless it `shares`, it has reads of its own; unless it
    `keeps`, what is read for it alone is not kept. `late` is whether `ends_at` has come.
    """

    def __init__(
        self,
        accounts: int,
        *,
        since: float,
        ends_at: float,
        shares: bool,
        keeps: bool,
        expire: Callable[["Call"], None],
    ) -> None:
        self.since = since
        self.ends_at = ends_at
        self.shares = shares
        self.keeps = keeps
        # Side by side, and no read for each of them yet, for the sake of those who stream ten thousand accounts.
        self.unasked: deque[Account] = deque()
        self._versions: deque[str] = deque()
        self.late = False
        self.span = FetchSpan(accounts)
        self.pending: dict[str, Read] = {}
        self.leaving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_at(ends_at, expire, self)
        self._outcomes: deque[Outcome] = deque()
        self._woken: asyncio.Future[None] | None = None
        self._wants_all = False
        self._failures = 0

    def put_off(self, account: Account, version: str) -> None:
        """Leave an account, found at that version, unasked for now."""
        self.unasked.append(account)
        self._versions.append(version)

    def take(self) -> tuple[Account, str]:
        """Take the next of those that are unasked, and its version."""
        return self.unasked.popleft(), self._versions.popleft()

    @property
    def waits(self) -> bool:
        """Whether an outcome is still to come."""
        return bool(self.pending or self.unasked)

    def arrive(self, outcome: Outcome) -> None:
        """Take in the outcome of an account, which is pending no more."""
        self.pending.pop(outcome.account, None)
        self._outcomes.append(outcome)
        self._failures += isinstance(outcome, AccountFailure)
        if self._woken is not None and not self._woken.done() and not (self._wants_all and self.waits):
            self._woken.set_result(None)

    async def next(self) -> Outcome | None:
        """Wait for the next outcome; None if there are no more."""
        while not self._outcomes and self.waits:
            await self._wait()
        return self._outcomes.popleft() if self._outcomes else None

    async def all(self) -> Iterable[Outcome]:
        """Wait for all outcomes: many accounts wake the caller once."""
        self._wants_all = True
        while self.waits:
            await self._wait()
        return self._outcomes

    def end(self) -> None:
        """Stop the clock; what is left was not read."""
        self._timer.cancel()
        self.span.end(self._failures + len(self.pending) + len(self.unasked))

    async def _wait(self) -> None:
        self._woken = self._loop.create_future()
        await self._woken
