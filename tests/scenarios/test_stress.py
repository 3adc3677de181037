"""Laws that hold whatever providers, callers and stores do: seeded misbehaviour in virtual time."""

import asyncio
import itertools
import math
import random
from collections import defaultdict
from contextlib import aclosing, suppress

import pytest

from balancekit import (
    AccountBalances,
    AggregateClient,
    RateLimit,
)
from tests.support.moods import UNWELL, WELL, Moody, MoodyStore, World

SECONDS = 40.0
CALLERS = 6
EPSILON = 1e-6


class Caller:
    """Somebody who asks one client for this and that until it is closed, and checks what comes."""

    def __init__(self, stress, number):
        self._stress = stress
        self._number = number
        self._client = stress.clients[number]
        self._world = stress.world
        self._chance = stress.world.chance
        self._loop = stress.world.loop

    async def run(self):
        """Go on until the client is closed."""
        ways = (self._fetch, self._stream, self._watch, self._invalidate, self._settle)
        while self._number not in self._stress.closed:
            await self._chance.choices(ways, weights=(6, 3, 1, 3, 1))[0]()
            await asyncio.sleep(self._chance.choice([0, 0.01, self._chance.uniform(0, 1)]))

    def _labels(self):
        labels = self._client.accounts
        return self._chance.sample(labels, self._chance.randint(0, len(labels)))

    def _max_age(self):
        return self._chance.choice([0, 0, 0.5, 5, math.inf])

    async def _end(self, task, name, seconds):
        """Have a task end by itself or by being cancelled at a random moment; returns whether it has a result."""
        after = self._chance.choice([0, 0.01, self._chance.uniform(0, 2)]) if self._chance.random() < 0.3 else None
        return await self._world.end(task, name, within=seconds, cancel_after=after)

    async def _fetch(self):
        labels, max_age, fair = self._labels(), self._max_age(), self._chance.choice([0, 100])
        oldest = self._oldest(max_age)
        task = asyncio.create_task(self._client.fetch(labels, max_age=max_age, stale_if_error=fair))
        if not await self._end(task, "fetch", self._stress.deadline):
            return
        merged = task.result()
        self._world.check_result("fetch", labels, merged, may_be_stale=bool(fair))
        for snapshot in merged.accounts:
            if not snapshot.stale:
                self._check(snapshot, oldest)

    async def _stream(self):
        labels, max_age = self._labels(), self._max_age()
        leaves_after = self._chance.choice([None, self._chance.randint(1, 5)])
        oldest, seen = self._oldest(max_age), []

        async def read():
            stream = self._client.stream(labels, max_age=max_age)
            async with aclosing(stream):
                async for outcome in stream:
                    seen.append(outcome)
                    if len(seen) == leaves_after:
                        return True
            return False

        task = asyncio.create_task(read())
        read_out = await self._end(task, "stream", self._stress.deadline) and not task.result()
        self._world.check_outcomes("stream", labels, seen, whole=read_out)
        for outcome in seen:
            if isinstance(outcome, AccountBalances):
                self._check(outcome, oldest)

    async def _watch(self):
        labels = self._labels()

        async def read():
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(self._chance.uniform(0, 5)),
                    aclosing(self._client.watch(labels, max_age=self._max_age())) as states,
                ):
                    async for state in states:
                        self._world.check_result("watch", labels, state, may_be_stale=True, may_be_pending=True)

        await self._end(asyncio.create_task(read()), "watch", 5)

    async def _invalidate(self):
        label, begun = self._chance.choice(self._client.accounts), self._loop.time()
        if await self._perhaps_cancelled(self._client.invalidate(label)):
            self._stress.note_invalidation(self._number, label, begun)

    async def _settle(self):
        label, begun = self._chance.choice(self._client.accounts), self._loop.time()
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
        await asyncio.wait([task])
        return False

    def _oldest(self, max_age):
        """Return the earliest moment at which what a call gets that begins now may have been requested."""
        since = self._loop.time() - max_age
        return {
            label: max(since - self._stress.in_transit, self._stress.invalidated[self._number, label])
            for label in self._client.accounts
        }

    def _check(self, snapshot, oldest):
        (balance,) = snapshot.balances
        sent = self._world.sent[int(balance.amount)]
        self._world.checked["snapshot"] += 1
        if sent.label != snapshot.account:
            self._world.problem("a snapshot of another account")
        if sent.at < oldest[sent.label] - EPSILON:
            self._world.problem(f"a snapshot of {sent.label} is {oldest[sent.label] - sent.at:.3f} s too old")


