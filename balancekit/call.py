"""One caller that waits for the outcomes of some accounts, until all have come or its deadline has."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from balancekit.account import Outcome
from balancekit.balances import AccountFailure
from balancekit.telemetry import FetchSpan

if TYPE_CHECKING:
    from balancekit.read import Read


class Call:
    """What one `fetch` or `stream` waits for; each account ends in exactly one outcome.

    `ends_at` is in the time of the event loop; then `expire` is called, which must end what is pending.
    `late` is whether that time has come.
    """

    def __init__(self, accounts: int, *, ends_at: float, expire: Callable[["Call"], None]) -> None:
        self.ends_at = ends_at
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

    def arrive(self, outcome: Outcome) -> None:
        """Take in the outcome of an account, which is pending no more."""
        self.pending.pop(outcome.account, None)
        self._outcomes.append(outcome)
        self._failures += isinstance(outcome, AccountFailure)
        if self._woken is not None and not self._woken.done() and not (self._wants_all and self.pending):
            self._woken.set_result(None)

    async def next(self) -> Outcome | None:
        """Wait for the next outcome; None if there are no more."""
        while not self._outcomes and self.pending:
            await self._wait()
        return self._outcomes.popleft() if self._outcomes else None

    async def all(self) -> Iterable[Outcome]:
        """Wait for all outcomes: many accounts wake the caller once."""
        self._wants_all = True
        while self.pending:
            await self._wait()
        return self._outcomes

    def end(self) -> None:
        """Stop the clock; what is still pending was not read."""
        self._timer.cancel()
        self.span.end(self._failures + len(self.pending))

    async def _wait(self) -> None:
        self._woken = self._loop.create_future()
        await self._woken
