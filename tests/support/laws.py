"""The laws that clients keep, whatever providers, callers, stores and clocks do; each with the check that holds it.

Calls
1. Every call ends by its own deadline, and one that is cancelled ends at once: `Laws.end`.
2. Each account has exactly one outcome in a call, a snapshot or a ProviderError: `Laws.check_outcomes`.
3. A stale snapshot is marked, and has its failure, or its account is yet to be read; an incomplete result says so; a
   total is the exact sum of its balances: `Laws.check_result`.

What is remembered
4. No snapshot that is not marked as stale is older than its caller's `max_age`, from before an invalidation of the same
   client, or of an account that was removed meanwhile and added again: `Laws.check_age`.
5. Only callers with an age are given an earlier failure, and only during its cooldown, which an invalidation ends:
   `Laws.check_earlier_failure`.
6. What `latest` shows is no older than what was returned, and `status` agrees with it: `Laws.check_known`.
7. A removed account is neither in `latest` and `status`, nor is anything read for it: `Laws.check_removed`.

Requests
8. After a 429 no request goes to its origin before the time that the response asks for, whoever calls:
   `Requests.begin`.
9. No more requests are under way than the concurrency: `Requests.begin`.
10. No window of a rate limit, wherever it begins, has more requests than that: `Requests.check_limit`.
11. An account at a healthy origin is read within its time, whatever other origins do, and under a rate limit every
    account is read eventually: `Laws.check_seconds`.

Watches
12. A state of a watch has every account that is watched, and a change is shown in time: `WatchLaws`.

The end
13. After closing there is no task, timer, permit or slot left, nor a task in an event loop that has ended:
    `Laws.check_empty`.
"""

import asyncio
import re
from collections import Counter, defaultdict
from fractions import Fraction

import attrs

from balancekit import NotReadError, ProviderError, RateLimitedError

EPSILON = 1e-6
_EARLIER = re.compile(r"\(\d+ s ago\)")
_FIRST_COOLDOWN, _LONGEST_COOLDOWN, _JITTER = 1.0, 60.0, 1.2
_REMEMBERED = 200
"""How many requests for an account are remembered."""


def is_earlier(error):
    """Whether an error says that it is of an earlier read."""
    return bool(_EARLIER.search(str(error)))


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

    def check_seconds(self, name, seconds, *, within):
        """Check that something took no longer than that."""
        self.checked[name] += 1
        if seconds > within + self.slack:
            self.problem(f"{name} took {seconds:.2f} s instead of {within:.2f}")

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

    def check_age(self, label, requested_at, oldest, what="a snapshot"):
        """Check that something was requested at `oldest` at the earliest."""
        self.checked["age"] += 1
        if requested_at < oldest - EPSILON:
            self.problem(f"{what} of {label} is {oldest - requested_at:.3f} s too old")

    def check_earlier_failure(
        self, failure, history, *, begun, deadline, accepts_earlier, invalidated_at, is_revalidated=False
    ):
        """Check a failure that may be of an earlier read against the account's `History`.

        A call is given it as it begins; while a request is under way, that may be one of another's deadline. A read
        fails by the client's `deadline`, perhaps long after its last request, or later by that of a caller who has
        joined it. A failure that is given with a stale snapshot, while the account `is_revalidated`, may be of any
        time.
        """
        if not is_earlier(failure.error):
            return
        self.checked["earlier failure"] += 1
        if not accepts_earlier:
            self.problem(f"an earlier failure of {failure.account} for a caller that accepts nothing earlier")
        if is_revalidated or history.was_under_way(begun):
            return
        if begun > history.until + deadline + EPSILON:
            self.problem(f"a failure of {failure.account} after its cooldown")
        if history.failed_at + deadline < invalidated_at - EPSILON:
            self.problem(f"a failure of {failure.account} from before an invalidation")

    def check_known(self, labels, latest, status, *, is_young):
        """Check `latest` and `status` of the labels.

        `is_young` returns of a label and the last snapshot, or None, whether that is no older than what was returned.
        """
        self.checked["known"] += 1
        self.check_result("latest", labels, latest, may_be_stale=True, may_be_pending=True)
        failures = {failure.account: failure for failure in latest.failures}
        snapshots = {snapshot.account: snapshot for snapshot in latest.accounts}
        for label in labels:
            one, failure, snapshot = status[label], failures.get(label), snapshots.get(label)
            error = None if failure is None else failure.error
            if isinstance(error, NotReadError):
                # The snapshots of a stream are not kept.
                agrees = one.up is not False and snapshot is None
            elif one.up is None:
                agrees = error is None and snapshot.stale
            else:
                agrees = one.up == (error is None)
            if not agrees or type(one.error) is not type(None if isinstance(error, NotReadError) else error):
                self.problem(f"status and latest disagree about {label}")
            if (one.down_since is None) != (one.up is not False):
                self.problem(f"{label} is down since no moment, or up since one")
            if not is_young(label, snapshot if failure is None else failure.last_known):
                self.problem(f"latest shows what is older than what was returned of {label}")

    def check_removed(self, label, latest, status):
        """Check that nothing is shown of an account that was removed."""
        self.checked["removed"] += 1
        if label in status or any(one.account == label for one in [*latest.accounts, *latest.failures]):
            self.problem(f"{label} is shown after its removal")

    def check_loop_has_ended(self, loop, *, refusing=frozenset()):
        """Check that no task is left in an event loop that has ended, but for those that refuse to end."""
        self.checked["loop"] += 1
        self.check_empty(tasks_of_a_loop_that_has_ended=asyncio.all_tasks(loop) - refusing)

    def check_empty(self, **left):
        """Check that nothing is left over of what is named."""
        for name, is_left in left.items():
            if is_left:
                self.problem(f"left over: {name.replace('_', ' ')}: {is_left}")


