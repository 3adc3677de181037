"""One caller that waits for the outcomes of some accounts, until all have come or its deadline has."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from balancekit.client.accounts import Account, Outcome
from balancekit.client.instrumentation import FetchSpan
from balancekit.errors import ProviderError
from balancekit.money.balances import AccountFailure

if TYPE_CHECKING:
    from balancekit.client.accounts import Outcome
    from balancekit.client.instrumentation import FetchSpan


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


# How far the two clocks may be apart for reasons other than a suspended machine, in seconds.
_CLOCKS_DIFFER = 1.0


@attrs.define(eq=False, weakref_slot=False)
class Read:
    """One read of an account that is under way, or whose snapshot may still serve.

    `version` is that of the account before the request was sent. No call that waits for it takes a snapshot whose
    request was sent before `since` (in the time of the event loop). With `shares`, another process may do the reading;
    with `keeps`, its snapshot is kept for later.
    """

    account: Account
    version: str
    since: float
    shares: bool
    span: "FetchSpan"
    keeps: bool = False
    calls: dict[Call, None] = attrs.field(factory=dict[Call, None])
    attempts: int = 0
    sent_at: float | None = None
    # When that was in Unix seconds: the loop's time stands still while the machine is suspended.
    sent_wall: float = 0.0
    # What the last attempt ended with, if another is to follow.
    error: ProviderError | None = None
    outcome: "Outcome | None" = None
    worker: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    leased: bool = False
    ticket: str = ""
    # Each is granted once, and is no attempt of the account's: neither is the account's fault.
    reconnected: bool = False
    resigned: bool = False
    signed_with: float = 0.0

    @property
    def ends_at(self) -> float:
        """The deadline of the call that waits longest: the one that came last, since all have the same time."""
        return next(reversed(self.calls)).ends_at if self.calls else self.since

    def serves(self, version: str, since: float) -> bool:
        """Whether its snapshot will do for a call that finds the account at that version.

        A request that was sent before the balances may have changed does not, nor one that was sent before `since`.
        """
        if self.version != version:
            return False
        return self.sent_at is None or (self.sent_at >= since and not self._slept(self.sent_at))

    def sent(self, at: float) -> None:
        """Note that the request is sent, or was, at that time of the event loop."""
        self.sent_at = at
        self.sent_wall = time.time() - (asyncio.get_running_loop().time() - at)

    def _slept(self, sent_at: float) -> bool:
        return time.time() - self.sent_wall > asyncio.get_running_loop().time() - sent_at + _CLOCKS_DIFFER
