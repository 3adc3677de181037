"""The laws that every call of a client keeps, whatever providers, callers and stores do."""

import asyncio
from collections import Counter
from fractions import Fraction

from balancekit import ProviderError


class Laws:
    """Holds calls against the laws: counts what was checked, and notes what breaks one.

    `slack` is how many seconds late a call may end.
    """

    def __init__(self, *, slack):
        self.slack = slack
        self.problems = Counter()
        self.checked = Counter()
        self.slowest_cancellation = 0.0

    def problem(self, text):
        """Note a broken law."""
        self.problems[text] += 1

    async def end(self, task, name, *, within, cancel_after=None):
        """Wait until a task ends in time, by itself or cancelled after some seconds; return whether it has a result."""
        cancelled = False
        if cancel_after is not None:
            await asyncio.wait([task], timeout=min(cancel_after, within))
            cancelled, within = task.cancel(), 0.0
        begun = asyncio.get_running_loop().time()
        await asyncio.wait([task], timeout=within + self.slack)
        if cancelled:
            self.slowest_cancellation = max(self.slowest_cancellation, asyncio.get_running_loop().time() - begun)
        if not task.done():
            self.problem(f"a {name} does not end{' when it is cancelled' if cancelled else ''}")
            task.cancel()
        elif task.cancelled():
            if not cancelled:
                self.problem(f"a {name} is cancelled by nobody")
        elif task.exception() is not None:
            self.problem(f"a {name} raises {task.exception()!r}")
        elif cancelled:
            self.problem(f"a cancelled {name} returns")
        else:
            self.checked[name] += 1
            return True
        return False

    def check_outcomes(self, name, labels, outcomes, *, whole=True):
        """Check that each account has one outcome (at most one, unless whole), and each failure a ProviderError."""
        came = sorted(outcome.account for outcome in outcomes)
        if came != sorted(labels) if whole else len(came) != len(set(came)):
            self.problem(f"a {name} lacks an account, or has one twice")
        for outcome in outcomes:
            error = getattr(outcome, "error", None)
            if error is not None and not isinstance(error, ProviderError):
                self.problem(f"a failure that is no ProviderError: {type(error).__name__}")

    def check_result(self, name, labels, merged, *, may_be_stale=False, may_be_pending=False):
        """Check that stale snapshots have failures, totals are exact sums, and an incomplete result says so.

        A snapshot that is stale because its account is yet to be read has no failure.
        """
        failed = {failure.account for failure in merged.failures}
        pending = [one for one in merged.accounts if may_be_pending and one.stale and one.account not in failed]
        fresh = [snapshot for snapshot in merged.accounts if not snapshot.stale]
        stale = [snapshot.account for snapshot in merged.accounts if snapshot.stale and snapshot not in pending]
        self.check_outcomes(name, labels, [*fresh, *pending, *merged.failures])
        if not set(stale) <= failed or len(stale) != len(set(stale)) or (stale and not may_be_stale):
            self.problem("a stale snapshot without its failure")
        if merged.complete != (not merged.failures and not pending):
            self.problem("a result with failures, or with what may be old, is said to be complete")
        sums = Counter()
        for snapshot in merged.accounts:
            for balance in snapshot.balances:
                # By way of fractions: the model shares no arithmetic with the package.
                sums[balance.currency] += Fraction(balance.amount)
        if {total.currency: Fraction(total.amount) for total in merged} != sums:
            self.problem("totals are not the sums of their balances")
