"""A client of a soak that is used in one event loop after the other, most of which end in the middle of its calls."""

import asyncio
import contextlib
import time

from balancekit import AccountBalances, AggregateClient

CALLS = 4
# How exact a `fetched_at` is: the age is counted on another clock.
EXACT = 0.01


class Nomad:
    """Calls one client in many event loops, and holds what comes against the `laws`, which are those of a model."""

    def __init__(self, providers, laws, **settings):
        self._client = AggregateClient(providers, **settings)
        self._laws = laws
        self._chance = laws.chance

    def live(self):
        """Have several callers in an event loop of this thread, which ends whether they have what they want or not."""
        self._run(self._call())

    def close(self):
        """Close the client, in an event loop as well."""
        self._run(self._client.aclose())

    def _run(self, main):
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.set_exception_handler(lambda _, context: self._laws.problem(f"a loop that ends: {context['message']}"))
            runner.run(main)
        self._laws.check_loop_has_ended(loop)

    async def _call(self):
        ways = self._chance.choices((self._fetch, self._stream, self._watch), weights=(4, 2, 1), k=CALLS)
        calls = [asyncio.create_task(way()) for way in ways]
        wait = self._chance.choice([0, 0.01, self._chance.uniform(0, 0.3), None])
        done, left = await asyncio.wait(calls, timeout=wait)
        self._laws.done["calls that end with their loop"] += len(left)
        for call in done:
            call.result()

    def _labels(self):
        labels = self._client.accounts
        return self._chance.sample(labels, self._chance.randint(1, len(labels)))

    async def _fetch(self):
        labels, max_age = self._labels(), self._chance.choice([0.0, 0.2, 5.0])
        deadline, begun = self._chance.choice([None, 0.05]), time.time()
        merged = await self._client.fetch(labels, max_age=max_age, deadline=deadline)
        self._laws.check(labels, merged)
        for snapshot in merged.accounts:
            self._check(snapshot, begun - max_age)

    async def _stream(self):
        labels, begun, outcomes = self._labels(), time.time(), []
        async for outcome in self._client.stream(labels):
            outcomes.append(outcome)
            self._laws.check_outcome(outcome, time.time())
            if isinstance(outcome, AccountBalances):
                self._check(outcome, begun)
        self._laws.check_outcomes("stream", labels, outcomes)

    async def _watch(self):
        labels = self._labels()
        # Not closed: it ends with the loop.
        states = self._client.watch(labels, min_interval=0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                async for merged in states:
                    self._laws.check_result("watch", labels, merged, may_be_stale=True, may_be_pending=True)

    def _check(self, snapshot, oldest):
        self._laws.check_age(snapshot.account, snapshot.fetched_at.timestamp(), oldest - EXACT)
