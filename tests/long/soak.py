"""Ten minutes of fetches under random faults, in which every balance, task, socket and byte is accounted for.

    python -m tests.long.soak [seconds] [seed]

One client reads sixty accounts at a sandbox in a process of its own, several fetches at a time. Requests go wrong in
every way that the sandbox can play, accounts are invalidated, fetches cancelled, streams left early, the server
restarted, and balances change all the while. A model in plain integers knows what each account held and when. Needs
psutil; the exit code is 1 if anything is off.
"""

import asyncio
import contextlib
import gc
import random
import sys
import time
from collections import Counter

import attrs
import psutil

from balancekit import (
    AggregateClient,
    CryptoprocessingProvider,
    GetManyProvider,
    IncompleteError,
    ProviderError,
)
from balancekit.sandbox import Fault
from tests.long.model import Model, ModelLaws
from tests.long.remote import FAULTS, TIMEOUT, WEIGHTS, Remote

ACCOUNTS = 60
WORKERS = 4
DEADLINE = 2.0

# What may be left over, or take longer, on a busy machine.
SLACK = 1.5
# How long the requests of a stream that nobody has closed may go on.
MOMENT = 0.1
MEMORY_GROWTH = 16 * 2**20
OBJECT_GROWTH = 2_000


class Counted:
    """A provider that counts how often it is asked, how many of its requests are under way and how many are wanted.

    A request is wanted as long as a fetch or a stream that has asked for its account has not ended.
    """

    attempts = 0

    def __init__(self, provider):
        self._wrapped = provider
        self.account = provider.account
        self.provider = provider.provider
        self.running = 0
        self.wanted = 0

    async def fetch_balances(self, session):
        """Count and pass on."""
        Counted.attempts += 1
        self.running += 1
        try:
            return await self._wrapped.fetch_balances(session)
        finally:
            self.running -= 1


@attrs.define
class Leftovers:
    """What the process holds in a moment in which nothing is under way."""

    at: float
    tasks: int
    acquired: int
    sockets: int
    objects: int
    memory: int

    def __str__(self):
        return (
            f"at {self.at:4.0f} s: {self.tasks} tasks, {self.acquired} connections in use, {self.sockets} sockets, "
            f"{self.objects} objects, {self.memory / 2**20:.1f} MiB"
        )


