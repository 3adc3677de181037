"""Somebody who asks a client for this and that, in virtual time, and holds what comes against the laws."""

import asyncio
import math
from contextlib import aclosing, suppress

from balancekit import AccountBalances
from tests.support.laws import EPSILON, WatchLaws
from tests.support.moods import CALM, Moody

CALLERS = 6
CALM_WITHIN = 3 * CALM * CALLERS
"""In how many seconds accounts without moods are read: each caller may have both of them read, and so may watches."""
SHOWN = 0.1
"""In how many seconds a watch shows what is known: it waits a little for more."""


class Caller:
    """Calls one client until it is closed. `stress` knows what has become of the accounts."""

    def __init__(self, stress, number):
        self._stress = stress
        self._number = number
        self._client = stress.clients[number]
        self._world = stress.world
        self._chance = stress.world.chance

    async def run(self):
        """Go on until the client is closed."""
        ways = (self._fetch, self._stream, self._watch, self._invalidate, self._settle, self._fetch_calm, self._move)
        while not self._is_closed:
            await self._chance.choices(ways, weights=(12, 6, 3, 6, 2, 2, 1))[0]()
            await asyncio.sleep(self._chance.choice([0, 0.01, self._chance.uniform(0, 1)]))

    @property
    def _is_closed(self):
        return self._number in self._stress.closed

    def _labels(self):
        labels = self._client.accounts
        return self._chance.sample(labels, self._chance.randint(0, len(labels)))

    def _max_age(self):
        return self._chance.choice([0, 0, 0.5, 5, math.inf])

    def _deadline(self):
        return self._chance.choice([None, None, self._chance.uniform(0.01, 2 * self._stress.deadline)])

    def _longest(self, deadline):
        return self._stress.deadline if deadline is None else min(deadline, self._stress.deadline)

    async def _end(self, task, name, seconds):
        """Have a task end by itself or by being cancelled at a random moment; returns whether it has a result."""
        after = self._chance.choice([0, 0.01, self._chance.uniform(0, 2)]) if self._chance.random() < 0.3 else None
        return await self._world.end(task, name, within=seconds, cancel_after=after)

    async def _fetch(self):
        deadline = self._deadline()
        await self._end(asyncio.create_task(self._fetch_and_check(deadline)), "fetch", self._longest(deadline))

    async def _fetch_and_check(self, deadline):
        if self._is_closed:
            return
        labels, max_age, fair = self._labels(), self._max_age(), self._chance.choice([0, 100])
        stale_for = self._chance.choice([0, 0, 10])
        oldest, begun = self._oldest(max_age), self._world.now
        ages = {"max_age": max_age, "stale_if_error": fair, "stale_while_revalidate": stale_for}
        merged = await self._client.fetch(labels, **ages, deadline=deadline)
        self._world.check_result("fetch", labels, merged, may_be_stale=fair or stale_for, may_be_pending=stale_for > 0)
        for snapshot in merged.accounts:
            if not snapshot.stale:
                self._check(snapshot, oldest, begun)
            elif fair or stale_for:
                longest = max(fair, stale_for) + self._stress.in_transit
                at = self._world.of(snapshot).at
                self._world.check_age(snapshot.account, at, begun - longest, "a stale snapshot")
        for failure in merged.failures:
            self._world.check_earlier_failure(
                failure,
                self._stress.history(self._number, failure.account),
                begun=begun,
                deadline=self._stress.deadline,
                accepts_earlier=max_age > 0 or stale_for > 0,
                is_revalidated=stale_for > 0,
                invalidated_at=oldest[failure.account][1],
            )
            self._note_failure(failure)
        self._check_known(merged, begun)

    def _note_failure(self, failure):
        history = self._world.requests[self._number].histories[failure.account]
        history.note_given(failure, self._world.now)

    def _check_known(self, merged, begun):
        """Check what is shown of accounts after a result, without waiting."""
        labels = [label for label in self._client.accounts if merged.accounts or merged.failures]
        fresh = {one.account: self._world.of(one) for one in merged.accounts if not one.stale}
        present = self._stress.not_removed_since(self._number, begun)

        def is_young(label, snapshot):
            if label not in fresh or label not in present:
                return True
            tolerance = self._stress.in_transit + EPSILON
            return snapshot is not None and self._world.of(snapshot).at >= fresh[label].at - tolerance

        latest, status = self._client.latest(labels), self._client.status()
        self._world.check_known(labels, latest, status, is_young=is_young)
        for label in fresh.keys() & present:
            self._stress.note_returned(self._number, fresh[label])

    async def _fetch_calm(self):
        """Fetch from the host that has no moods, beside all others."""
        begun = self._world.now
        task = asyncio.create_task(self._client.fetch(self._stress.calm))
        if await self._world.end(task, "calm fetch", within=self._stress.deadline) and self._stress.has_calm_slots:
            # Some callers end theirs in the same moment.
            self._world.check_seconds("calm read", self._world.now - begun, within=CALM_WITHIN)
            if not task.result().complete and not self._is_closed:
                self._world.problem("an account without moods could not be read")

    async def _stream(self):
        labels, deadline, seen = [], self._deadline(), []
        leaves_after = self._chance.choice([None, self._chance.randint(1, 5)])
        pause = self._chance.choice([0, 0, 0, 0.3])

        async def read():
            if self._is_closed:
                return True
            labels[:], max_age = self._labels(), self._max_age()
            oldest, begun = self._oldest(max_age), self._world.now
            stream, waited = self._client.stream(labels, max_age=max_age, deadline=deadline), 0.0
            async with aclosing(stream):
                asked = self._world.now
                async for outcome in stream:
                    waited += self._world.now - asked
                    seen.append(outcome)
                    if isinstance(outcome, AccountBalances):
                        self._check(outcome, oldest, begun)
                    else:
                        self._note_failure(outcome)
                    if len(seen) == leaves_after:
                        return True
                    await asyncio.sleep(0 if self._is_closed else pause)
                    asked = self._world.now
            self._world.check_seconds("waiting of a stream", waited, within=self._longest(deadline))
            return False

        task = asyncio.create_task(read())
        breaks = pause * len(self._client.accounts)
        read_out = await self._end(task, "stream", self._longest(deadline) + breaks) and not task.result()
        self._world.check_outcomes("stream", labels, seen, whole=read_out)

    async def _watch(self):
        ends_at = self._world.now + self._chance.uniform(0, 5)
        await self._end(asyncio.create_task(self._watch_until(ends_at)), "watch", 7)

    async def _watch_until(self, ends_at):
        """Watch, with waits that end early, and perhaps with breaks between the states."""
        if self._is_closed:
            return
        chosen, interval = self._chance.choice([None, self._labels()]), self._chance.choice([0, 0.1, 1])
        is_slow = self._chance.random() < 0.3
        async with self._client.watch(chosen, max_age=self._max_age(), min_interval=interval) as states:
            laws = WatchLaws(self._world, "watch", shows=lambda one: self._world.of(one).at, begun=self._world.now)
            while self._world.now < ends_at and not self._is_closed:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._chance.choice([0, 0.01, 0.5])):
                        merged = await anext(states, None)
                        if merged is None:
                            break
                        # One of those that it names is missing from its states while it is removed.
                        laws.state(self._client.accounts if chosen is None else chosen, merged)
                if self._stress.is_alone and not self._is_closed:
                    self._check_shown(laws, self._present(chosen), interval)
                if is_slow:
                    await asyncio.sleep(self._chance.uniform(0, 1))
                    laws.waiting_since = self._world.now

    def _check_shown(self, laws, labels, interval):
        for label in labels:
            laws.is_behind(label, *self._stress.returned[self._number, label], within=SHOWN, now=self._world.now)
            if label in self._stress.calm and self._stress.has_calm_slots:
                changed = self._stress.changed[self._number, label]
                laws.is_behind(label, *changed, within=interval + 2 * SHOWN + CALM_WITHIN, now=self._world.now)

    def _present(self, chosen):
        return [label for label in self._client.accounts if chosen is None or label in chosen]

    async def _move(self):
        """Remove an account, and add it again."""
        movable = [label for label in self._client.accounts if label not in self._stress.calm]
        if self._is_closed or not movable:
            return
        label = self._chance.choice(movable)
        await self._client.remove(label)
        self._stress.note_removal(self._number, label)
        self._world.check_removed(label, self._client.latest(), self._client.status())
        await asyncio.sleep(self._chance.choice([0, self._chance.uniform(0, 2)]))
        if not self._is_closed:
            host = self._stress.homes[label]
            await self._client.add(Moody(label, host, self._number, self._world, kind=self._stress.kinds[host]))
            self._stress.note_addition(self._number, label)

    async def _invalidate(self):
        label, begun = self._chance.choice(self._client.accounts), self._world.now
        if await self._perhaps_cancelled(self._client.invalidate(label)):
            self._stress.note_invalidation(self._number, label, begun)

    async def _settle(self):
        label, begun = self._chance.choice(self._client.accounts), self._world.now
        # Even one that is cancelled may put off the second look of an earlier event.
        self._stress.delivered[self._number, label] = None
        event = f"event {next(self._stress.events)}".encode()
        if await self._perhaps_cancelled(self._client.handle_webhook(label, {}, event)):
            self._stress.note_invalidation(self._number, label, begun)
            self._stress.expect_second_look(self._number, label, begun)

    async def _perhaps_cancelled(self, call):
        if self._chance.random() >= 0.2:
            await call
            return True
        task = asyncio.create_task(call)
        await asyncio.sleep(self._chance.choice([0, 0.01]))
        task.cancel()
        # Its account may have been removed before it began.
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        return False

    def _oldest(self, max_age):
        """Return the earliest moment at which what a call gets that begins now may have been requested, by label.

        The second is that of the last invalidation, or addition.
        """
        since = self._world.now - max_age - self._stress.in_transit
        changes = {label: self._stress.invalidated[self._number, label] for label in self._client.accounts}
        return {label: (max(since, change), change) for label, change in changes.items()}

    def _check(self, snapshot, oldest, begun):
        sent = self._world.of(snapshot)
        self._world.checked["snapshot"] += 1
        if sent.label != snapshot.account:
            self._world.problem("a snapshot of another account")
        self._world.check_age(sent.label, sent.at, oldest[sent.label][0])
        removed = [at for at in self._stress.removed[self._number, sent.label] if at > begun]
        if removed and sent.client == self._number and removed[0] < sent.ended < math.inf:
            self._world.problem(f"a snapshot of {sent.label} that came after its removal")
