"""What a client knows of one account: the last snapshot, the last failure, and how old both are. Nothing here waits.

There is one order: of two snapshots, and of a failure and a success, the one whose request was sent later counts, and
no number goes back. If that was read at an earlier version, the account is to be read again, whatever a store has.
Which of two versions is the present one, no clock says, since it may stand still for a while: questions to a store are
numbered.

It may be read in another thread than the event loop's, which writes it: nothing is looked at twice that may change.

Moments are in seconds of the monotonic clock, unless they are said to be of the wall clock. The monotonic one may stand
still while the machine is suspended, and the wall clock may be set: an age is the longer of what the two say.
"""

import copy
import itertools
import math
from datetime import UTC, datetime
from typing import Final

import attrs

from balancekit.client.retry import AccountCooldown, OriginCooldown
from balancekit.clock import Clock
from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.balances import AccountBalances, set_back

CLOCK_DRIFT: Final = 1.0
"""How many seconds two clocks may drift apart before one of them must have been set, or the machine suspended."""

_TRANSIT: Final = 0.05
"""How many seconds it may take until this process hears of a change that another has made known."""

_questions: Final = itertools.count(1)


def next_question() -> int:
    """Return the number of a question to a store that is asked now."""
    return next(_questions)


@attrs.define
class Moment:
    """One moment: of the monotonic clock `now`, and how many seconds the wall clock is `ahead` of that."""

    now: float
    ahead: float

    @classmethod
    def of(cls, clock: Clock) -> "Moment":
        """Return this moment."""
        now = clock.monotonic()
        return cls(now, clock.time() - now)

    @property
    def wall(self) -> float:
        """The moment in Unix seconds."""
        return self.now + self.ahead


def elapsed(since: float, ahead: float, moment: Moment) -> float:
    """Return the seconds since a moment at which the wall clock was so far `ahead`: time in suspension counts."""
    return moment.now - since + max(0.0, moment.ahead - ahead)


@attrs.define(eq=False)
class Kept:
    """A snapshot and what is known of it; it is replaced as a whole, since another thread may look at it.

    `version` is that at which it was read, None if that is not known. `sent_at` is when its request was sent, `as_of`
    of when its balances are (earlier where the provider says so), and `ahead` how far ahead of the monotonic clock the
    wall clock then was, by its `fetched_at`. Later callers may be given it if it `is_reusable`.
    """

    snapshot: AccountBalances
    version: str | None
    sent_at: float
    as_of: float
    ahead: float
    is_reusable: bool = True

    def age(self, moment: Moment) -> float:
        """Return how many seconds old the balances are."""
        return elapsed(self.as_of, self.ahead, moment)

    def shown(self, moment: Moment) -> AccountBalances:
        """Return the snapshot as it is to be shown now.

        If the wall clock has been set back, its moments are earlier by that: none is shown as younger than it is.
        """
        too_late = self.ahead - moment.ahead
        return self.snapshot if too_late <= CLOCK_DRIFT else _earlier(self.snapshot, too_late)