@attrs.define
class History:
    """How requests for one account failed: what may be remembered of that, and for how long."""

    failed_at: float = float("-inf")
    times: int = 0
    asked_until: float = float("-inf")
    begun: list[float] = attrs.Factory(list)
    ended: list[float] = attrs.Factory(list)

    def failed(self, now, retry_after, *, rejected):
        """Note a failure; a rejected key is left alone for a minute."""
        least = _LONGEST_COOLDOWN if rejected else 0.0
        self.failed_at, self.times = now, self.times + 1
        self.asked_until = max(self.asked_until, now + max(retry_after or 0.0, least))

    def note_given(self, failure, now):
        """Note that a caller was given a failure, which may be one of the caller's own deadline."""
        if not is_earlier(failure.error):
            self.failed_at = max(self.failed_at, now)

    def was_under_way(self, now):
        """Whether a request had begun then, and had not ended."""
        return sum(at <= now for at in self.begun) > sum(at < now for at in self.ended)

    @property
    def until(self):
        """Until when the account may be left alone."""
        # No more reads have failed in a row than requests.
        doubled = min(_FIRST_COOLDOWN * 2 ** min(max(self.times - 1, 0), 16), _LONGEST_COOLDOWN)
        return max(self.failed_at + doubled * _JITTER, self.asked_until)


class Requests:
    """All that one client sends, by origin, held against the laws."""

    def __init__(self, laws, *, concurrency):
        self._laws = laws
        self._concurrency = concurrency
        self._under_way = set()
        self.quiet_until = defaultdict(lambda: float("-inf"))
        self.times = defaultdict(list)
        self.histories = defaultdict(History)

    def begin(self, origin, label, now):
        """Note a request of this task, which is returned."""
        self.histories[label].begun.append(now)
        task = asyncio.current_task()
        # What an event loop that has ended in the middle has left is dropped with it.
        self._under_way = {other for other in self._under_way if not other.get_loop().is_closed()} | {task}
        self.times[origin].append(now)
        # One that is cancelled does not count: it may never end.
        at_once = sum(not task.cancelling() for task in self._under_way)
        if at_once > self._concurrency:
            self._laws.problem(f"{at_once} requests under way with a concurrency of {self._concurrency}")
        if now < self.quiet_until[origin] - EPSILON:
            self._laws.problem(f"a request to {origin} {self.quiet_until[origin] - now:.3f} s before a 429 allows it")
        return task

    def end(self, label, now, task):
        """Note that the request of a task has ended."""
        history = self.histories[label]
        history.ended.append(now)
        if len(history.ended) > _REMEMBERED:
            del history.begun[: _REMEMBERED // 2], history.ended[: _REMEMBERED // 2]
        self._under_way.discard(task)

    def note(self, origin, label, now, error):
        """Note what a request failed with."""
        retry_after = getattr(error, "retry_after", None)
        self.histories[label].failed(now, retry_after, rejected=getattr(error, "status", None) in {401, 403})
        if isinstance(error, RateLimitedError):
            self._laws.checked["429"] += 1
            # Without a time, or with none to wait, it is a second at least.
            self.quiet_until[origin] = max(
                self.quiet_until[origin], now + (1.0 if retry_after is None else retry_after)
            )

    @staticmethod
    def check_limit(laws, name, limit, times):
        """Check the times of all requests under a limit."""
        times = sorted(times)
        laws.checked["limit"] += 1
        if any(
            later - sooner < limit.per - EPSILON for sooner, later in zip(times, times[limit.requests :], strict=False)
        ):
            laws.problem(f"more than {limit} at {name}")


class WatchLaws:
    """Holds the states of one watch against the laws; `shows` returns when the request of a snapshot was sent."""

    def __init__(self, laws, name, *, shows, begun):
        self._laws = laws
        self._name = name
        self._shows = shows
        self._shown = defaultdict(lambda: float("-inf"))
        self.begun = begun
        # Since when the consumer waits without a break.
        self.waiting_since = begun

    def state(self, labels, merged):
        """Check one state."""
        self._laws.check_result(self._name, labels, merged, may_be_stale=True, may_be_pending=True)
        for snapshot in [*merged.accounts, *(failure.last_known for failure in merged.failures)]:
            if snapshot is not None:
                self._shown[snapshot.account] = max(self._shown[snapshot.account], self._shows(snapshot))

    def is_behind(self, label, requested_at, known_at, *, within, now):
        """Check that what was requested then, and known then, is shown by now, if the consumer has waited for it.

        What was known before the watch began is to be read first.
        """
        if known_at > self.begun + EPSILON and now > max(known_at, self.waiting_since) + within + self._laws.slack:
            self._laws.checked["watched change"] += 1
            if self._shown[label] < requested_at - EPSILON:
                self._laws.problem(f"a watch does not show what is known of {label} for {now - known_at:.3f} s")
