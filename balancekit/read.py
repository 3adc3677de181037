"""One read of one account: a request, and those that follow it if it fails, shared by all calls that wait for it."""

import asyncio
import time
from typing import TYPE_CHECKING

import attrs

from balancekit.account import Account
from balancekit.call import Call
from balancekit.errors import ProviderError

if TYPE_CHECKING:
    from balancekit.account import Outcome
    from balancekit.telemetry import FetchSpan

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