@attrs.define(eq=False)
class AccountState:
    """What is known of one account.

    `kept` is the latest snapshot, and `failure` what the last read ended with, None if it succeeded. `version` changes
    whenever the balances may have changed. `waiting_since` is since when the account waits to be read, and
    `requested_at` when the last request was sent for it.
    """

    version: str = "local 0"
    kept: Kept | None = None
    failure: BalancekitError | None = None
    cooldown: AccountCooldown = attrs.field(factory=AccountCooldown)
    origin_cooldown: OriginCooldown = attrs.field(factory=OriginCooldown)
    waiting_since: float | None = None
    requested_at: float = -math.inf
    last_failure: Moment | None = None
    down_since: Moment | None = None
    _failed_at: float = -math.inf
    # When the last request that failed here was sent.
    _failure_sent_at: float = -math.inf
    # When the last request that succeeded was sent, although its snapshot may not have been kept.
    _succeeded_at: float = -math.inf
    _success_ahead: float = 0.0
    # The last snapshot from a store, and what `date` made of it, if that is another object.
    _entered: tuple[AccountBalances, AccountBalances] | None = None
    _invalidations: int = 0
    # The question whose answer the version is, or as of which the balances may have changed.
    _question: int = 0
    # Since when no snapshot of a store counts that was requested earlier.
    _changed_at: float = -math.inf

    @property
    def last_success(self) -> Moment | None:
        """When the last request that succeeded was sent; None before the first."""
        return None if self._succeeded_at == -math.inf else Moment(self._succeeded_at, self._success_ahead)

    @property
    def last(self) -> AccountBalances | None:
        """The last snapshot."""
        return None if self.kept is None else self.kept.snapshot

    @property
    def is_valid(self) -> bool:
        """Whether the last snapshot was read since the balances may have changed."""
        return self.shows_changes(self.kept)

    def shows_changes(self, kept: Kept | None) -> bool:
        """Return whether a snapshot was read since the balances may have changed, as far as is known."""
        return kept is not None and self.is_current(kept.version, kept.sent_at)

    def fresh(self, version: str, max_age: float, moment: Moment) -> AccountBalances | None:
        """Return the last snapshot if it was read at that version, and is no older than `max_age` seconds."""
        kept = self.kept
        if kept is None or version != self.version or not (self.shows_changes(kept) and kept.is_reusable):
            return None
        return kept.snapshot if kept.age(moment) <= max_age else None

    def is_current(self, version: str | None, sent_at: float) -> bool:
        """Return whether what was requested then, at that version, shows all changes that are known.

        A store may have forgotten a change, such as one that is restored.
        """
        return version == self.version and sent_at >= self._changed_at

    def is_last(self, snapshot: AccountBalances, age: float, moment: Moment) -> bool:
        """Return whether a snapshot that was requested `age` seconds ago is the last one, or later than that.

        The store says how long ago: it counts the time in which this machine is suspended.
        """
        kept = self.kept
        return kept is None or snapshot is kept.snapshot or age <= elapsed(kept.sent_at, kept.ahead, moment)

    def invalidate(self, moment: Moment, *, since: float | None = None) -> None:
        """Note that the balances may have changed `since` then: no snapshot from before is valid.

        Without that, it was another process that has found out, a moment ago.
        """
        self._changed_at = max(self._changed_at, moment.now - _TRANSIT if since is None else since)
        self._invalidations += 1
        self._question = next_question()
        self.version = f"local {self._invalidations}"
        self.cooldown.end()

    def keep(self, snapshot: AccountBalances, *, sent_at: float, version: str | None, is_reusable: bool = True) -> None:
        """Keep a snapshot of this process as the last one, unless a later one is known.

        Without a version it is not known whether it is still valid. It is not reusable if nobody will be able to find
        that out.
        """
        if self.kept is None or sent_at >= self.kept.sent_at:
            as_of = sent_at if snapshot.reported_at is None else sent_at - delay_of(snapshot)
            ahead = snapshot.fetched_at.timestamp() - sent_at
            self.kept = Kept(snapshot, version, sent_at, as_of, ahead, is_reusable)

    def keep_stored(self, snapshot: AccountBalances, *, age: float, version: str | None, moment: Moment) -> bool:
        """Keep a snapshot that another process requested `age` seconds ago as the last one; returns whether it is news.

        It is not if a later one is known. Without a version it is not valid.
        """
        age = max(0.0, age)
        is_current = self.is_current(version, moment.now - age)
        if not self.is_last(snapshot, age, moment) or (snapshot is self.last and is_current <= self.is_valid):
            return False
        sent_at = moment.now - age
        as_of = sent_at - delay_of(snapshot)
        self.kept = Kept(snapshot, version if is_current else None, sent_at, as_of, moment.ahead)
        self.succeeded(sent_at=sent_at, moment=moment)
        return True

    def learn_version(self, version: str, *, question: int) -> bool:
        """Take the version that a store has returned to a question; returns whether the last snapshot was valid before.

        It is not taken if more is known since that was asked.
        """
        if question < self._question:
            return False
        self._question = question
        if version == self.version:
            return False
        was_valid, self.version = self.is_valid, version
        self.cooldown.end()
        return was_valid

    def succeeded(self, *, sent_at: float, moment: Moment) -> None:
        """Note that a request that was sent at `sent_at` succeeded; a failure of a later one remains."""
        if sent_at >= self._succeeded_at:
            self._succeeded_at, self._success_ahead = sent_at, moment.ahead
        if self.failure is not None and sent_at >= self._failure_sent_at:
            self.failure = self.down_since = None
            self.cooldown.end()

    def failed(
        self,
        error: BalancekitError,
        *,
        begun_at: float,
        sent_at: float,
        version: str,
        moment: Moment,
        cools_down: bool = True,
    ) -> None:
        """Note that a read that was begun then ended with an error, after its last request was sent at `sent_at`.

        It says nothing new if a later request has succeeded. `cools_down`: the account is to be left alone for a while.
        """
        if sent_at < self._succeeded_at:
            return
        # A failure from before the balances may have changed does not keep anybody from looking now.
        if cools_down and version == self.version:
            self.cooldown.begin(error, sent_at=begun_at, now=moment.now)
        self._fail(error, sent_at, moment)

    def not_asked(self, error: BalancekitError, moment: Moment) -> None:
        """Note that it is not asked in the cooldown of its origin; a success of a request under way ends that."""
        self._fail(error, self._succeeded_at, moment)

    def learn_failure(
        self, error: BalancekitError, *, age: float, took: float, cooldown: float, version: str, moment: Moment
    ) -> bool:
        """Take a failure of another process at that version, as a store says; returns whether it is news.

        It was put `age` seconds ago, and its request was sent `took` seconds before that. It is not news if this one
        knows a later failure or success, or that the balances may have changed.
        """
        failed_at = moment.now - age
        sent_at = failed_at - took
        if version != self.version or sent_at <= max(self._failure_sent_at, self._succeeded_at):
            return False
        self.cooldown.learn(cooldown, age=age, now=moment.now)
        self._fail(error, sent_at, Moment(failed_at, moment.ahead))
        return True

    def _fail(self, error: BalancekitError, sent_at: float, moment: Moment) -> None:
        self.failure, self._failed_at, self.last_failure = error, moment.now, moment
        self._failure_sent_at = max(self._failure_sent_at, sent_at)
        if self.down_since is None:
            self.down_since = moment

    def remembered_failure(self, moment: Moment) -> BalancekitError | None:
        """Return what the last read ended with, with its age, if the account is not to be read again yet."""
        if self.failure is None or self.cooldown.remaining(moment.now) <= 0:
            return None
        return self.aged_failure(moment)

    def aged_failure(self, moment: Moment) -> BalancekitError | None:
        """Return what the last read ended with: an error of its own, which says how old it is."""
        failure = self.failure
        if failure is None:
            return None
        error = own_copy(failure)
        if isinstance(error, ProviderError):
            error.args = (f"{error.message} ({max(0.0, moment.now - self._failed_at):.0f} s ago)", *error.args[1:])
            error.retry_after = self.next_attempt_in(moment) or None
        return error

    def next_attempt_in(self, moment: Moment) -> float:
        """Return the seconds until the cooldowns of the account and of its origin are over."""
        return max(self.cooldown.remaining(moment.now), self.origin_cooldown.remaining(moment.now))

    def stale(self, moment: Moment) -> AccountBalances | None:
        """Return the last snapshot as it is to be shown, marked as stale."""
        kept = self.kept
        return None if kept is None else attrs.evolve(kept.shown(moment), stale=True)

    def date(self, snapshot: AccountBalances, *, age: float, moment: Moment) -> AccountBalances:
        """Return a snapshot of a store with moments that are no later than its age, in seconds, says.

        The wall clocks of two machines say nothing of how old it is. The same snapshot becomes the same object each
        time, so that it is known again: by its content, since two snapshots may have one `fetched_at`.
        """
        last, known = self.last, self._entered
        if snapshot is last:
            return snapshot
        if known is None or not (snapshot is known[0] or snapshot == known[0]):
            known = snapshot, last if last is not None and snapshot == last else snapshot
        entered = known[1]
        if entered is not last or entered.fetched_at != snapshot.fetched_at:
            too_late = entered.fetched_at.timestamp() - (moment.wall - age)
            if too_late > CLOCK_DRIFT:
                entered = _earlier(entered, too_late)
        self._entered = None if entered is snapshot else (snapshot, entered)
        return entered

    def instead_of(self, outcome: AccountBalances, moment: Moment) -> AccountBalances:
        """Return what a caller is given in the event loop for what a read has brought.

        That is the last snapshot, if by its date the other was requested later: it was not, so the clock was set back.
        """
        self.note_set_back(moment)
        if outcome.stale:
            stale = self.stale(moment)
            return outcome if stale is None or stale.fetched_at >= outcome.fetched_at else stale
        last = self.last
        return outcome if last is None or last.fetched_at > outcome.fetched_at else last

    def note_set_back(self, moment: Moment) -> None:
        """Date the last snapshot anew if the wall clock has been set back: a later suspension counts in full.

        Called in the event loop alone, which writes.
        """
        kept = self.kept
        if kept is None or kept.ahead - moment.ahead <= CLOCK_DRIFT:
            return
        self.kept = attrs.evolve(kept, snapshot=kept.shown(moment), ahead=moment.ahead)
        if self._entered is not None and self._entered[1] is kept.snapshot:
            self._entered = self._entered[0], self.kept.snapshot


def _earlier(snapshot: AccountBalances, seconds: float) -> AccountBalances:
    reported_at = None if snapshot.reported_at is None else set_back(snapshot.reported_at, seconds)
    return attrs.evolve(snapshot, fetched_at=set_back(snapshot.fetched_at, seconds), reported_at=reported_at)


def delay_of(snapshot: AccountBalances) -> float:
    """Return by how many seconds the balances of a snapshot are older than its request."""
    return (snapshot.fetched_at - snapshot.as_of).total_seconds()


def own_copy(error: BalancekitError) -> BalancekitError:
    """Return an error like another: callers raise it, and a shared one would collect the frames of all of them."""
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own


def utc(then: Moment | None, moment: Moment) -> datetime | None:
    """Return a moment, if there is one, as it is to be shown now: earlier if the wall clock has been set back."""
    return None if then is None else datetime.fromtimestamp(then.now + min(then.ahead, moment.ahead), UTC)