class Stress:
    """One run: one client with a memory of its own, or two that share a store."""

    def __init__(self, seed):
        chance = random.Random(seed)
        self.world = World(chance)
        hosts = [f"host-{number}" for number in range(chance.randint(1, 4))]
        homes = {f"account-{number}": chance.choice(hosts) for number in range(chance.randint(5, 40))}
        used = sorted(set(homes.values()))
        self.limits = {
            host: RateLimit(chance.randint(1, 20), per=chance.choice([0.1, 0.5, 2]))
            for host in used
            if chance.random() < 0.5
        }
        self.deadline = chance.uniform(0.3, 4)
        shared = bool(seed % 2)
        self.well = shared and seed % 4 == 1
        # A store is given an age with the snapshot to keep, which is too small by the time that the call takes.
        self.in_transit = (WELL if self.well else UNWELL) if shared else 0.0
        store = MoodyStore(self.world, well=self.well) if shared else None
        self.clients = {}
        self.closed = set()
        self.invalidated = defaultdict(lambda: -math.inf)
        self.settle_delay = chance.choice([0, 0.3, 5, SECONDS])
        self.events = itertools.count()
        self.delivered = {}
        timeout = chance.uniform(0.1, 1.5)
        for number in range(2 if shared else 1):
            self.world.concurrency[number] = chance.randint(1, 6)
            self.clients[number] = AggregateClient(
                [Moody(label, host, number, self.world) for label, host in homes.items()],
                concurrency=self.world.concurrency[number],
                timeout=timeout,
                deadline=self.deadline,
                rate_limits=self.limits,
                store=store,
                settle_delay=self.settle_delay,
            )

    def note_invalidation(self, number, label, begun):
        """Note that an invalidation has ended, of this client and, if the store can pass it on, of the other one."""
        for one in self.clients if self.well else [number]:
            self.invalidated[one, label] = max(begun, self.invalidated[one, label])

    def expect_second_look(self, number, label, begun):
        """Note that an event has been acted on, whose account is invalidated again if it is the last one."""
        event = self.delivered[number, label] = object()

        def has_looked():
            if self.delivered[number, label] is event and number not in self.closed:
                self.world.checked["second look"] += 1
                self.note_invalidation(number, label, begun + self.settle_delay)

        if self.settle_delay:
            self.world.loop.call_later(self.settle_delay + 0.6, has_looked)

    async def run(self):
        """Do everything, and return which laws were broken."""
        self.world.loop.set_exception_handler(lambda _, context: self.world.problem(f"the loop: {context}"))
        callers = [asyncio.create_task(Caller(self, number).run()) for number in self.clients for _ in range(CALLERS)]
        for number, client in self.clients.items():
            await asyncio.sleep(SECONDS / 2)
            self.closed.add(number)
            await client.aclose()
        late = (await asyncio.wait(callers, timeout=6 + self.deadline))[1]
        if late:
            self.world.problem(f"{len(late)} callers do not end after the clients were closed")
        for caller in set(callers) - late:
            caller.result()
        # A call to the store that was under way is given half a second.
        await asyncio.sleep(0.6)
        # Their responses, in the end, are put into the store, in the same task.
        refusing = {sent.task for sent in self.world.sent.values() if sent.refuses and not sent.task.done()}
        if left := asyncio.all_tasks() - {asyncio.current_task()} - refusing:
            self.world.problem(f"tasks are left: {left}")
        if refusing:
            await asyncio.wait(refusing)
        await asyncio.sleep(0.6)
        self._check_limits()
        for client in self.clients.values():
            self._check_empty(client)
        return self.world.problems

    def _check_limits(self):
        for number in [None] * self.well + list(self.clients):
            for host, limit in self.limits.items():
                times = [
                    sent.at for sent in self.world.sent.values() if sent.host == host and number in (None, sent.client)
                ]
                if any(
                    later - sooner < limit.per - EPSILON
                    for sooner, later in zip(times, times[limit.requests :], strict=False)
                ):
                    self.world.problem(f"more than {limit} at {host} by {'both' if number is None else number}")

    def _check_empty(self, client):
        left = {
            "flights or watches": not client._core.idle,
            "second looks": not client._core.runtime.second_looks.idle,
        }
        for account in client._core.book.values():
            left[f"permits at {account.origin.name}"] = not account.origin.permits.idle
        for name, is_left in left.items():
            if is_left:
                self.world.problem(f"left over: {name}")


@pytest.fixture
def seeded():
    """Seed what the package draws, such as the jitter of delays."""
    state = random.getstate()
    yield random.seed
    random.setstate(state)


@pytest.mark.parametrize("seed", range(12), ids="seed {}".format)
def test_laws_hold_whatever_happens(run_virtually, seeded, seed):
    """Every call ends in time with one honest outcome of each account, within all limits, and nothing is left over."""
    seeded(seed)

    async def main():
        stress = Stress(seed)
        return await stress.run(), stress.world.checked

    problems, checked = run_virtually(main())

    assert not problems
    assert checked["fetch"] > 10
    assert checked["snapshot"] > 10
