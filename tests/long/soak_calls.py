"""The calls of a soak, each held against the laws and the model."""

import asyncio
import contextlib
import math
import time
from collections import Counter

from balancekit import AccountBalances, IncompleteError, ProviderError
from tests.long.counted import Counted
from tests.long.model import Model, ModelLaws
from tests.support.laws import WatchLaws

DEADLINE = 2.0
# How exact a `fetched_at` is: the age is counted on another clock.
EXACT = 0.01
# How long the requests of a stream that nobody has closed may go on, and for how long what is read in the background.
MOMENT, BACKGROUND = 0.1, DEADLINE + 2
# In how many seconds a watch shows what is known.
SHOWN = 0.5


class Calls(ModelLaws):
    """One client, and each way to call it, with some accounts or all (None).

    A way returns for how many seconds requests for its accounts may go on after it.
    """

    client = providers = remote = None

    def __init__(self, chance, accounts, *, slack):
        self.chance = chance
        super().__init__(Model(chance, accounts), slack=slack)
        self.done = Counter()
        self.slowest = 0.0
        # When each account was last invalidated, or added: of the wall clock, and of the monotonic one.
        self.invalidated = dict.fromkeys(self.model.now, (0.0, 0.0))
        # The last of each account that a fetch has returned: its `fetched_at`, and when it was known.
        self.returned = dict.fromkeys(self.model.now, (-math.inf, -math.inf))

    async def fetch(self, accounts):
        """Fetch, perhaps what need not be read anew or in less time, and check all that comes."""
        self.done["fetches"] += 1
        if self.chance.random() < 0.5:
            await self.invalidate()
        max_age, stale_for = self.chance.choice([0.0, 0.0, 0.2, 1.0]), self.chance.choice([0.0, 0.0, 5.0])
        fair, deadline = self.chance.choice([0.0, 3.0]), self.chance.choice([None, None, self.chance.uniform(0.05, 1)])
        labels, invalidated = self.present(accounts), dict(self.invalidated)
        begun, begun_at, requests = time.time(), time.monotonic(), Counted.attempts
        merged = await self.client.fetch(
            labels, max_age=max_age, stale_if_error=fair, stale_while_revalidate=stale_for, deadline=deadline
        )
        took = time.time() - begun
        self.slowest = max(self.slowest, took)
        self.check_seconds("fetch", took, within=deadline or DEADLINE)
        self.done["fetches without a request"] += bool(merged.accounts) and Counted.attempts == requests
        self.check(labels, merged, may_be_stale=fair or stale_for, may_be_pending=stale_for > 0)
        for snapshot in merged.accounts:
            if not snapshot.stale:
                oldest = max(begun - max_age, invalidated[snapshot.account][0]) - EXACT
                self.check_age(snapshot.account, snapshot.fetched_at.timestamp(), oldest)
            elif snapshot.account not in {failure.account for failure in merged.failures}:
                self.done["stale while revalidating"] += 1
        for failure in merged.failures:
            self.check_earlier_failure(
                failure,
                Counted.requests.histories[failure.account],
                begun=begun_at,
                deadline=DEADLINE + self.slack,
                accepts_earlier=max_age > 0 or stale_for > 0,
                is_revalidated=stale_for > 0,
                invalidated_at=invalidated[failure.account][1],
            )
        self.check_latest(merged, invalidated, begun)
        return BACKGROUND if deadline or stale_for else 0.0

    def check_latest(self, merged, invalidated, begun):
        """Check what is shown of accounts after the result of a fetch that was begun then."""
        # One that was removed meanwhile is known no more.
        labels = [label for label in self.client.accounts if invalidated[label] == self.invalidated[label]]
        fresh = {one.account: one.fetched_at for one in merged.accounts if not one.stale}

        def is_young(label, snapshot):
            return label not in fresh or (snapshot is not None and snapshot.fetched_at >= fresh[label])

        latest, status = self.client.latest(labels), self.client.status()
        self.check_known(labels, latest, status, is_young=is_young)
        for label in fresh.keys() & set(labels):
            sent = fresh[label].timestamp()
            # What was known before may be shown later, by a watch that reads first.
            if sent > max(self.returned[label][0], begun):
                self.returned[label] = sent, time.monotonic()

    async def invalidate(self):
        """Invalidate an account."""
        label, begun = self.chance.choice(self.client.accounts), (time.time(), time.monotonic())
        await self.client.invalidate(label)
        self.invalidated[label] = max(begun, self.invalidated[label])
        self.done["invalidations"] += 1

    async def fetch_strictly(self, accounts):
        """Fetch so that a failure raises."""
        self.done["fetches"] += 1
        self.done["strict fetches"] += 1
        labels = self.present(accounts)
        try:
            merged = await self.client.fetch(labels, strict=True)
        except* ProviderError as group:
            if not isinstance(group, IncompleteError):
                raise
            self.check(labels, group.partial)
        else:
            if not merged.complete:
                self.problem("a strict fetch returned an incomplete result")
            self.check(labels, merged)

    async def cancel(self, accounts):
        """Cancel a fetch on its way."""
        self.done["fetches"] += 1
        labels = self.present(accounts)
        task = asyncio.create_task(self.call(labels))
        after = self.chance.choice([0, self.chance.uniform(0, 0.01), self.chance.uniform(0, 0.3)])
        if await self.end(task, "fetch", within=DEADLINE, cancel_after=after):
            self.check(*task.result())
        else:
            self.done["cancelled fetches"] += 1

    async def call(self, labels):
        """Fetch those of the labels that have not been removed before this begins; return them as well."""
        labels = self.present(labels)
        return labels, await self.client.fetch(labels)

    async def leave(self, accounts):
        """Leave a stream before its end, or at it; perhaps reading it slowly."""
        self.done["streams"] += 1
        labels = self.present(accounts)
        wanted, waited = self.chance.randint(0, len(labels) or 1), 0.0
        pause = self.chance.choice([0.0, 0.0, 0.0, 0.05])
        self.done["slow streams"] += pause > 0
        stream = self.client.stream(labels)
        # Left to the loop's own care every other time, as a plain `break` leaves it.
        tidy = self.chance.random() < 0.5
        outcomes = []
        async with contextlib.aclosing(stream) if tidy else contextlib.nullcontext():
            asked = time.monotonic()
            async for outcome in stream:
                waited += time.monotonic() - asked
                self.check_outcome(outcome, time.time())
                outcomes.append(outcome)
                if len(outcomes) >= wanted:
                    self.done["streams left early"] += 1
                    break
                await asyncio.sleep(pause)
                asked = time.monotonic()
        self.check_seconds("stream", waited, within=DEADLINE)
        self.check_outcomes("stream", labels, outcomes, whole=len(outcomes) < wanted)
        return 0.0 if tidy else MOMENT

    async def watch(self, accounts):
        """Watch for some seconds, with waits that end early, and perhaps with breaks between the states."""
        self.done["watches"] += 1
        labels, ends_at = self.present(accounts), time.monotonic() + self.chance.uniform(0, 4)
        is_slow = self.chance.random() < 0.3
        watched = None if accounts is None else labels
        async with self.client.watch(watched, min_interval=self.chance.choice([0.0, 0.2, 1.0])) as states:
            laws = WatchLaws(self, "watch", shows=lambda one: one.fetched_at.timestamp(), begun=time.monotonic())
            while time.monotonic() < ends_at:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.chance.choice([0.0, 0.01, 0.5])):
                        merged = await anext(states)
                        laws.state(self.present(None) if watched is None else watched, merged)
                        self.done["states"] += 1
                        for snapshot in merged.accounts:
                            self.check_outcome(snapshot, time.time())
                for label in self.present(watched):
                    laws.is_behind(label, *self.returned[label], within=SHOWN, now=time.monotonic())
                if is_slow:
                    await asyncio.sleep(self.chance.uniform(0, 0.5))
                    laws.waiting_since = time.monotonic()
        return BACKGROUND

    async def move(self, accounts):
        """Remove an account, and add it again."""
        label = self.chance.choice(self.present(accounts) or self.client.accounts)
        await self.client.remove(label)
        self.done["removals"] += 1
        self.check_removed(label, self.client.latest(), self.client.status())
        await asyncio.sleep(self.chance.choice([0, self.chance.uniform(0, 1)]))
        self.invalidated[label] = time.time(), time.monotonic()
        await self.client.add(self.providers[label])
        self.returned[label] = -math.inf, -math.inf

    def present(self, accounts):
        """Return those of the labels, or of all, that have not been removed."""
        return [label for label in self.client.accounts if accounts is None or label in accounts]

    def check_outcome(self, outcome, arrived):
        """Compare one account with the model."""
        super().check_outcome(outcome, arrived)
        if isinstance(outcome, AccountBalances):
            self.checked["snapshot"] += 1
        else:
            Counted.requests.histories[outcome.account].note_given(outcome, time.monotonic())