class Soak(ModelLaws):
    """The run: what is done, what is checked and what is counted."""

    def __init__(self, seconds, seed):
        self.chance = random.Random(seed)
        super().__init__(Model(self.chance, ACCOUNTS), slack=SLACK)
        self.seconds = seconds
        self.done = Counter()
        self.slowest = 0.0
        self.begun = time.monotonic()
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = 0
        self.invalidated = {}

    async def run(self):
        """Do everything, and return whether nothing was off."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.problem(f"the loop: {context['message']}"))
        sys.unraisablehook = lambda raised: self.problem(f"unraisable: {raised.exc_value!r}")
        self.remote = Remote(self.model.now)
        try:
            return await self._run()
        finally:
            self.remote.close()

    async def _run(self):
        kinds = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}
        settings = await self.remote("settings")
        providers = [Counted(kinds[kind](label, **account)) for label, kind, account in settings]
        self.providers = {provider.account: provider for provider in providers}
        before = self.leftovers(None)
        points = []
        async with AggregateClient(
            providers, concurrency=20, timeout=TIMEOUT, deadline=DEADLINE, attempts=3
        ) as self.client:
            jobs = [asyncio.create_task(self.work()) for _ in range(WORKERS)]
            jobs += [asyncio.create_task(self.change()), asyncio.create_task(self.restart())]
            marks = [min(60.0, self.seconds / 4), *range(120, int(self.seconds), 60), self.seconds]
            for mark in marks:
                await asyncio.wait(jobs, timeout=max(0.0, self.begun + mark - time.monotonic()))
                points.append(await self.pause())
                print(points[-1], f"({self.done['fetches']} fetches)", flush=True)
            for job in jobs:
                job.cancel()
            for ended in await asyncio.gather(*jobs, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    self.problem(f"a job of this program ended: {ended!r}")
            await self.last_fetch()
            requests, played = await self.remote("figures")
        # A transport is closed in a later turn of the loop than its session is.
        for _ in range(100):
            after = self.leftovers(None)
            if after.sockets <= before.sockets:
                break
            await asyncio.sleep(0.01)
        self.judge(before, points, after)
        self.report(before, points, after, requests, played)
        return not self.problems

    async def work(self):
        """Fetch again and again, in one way or another."""
        ways = (self.fetch, self.fetch_strictly, self.cancel, self.leave)
        while True:
            await self.gate.wait()
            self.busy += 1
            try:
                await self.line_up_faults()
                way = self.chance.choices(ways, weights=(6, 1, 2, 2))[0]
                accounts = self.some_accounts()
                begun = time.monotonic()
                self.want(accounts, 1)
                tidy = await way(accounts)
                if tidy is False:
                    asyncio.get_running_loop().call_later(MOMENT, self.want, accounts, -1)
                else:
                    self.want(accounts, -1)
                if any(provider.running > provider.wanted for provider in self.providers.values()):
                    self.problem("requests of a fetch that has ended are under way")
                self.slowest = max(self.slowest, time.monotonic() - begun)
            finally:
                self.busy -= 1

    def want(self, accounts, more):
        """Note who is asked for, or is no longer."""
        for label in self.providers if accounts is None else accounts:
            self.providers[label].wanted += more

    async def change(self):
        """Change balances, now and then."""
        while True:
            await self.gate.wait()
            await self.model.change(self.remote)
            await asyncio.sleep(self.chance.uniform(0, 0.02))

    async def restart(self):
        """Restart the server, now and then."""
        while True:
            await asyncio.sleep(self.chance.uniform(5, 15))
            await self.gate.wait()
            await self.remote("restart", self.chance.uniform(0, 0.3))
            self.done["restarts"] += 1
            # Requests that the log has dropped could not be counted.
            await self.remote("figures")

    async def line_up_faults(self):
        """Choose what goes wrong next."""
        faults = []
        for label in self.model.now:
            if self.chance.random() < 0.1:
                count = self.chance.randint(1, 3)
                faults += [(label, name) for name in self.chance.choices(list(FAULTS), WEIGHTS, k=count)]
        if self.chance.random() < 0.1:
            faults.append((None, self.chance.choice(list(FAULTS))))
        await self.remote("fail", faults)

    def some_accounts(self):
        """Choose whom to ask: mostly everybody."""
        labels = list(self.model.now)
        return None if self.chance.random() < 0.6 else self.chance.sample(labels, self.chance.randint(0, len(labels)))

    async def fetch(self, accounts):
        """Fetch, perhaps what need not be read anew, and check all that comes."""
        self.done["fetches"] += 1
        max_age = self.chance.choice([0.0, 0.0, 0.2, 1.0])
        if self.chance.random() < 0.5:
            label = self.chance.choice(list(self.providers))
            begun = time.time()
            await self.client.invalidate(label)
            self.invalidated[label] = begun
            self.done["invalidations"] += 1
        oldest = dict.fromkeys(self.providers, time.time() - max_age)
        for label, moment in self.invalidated.items():
            oldest[label] = max(oldest[label], moment)
        requests = Counted.attempts
        merged = await self.client.fetch(accounts, max_age=max_age)
        self.done["fetches without a request"] += bool(merged.accounts) and Counted.attempts == requests
        self.check(accounts, merged)
        # The age is counted on another clock than this one.
        if any(snapshot.fetched_at.timestamp() < oldest[snapshot.account] - 0.01 for snapshot in merged.accounts):
            self.problem("a snapshot that is too old, or from before an invalidation")

    async def fetch_strictly(self, accounts):
        """Fetch so that a failure raises."""
        self.done["fetches"] += 1
        self.done["strict fetches"] += 1
        try:
            merged = await self.client.fetch(accounts, strict=True)
        except* ProviderError as group:
            if not isinstance(group, IncompleteError):
                raise
            self.check(accounts, group.partial)
        else:
            if not merged.complete:
                self.problem("a strict fetch returned an incomplete result")
            self.check(accounts, merged)

    async def cancel(self, accounts):
        """Cancel a fetch on its way."""
        self.done["fetches"] += 1
        task = asyncio.create_task(self.client.fetch(accounts))
        after = self.chance.choice([0, self.chance.uniform(0, 0.01), self.chance.uniform(0, 0.3)])
        if await self.end(task, "fetch", within=DEADLINE, cancel_after=after):
            self.check(accounts, task.result())
        else:
            self.done["cancelled fetches"] += 1

    async def leave(self, accounts):
        """Leave a stream before its end, or at it; False if its requests may go on for a moment."""
        self.done["streams"] += 1
        wanted = self.chance.randint(0, ACCOUNTS)
        stream = self.client.stream(accounts)
        # Left to the loop's own care every other time, as a plain `break` leaves it.
        tidy = self.chance.random() < 0.5
        outcomes = []
        async with contextlib.aclosing(stream) if tidy else contextlib.nullcontext():
            async for outcome in stream:
                self.check_outcome(outcome, time.time())
                outcomes.append(outcome)
                if len(outcomes) >= wanted:
                    self.done["streams left early"] += 1
                    break
        whole = len(outcomes) < wanted
        self.check_outcomes("stream", self.model.now if accounts is None else accounts, outcomes, whole=whole)
        return tidy

    async def last_fetch(self):
        """With faults off, hold the totals against the model's."""
        await self.remote("clear_faults")
        merged = await self.client.fetch(strict=True)
        self.check(None, merged)
        self.check_totals(merged)
        print("totals at the end:", ", ".join(f"{total.currency} {total.amount:f}" for total in merged))

    async def pause(self):
        """Wait until nothing is under way, and count what is left."""
        self.gate.clear()
        ends_at = time.monotonic() + DEADLINE + 5
        while self.busy and time.monotonic() < ends_at:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)
        if self.busy:
            self.problem("fetches that do not end")
        # Streams that were left without closing end in a turn of the loop of their own.
        gc.collect()
        await asyncio.sleep(0.2)
        left = self.leftovers(self.client)
        if left.acquired:
            self.problem("connections in use while nothing is under way")
        self.gate.set()
        return left

    def leftovers(self, client):
        """Count what the process holds."""
        gc.collect()
        owned = None if client is None else client._core.runtime.owned
        process = psutil.Process()
        return Leftovers(
            time.monotonic() - self.begun,
            len(asyncio.all_tasks()),
            0 if owned is None else len(owned.connector._acquired),
            sum(connection.status != psutil.CONN_NONE for connection in process.net_connections("inet")),
            len(gc.get_objects()),
            process.memory_info().rss,
        )

    def judge(self, before, points, after):
        """Hold what is left over against the bounds."""
        first, last = points[0], points[-1]
        if after.tasks > before.tasks or any(point.tasks > first.tasks for point in points):
            self.problem("tasks are left over")
        if after.sockets > before.sockets:
            self.problem("sockets are left over")
        if last.memory - first.memory > MEMORY_GROWTH:
            self.problem("memory has grown beyond the bound")
        if last.objects - first.objects > OBJECT_GROWTH:
            self.problem("objects are left over")
        if self.slowest > DEADLINE + SLACK:
            self.problem("a fetch took longer than its deadline")

    def report(self, before, points, after, requests, played):
        """Print the figures."""
        first, last = points[0], points[-1]
        plain = Fault(status=200)
        unplayed = {
            part.name
            for part in attrs.fields(Fault)
            if part.name != "status"
            and all(getattr(fault, part.name) == getattr(plain, part.name) for fault in FAULTS.values())
        }
        print(f"seconds: {time.monotonic() - self.begun:.0f}, accounts: {ACCOUNTS}, at a time: {WORKERS}")
        print("done:", ", ".join(f"{count} {what}" for what, count in sorted(self.done.items())))
        print(f"snapshots held against the model: {self.snapshots}")
        print(f"requests received: {requests}, attempts: {Counted.attempts}")
        print(f"faults played: {played.total()}, of {len(played)} kinds out of {len(FAULTS)}")
        print("  " + ", ".join(f"{name} {count}" for name, count in sorted(played.items())))
        print("failures:", ", ".join(f"{name} {count}" for name, count in sorted(self.failures.items())))
        print(f"slowest fetch {self.slowest:.2f} s with a deadline of {DEADLINE:g} s")
        print(f"slowest cancellation {self.slowest_cancellation:.3f} s")
        print("before the client:", before)
        print("early:            ", first)
        print("late:             ", last)
        print("after the client: ", after)
        print(
            f"grown by {(last.memory - first.memory) / 2**20:.1f} MiB (bound {MEMORY_GROWTH / 2**20:.0f}) "
            f"and {last.objects - first.objects} objects (bound {OBJECT_GROWTH})"
        )
        if unplayed:
            print("parts of a fault that are in none of those played:", ", ".join(sorted(unplayed)))
        for text, count in self.problems.items():
            print(f"PROBLEM: {text} ({count} times)")
        print("something is off" if self.problems else "all is accounted for")


def main():
    """Run for the time that is asked for, and return the exit code."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"{seconds:g} seconds, seed {seed}", flush=True)

    async def run():
        return await Soak(seconds, seed).run()

    return 0 if asyncio.run(run()) else 1


if __name__ == "__main__":
    sys.exit(main())
