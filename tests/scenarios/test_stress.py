"""The laws of tests/support/laws.py hold whatever providers, callers and stores do: misbehaviour in virtual time."""

import asyncio
import itertools
import math
import random
from collections import defaultdict

import pytest

from balancekit import AggregateClient, RateLimit
from tests.support.callers import CALLERS, Caller
from tests.support.clock import LoopClock
from tests.support.laws import History, Requests
from tests.support.moods import UNWELL, WELL, Moody, MoodyStore, World
from tests.support.virtual_time import VirtualLoop

SECONDS = 40.0


class Stress:
    """One run: one client with a memory of its own, or two that share a store."""

    def __init__(self, seed):
        chance = random.Random(seed)
        self.world = World(chance)
        hosts = [f"host-{number}" for number in range(chance.randint(1, 4))]
        self.kinds = {host: chance.choice(["moody", "moody", "limiting", "hanging"]) for host in hosts}
        self.kinds["calm"] = "calm"
        self.homes = {f"account-{number}": chance.choice(hosts) for number in range(chance.randint(5, 40))}
        self.calm = ("calm-1", "calm-2")
        self.homes |= dict.fromkeys(self.calm, "calm")
        used = sorted(set(self.homes.values()) - {"calm"})
        self.limits = {
            host: RateLimit(chance.randint(1, 20), per=chance.choice([0.1, 0.5, 2]))
            for host in used
            if chance.random() < 0.5
        }
        self.deadline = chance.uniform(0.3, 4)
        self.is_alone = seed % 2 == 0
        self.well = seed % 4 == 1
        # A store is given an age with the snapshot to keep, which is too small by the time that the call takes.
        self.in_transit = 0.0 if self.is_alone else (WELL if self.well else UNWELL)
        store = None if self.is_alone else MoodyStore(self.world, well=self.well)
        self.clients = {}
        self.closed = set()
        # All by client and label. When the last invalidation began, or the account was added again.
        self.invalidated = defaultdict(lambda: -math.inf)
        # The last invalidation, and the last that a fetch has returned: as of when, and when that was known.
        self.changed = defaultdict(lambda: (-math.inf, -math.inf))
        self.returned = defaultdict(lambda: (-math.inf, -math.inf))
        self.removed = defaultdict(list)
        self.settle_delay = chance.choice([0, 0.3, 5, SECONDS])
        self.events = itertools.count()
        self.delivered = {}
        timeout = chance.uniform(0.1, 1.5)
        concurrency = chance.randint(1, 12)
        # The part of the slots that is reserved for each origin.
        self.has_calm_slots = self.is_alone and 2 * (len(used) + 1) <= concurrency
        for number in range(1 if self.is_alone else 2):
            self.world.requests[number] = Requests(self.world, concurrency=concurrency)
            self.clients[number] = AggregateClient(
                [Moody(label, host, number, self.world, kind=self.kinds[host]) for label, host in self.homes.items()],
                concurrency=concurrency,
                timeout=timeout,
                deadline=self.deadline,
                rate_limits=self.limits,
                store=store,
                settle_delay=self.settle_delay,
                clock=LoopClock(),
            )

    def note_invalidation(self, number, label, begun):
        """Note that an invalidation has ended, of this client and, if the store can pass it on, of the other one."""
        for one in self.clients if self.well else [number]:
            self.invalidated[one, label] = max(begun, self.invalidated[one, label])
        self.changed[number, label] = max(begun, self.changed[number, label][0]), self.world.now

    def note_returned(self, number, sent):
        """Note that a fetch has returned the snapshot of that request, which was known since its response."""
        if sent.at > self.returned[number, sent.label][0]:
            self.returned[number, sent.label] = sent.at, sent.ended

    def note_removal(self, number, label):
        """Note that an account was removed; what was known of it is forgotten."""
        self.removed[number, label].append(self.world.now)
        self.delivered[number, label] = None
        for known in (self.returned, self.changed):
            known.pop((number, label), None)

    def note_addition(self, number, label):
        """Note that an account was added again."""
        if self.is_alone:
            self.invalidated[number, label] = self.world.now

    def not_removed_since(self, number, begun):
        """Return the accounts of a client that were not removed since that moment."""
        return {
            label for label in self.clients[number].accounts if all(at < begun for at in self.removed[number, label])
        }

    def history(self, number, label):
        """Return how the requests for an account have failed, of all clients that may share that."""
        known = [self.world.requests[one].histories[label] for one in self.clients]
        return History(
            max(one.failed_at for one in known),
            sum(one.times for one in known),
            max(one.asked_until for one in known),
            [at for one in known for at in one.begun],
            [at for one in known for at in one.ended],
        )

    def expect_second_look(self, number, label, begun):
        """Note that an event has been acted on, whose account is invalidated again if it is the last one."""
        event = self.delivered[number, label] = object()

        def has_looked():
            if self.delivered.get((number, label)) is event and number not in self.closed:
                self.world.checked["second look"] += 1
                self.note_invalidation(number, label, begun + self.settle_delay)

        if self.settle_delay:
            asyncio.get_running_loop().call_later(self.settle_delay + 0.6, has_looked)

    def start(self):
        """Have everybody call, in the event loop that runs."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.world.problem(f"the loop: {context}"))
        return [asyncio.create_task(Caller(self, number).run()) for number in self.clients for _ in range(CALLERS)]

    async def run_and_leave(self):
        """Do everything for a while, in an event loop that then ends in the middle of it."""
        callers = self.start()
        await asyncio.sleep(SECONDS / 2)
        for caller in callers:
            if caller.done():
                caller.result()
        # What an event was to be followed by has gone with the loop.
        self.delivered.clear()

    async def run(self):
        """Do everything, close the clients, and return which laws were broken."""
        callers = self.start()
        for number, client in self.clients.items():
            await asyncio.sleep(SECONDS / 2)
            self.closed.add(number)
            begun = self.world.now
            await client.aclose()
            self.world.check_seconds("closing", self.world.now - begun, within=1.0)
        late = (await asyncio.wait(callers, timeout=6 + self.deadline))[1]
        if late:
            self.world.problem(f"{len(late)} callers do not end after the clients were closed")
        for caller in set(callers) - late:
            caller.result()
        # A call to the store that was under way is given half a second.
        await asyncio.sleep(0.6)
        # Their responses, in the end, are put into the store, in the same task.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        refusing = self.world.refusing & left
        self.world.check_empty(tasks=left - refusing)
        if refusing:
            await asyncio.wait(refusing)
        await asyncio.sleep(0.6)
        self._check_limits()
        for client in self.clients.values():
            self._check_empty(client)
        return self.world.problems

    def _check_limits(self):
        for host, limit in self.limits.items():
            times = {number: requests.times[host] for number, requests in self.world.requests.items()}
            if self.well:
                times["all"] = [at for one in times.values() for at in one]
            for number, one in times.items():
                Requests.check_limit(self.world, f"{host} by {number}", limit, one)

    def _check_empty(self, client):
        runtime = client._core.runtime
        timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]
        self.world.check_empty(
            flights_or_watches=not client._core.idle,
            second_looks=not runtime.second_looks.idle,
            slots=runtime.scheduler._dispatcher._queue._used,
            timers=[timer for timer in timers if timer._callback.__module__.startswith("balancekit")],
            permits=[account.origin.name for account in client._core.book.values() if not account.origin.permits.idle],
        )


@pytest.fixture
def seeded():
    """Seed what the package draws, such as the jitter of delays."""
    state = random.getstate()
    yield random.seed
    random.setstate(state)


def run_in_loops(stress, *mains):
    """Run coroutines in an event loop each, whose time goes on; returns the last result."""
    now = result = None
    for main in mains:
        loop = VirtualLoop()
        loop.now = loop.now if now is None else now
        with asyncio.Runner(loop_factory=lambda loop=loop: loop) as runner:
            result = runner.run(main())
        stress.world.check_loop_has_ended(loop, refusing=stress.world.refusing)
        now = loop.now
    return result


SEEDS = (0, 1, 2, 4, 6, 8, 10, 12, 13, 18, 22, 24, 26, 103)


@pytest.mark.parametrize("seed", SEEDS, ids="seed {}".format)
def test_laws_hold_whatever_happens(seeded, seed):
    """Every law holds, for clients that are used in one event loop or in two, one after the other."""
    seeded(seed)
    stress = Stress(seed)

    problems = run_in_loops(stress, *[stress.run_and_leave] * (seed % 3 == 0), stress.run)

    assert not problems
    assert stress.world.checked["fetch"] > 10
    assert stress.world.checked["snapshot"] > 10
