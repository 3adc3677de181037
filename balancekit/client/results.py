"""From the outcomes of reads to a result: what is shown of each account, merged, and merged once for callers alike."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from operator import is_not
from typing import Final

import attrs

from balancekit.client.account_book import AccountBook
from balancekit.client.account_state import CLOCK_DRIFT, Moment, elapsed, own_copy
from balancekit.client.accounts import Account, Outcome
from balancekit.client.double_counting import count_once
from balancekit.client.known import last_of, watched_of
from balancekit.client.unread import removed_error
from balancekit.client.watch import Watch
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.merge import merge_counted
from balancekit.money.merged import MergedBalances
from balancekit.money.views import as_shown, chosen_labels

_MAX_CACHED: Final = 100
"""How many results are kept for callers to come: most programs ask for the same accounts again and again."""


@attrs.frozen
class _Cached:
    """A result of what is known.

    `as_of` is of when the oldest balances are, `ahead` how far ahead of the monotonic clock the wall clock was then,
    at least, and `most_ahead` at most. At `until` the first cooldown ends. `stale_as_of` and `stale_ahead` are the
    same of the snapshots that are shown after a failure.
    """

    merged: MergedBalances
    as_of: float
    ahead: float
    most_ahead: float
    until: float
    stale_as_of: float
    stale_ahead: float


class Results:
    """Merges what is known of a client's `accounts`, which are in the order in which they were given."""

    def __init__(self, accounts: AccountBook, aliases: Mapping[str, str]) -> None:
        self._accounts = accounts
        self._aliases = aliases
        # By the labels asked for and the age of what may be shown after a failure; emptied whenever something new is
        # known of an account.
        self._cache: dict[tuple[tuple[str, ...] | None, float], _Cached] = {}
        # What watches alike are shown, and as of when it was merged.
        self._watched: dict[Hashable, tuple[Moment, MergedBalances]] = {}
        # The last result, the snapshots that it was merged from, and the accounts that were asked for.
        self._merged: tuple[MergedBalances | None, list[AccountBalances], Mapping[str, Account]] = None, [], {}

    def forget(self) -> None:
        """Merge anew from now on: something new is known of an account."""
        self._cache.clear()
        self._watched.clear()

    def forget_all(self) -> None:
        """Keep nothing that was merged before: an account was removed, and what was read of it is to go with it."""
        self.forget()
        self._merged = None, [], {}

    def cached(
        self, labels: tuple[str, ...] | None, stale_for: float, max_age: float, moment: Moment
    ) -> MergedBalances | None:
        """Return the result for a caller that accepts what is `max_age` seconds old, if it is known already.

        Thousands of callers that ask for a thousand accounts cost no more than a look at the clock each.
        """
        known = self._cache.get((labels, stale_for))
        if known is None or moment.now >= known.until or known.most_ahead - moment.ahead > CLOCK_DRIFT:
            return None
        if elapsed(known.as_of, known.ahead, moment) > max_age:
            return None
        if not known.merged.failures:
            return known.merged
        if elapsed(known.stale_as_of, known.stale_ahead, moment) > stale_for:
            return None
        # Each caller gets errors of its own, which say how old they are.
        failures = [last_of(self._accounts[failure.account], moment)[1] for failure in known.merged.failures]
        return attrs.evolve(known.merged, failures=tuple(failure for failure in failures if failure is not None))

    def of_outcomes(
        self,
        outcomes: Iterable[Outcome],
        accounts: Mapping[str, Account],
        labels: Sequence[str] | None,
        stale_for: float,
        moment: Moment,
    ) -> MergedBalances:
        """Merge the outcomes of reads of `accounts`; of one that failed, the last snapshot if that is young enough.

        `labels` are those that were asked for, None for all.
        """
        snapshots: list[AccountBalances] = []
        failures: list[AccountFailure] = []
        for outcome in outcomes:
            account = accounts[outcome.account]
            if isinstance(outcome, AccountBalances):
                kept = account.state.kept
                if kept is not None and (kept.snapshot is not outcome or kept.ahead - moment.ahead > CLOCK_DRIFT):
                    snapshots.append(account.state.instead_of(outcome, moment))
                else:
                    snapshots.append(outcome)
                continue
            failures.append(failure := account.to_failure(outcome.error, moment))
            last, kept = failure.last_known, account.state.kept
            if last is not None and kept is not None and kept.age(moment) <= stale_for > 0:
                snapshots.append(last)
        # Callers that get the same snapshots get the same totals, which are merged once, and errors of their own.
        merged, merged_from, accounts_of_merged = self._merged
        own = {failure.account: failure for failure in failures}
        if (
            merged is None
            or len(merged_from) != len(snapshots)
            or any(map(is_not, merged_from, snapshots))
            or {failure.account for failure in merged.failures} != own.keys()
            or merged.chosen_accounts != chosen_labels(labels)
            or accounts_of_merged != accounts
        ):
            merged = self._merge(snapshots, failures, accounts, labels)
            self._merged = merged, snapshots, accounts
            return merged
        if not own:
            return merged
        return attrs.evolve(merged, failures=as_shown((own[one.account] for one in merged.failures), merged.accounts))

    def of_known(self, accounts: Mapping[str, Account], labels: Sequence[str] | None, moment: Moment) -> MergedBalances:
        """Merge the last that is known of accounts; `labels` are those that were asked for, None for all."""
        return self._of_pairs([last_of(account, moment) for account in accounts.values()], accounts, labels)

    def of_watched(self, watch: Watch, moment: Moment) -> MergedBalances:
        """Merge what a watch shows of its accounts, once for all that show the same."""
        key = tuple(watch.labels), watch.options.stale_if_error, frozenset(watch.pending)
        made = self._watched.get(key)
        if made is None or elapsed(made[0].now, made[0].ahead, moment) > CLOCK_DRIFT:
            self._watched[key] = made = moment, self._merge_watched(watch, moment)
        # For the first watch, too: what is done with its errors, as to raise them, changes none of the others'.
        failures = tuple(attrs.evolve(failure, error=own_copy(failure.error)) for failure in made[1].failures)
        return attrs.evolve(made[1], failures=failures) if failures else made[1]

    def _merge_watched(self, watch: Watch, moment: Moment) -> MergedBalances:
        stale_if_error = watch.options.stale_if_error
        accounts = {account.label: account for account in watch.select(self._accounts)}
        pairs = [
            watched_of(account, moment, is_pending=label in watch.pending, stale_if_error=stale_if_error)
            for label, account in accounts.items()
        ]
        gone = watch.removed(self._accounts)
        pairs += [(None, AccountFailure(account.label, account.provider, removed_error(account))) for account in gone]
        named = [label for label in watch.labels if label is not None]
        # What is watched by name is a part, even if it is none.
        return self._of_pairs(pairs, accounts, None if None in watch.labels else named)

    def remember(
        self, labels: tuple[str, ...] | None, accounts: Sequence[Account], stale_for: float, merged: MergedBalances
    ) -> None:
        """Keep a result for callers to come, if it shows the last that is known of all its accounts."""
        until, as_of, ahead, most_ahead = math.inf, math.inf, math.inf, -math.inf
        stale_as_of, stale_ahead = math.inf, math.inf
        failed = {failure.account for failure in merged.failures}
        shown = {snapshot.account: snapshot for snapshot in merged.accounts}
        for account in accounts:
            state, kept = account.state, account.state.kept
            if account.label in failed:
                if state.failure is None:
                    return
                until = min(until, state.cooldown.until)
                if account.label in shown and kept is not None:
                    stale_as_of, stale_ahead = min(stale_as_of, kept.as_of), min(stale_ahead, kept.ahead)
                    most_ahead = max(most_ahead, kept.ahead)
            elif kept is None or not state.shows_changes(kept) or shown.get(account.label) is not kept.snapshot:
                return
            else:
                as_of, ahead = min(as_of, kept.as_of), min(ahead, kept.ahead)
                most_ahead = max(most_ahead, kept.ahead)
        if as_of < math.inf:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            key = labels, stale_for
            self._cache[key] = _Cached(merged, as_of, ahead, most_ahead, until, stale_as_of, stale_ahead)

    def _of_pairs(
        self,
        pairs: Sequence[tuple[AccountBalances | None, AccountFailure | None]],
        accounts: Mapping[str, Account],
        labels: Sequence[str] | None,
    ) -> MergedBalances:
        snapshots = [snapshot for snapshot, _ in pairs if snapshot is not None]
        return self._merge(snapshots, [failure for _, failure in pairs if failure is not None], accounts, labels)

    def _merge(
        self,
        snapshots: list[AccountBalances],
        failures: list[AccountFailure],
        accounts: Mapping[str, Account],
        labels: Sequence[str] | None,
    ) -> MergedBalances:
        """Merge what was read of `accounts`, of which some may have been removed by now.

        Of two accounts that list one balance the removed one fails, otherwise the later one.
        """
        counted, failed = count_once(
            snapshots,
            failures,
            origin_of=lambda label: accounts[label].origin.name,
            labels=self._accounts,
        )
        own = {label: account.aliases for label, account in accounts.items() if account.aliases}
        return merge_counted(counted, failed, aliases=self._aliases, own_aliases=own, chosen_accounts=labels)
