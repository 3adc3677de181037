"""Ten minutes of fetches under random faults, in which every balance, task, socket and byte is accounted for.

    python -m tests.long.soak [seconds] [seed]

One client reads sixty accounts at three sandboxes in a process of their own, several calls at a time. Requests go wrong
in every way that the sandbox can play; one origin responds 429 now and then, and one hangs for seconds. Calls have
deadlines of their own, or are cancelled; streams are left early, or read slowly; accounts are invalidated, watched,
removed and added again; the servers are restarted, and balances change all the while. Another client is used in many
event loops, one after the other. A model in plain integers knows what each account held and when, and
tests/support/laws.py says what holds. Needs psutil; the exit code is 1 if anything is off.
"""

import asyncio
import contextlib
import gc
import logging
import random
import sys
import time

import attrs

from balancekit import AggregateClient, CryptoprocessingProvider, GetManyProvider
from balancekit.sandbox import Fault
from tests.long.counted import PROVIDERS, Counted
from tests.long.leftovers import Leftovers
from tests.long.remote import FAULTS, LIMITING, TIMEOUT, WEIGHTS, Remote
from tests.long.soak_calls import DEADLINE, Calls
from tests.long.soak_loops import Nomad
from tests.support.laws import Requests

ACCOUNTS = 60
NOMADIC = 8
WORKERS = 4
CONCURRENCY = 20
# Where the last accounts are: at the origin that hangs for seconds, and at the one that responds 429.
PLACES = {"hanging": 4, "limiting": 6}
MAIN_FAULTS = [name for name in FAULTS if name not in LIMITING]
MAIN_WEIGHTS = [weight for name, weight in zip(FAULTS, WEIGHTS, strict=True) if name not in LIMITING]

# What may be left over, or take longer, on a busy machine.
SLACK = 1.5
MEMORY_GROWTH = 16 * 2**20
OBJECT_GROWTH = 2_000


class Soak(Calls):
    """The run: what is done, what is checked and what is counted."""

    def __init__(self, seconds, seed):
        super().__init__(random.Random(seed), ACCOUNTS, slack=SLACK)
        self.seconds = seconds
        self.begun = time.monotonic()
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = 0
        # The last accounts are elsewhere.
        labels = list(self.model.now)
        self.places = {label: name for name, count in PLACES.items() for label in [labels.pop() for _ in range(count)]}

    async def run(self):
        """Do everything, and return whether nothing was off."""
        loop = asyncio.get_running_loop()
        # That an account is down is logged as a warning, which the root logger would print.
        logging.getLogger("balancekit").setLevel(logging.ERROR)
        loop.set_exception_handler(lambda _, context: self.problem(f"the loop: {context['message']}"))
        sys.unraisablehook = lambda raised: self.problem(f"unraisable: {raised.exc_value!r}")
        self.remote = Remote(self.model.now, self.places)
        try:
            return await self._run()
        finally:
            self.remote.close()

    async def _run(self):
        Counted.requests = Requests(self, concurrency=CONCURRENCY)
        settings = await self.remote("settings")
        providers = [PROVIDERS[kind](label, **account) for label, kind, account in settings]
        self.providers = {provider.account: provider for provider in providers}
        # Not counted, since nobody is to know which of its requests are wanted.
        kinds = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}
        at_main = [one for one in settings if one[0] not in self.places][:NOMADIC]
        nomadic = [kinds[kind](label, **account) for label, kind, account in at_main]
        self.nomad = Nomad(nomadic, self, concurrency=3, timeout=TIMEOUT, deadline=DEADLINE)
        before = Leftovers.count(self.begun)
        points = []
        async with AggregateClient(
            providers, concurrency=CONCURRENCY, timeout=TIMEOUT, deadline=DEADLINE, attempts=3
        ) as self.client:
            jobs = [asyncio.create_task(self.work()) for _ in range(WORKERS)]
            jobs += [asyncio.create_task(job()) for job in (self.change, self.restart, self.hang, self.move_on)]
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
            await self.last_states()
            await self.last_fetch()
            requests, played = await self.remote("figures")
        await asyncio.to_thread(self.nomad.close)
        # A transport is closed in a later turn of the loop than its session is.
        for _ in range(100):
            after = Leftovers.count(self.begun)
            if after.sockets <= before.sockets:
                break
            await asyncio.sleep(0.01)
        self.judge(before, points, after)
        self.report(before, points, after, requests, played)
        return not self.problems

    async def work(self):
        """Call again and again, in one way or another."""
        ways = (self.fetch, self.fetch_strictly, self.cancel, self.leave, self.watch, self.move)
        while True:
            await self.gate.wait()
            self.busy += 1
            try:
                await self.line_up_faults()
                way = self.chance.choices(ways, weights=(12, 2, 4, 4, 1, 1))[0]
                accounts = self.some_accounts()
                self.want(accounts, 1)
                goes_on = await way(accounts)
                asyncio.get_running_loop().call_later(goes_on or 0.0, self.want, accounts, -1)
                if any(
                    provider.running > provider.wanted
                    for label, provider in self.providers.items()
                    # What is read in the background waits for its origin.
                    if self.places.get(label) != "limiting"
                ):
                    self.problem("requests of a call that has ended are under way")
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
        """Restart a server, now and then."""
        while True:
            await asyncio.sleep(self.chance.uniform(5, 15))
            await self.gate.wait()
            await self.remote("restart", self.chance.choice(["main", *PLACES]), self.chance.uniform(0, 0.3))
            self.done["restarts"] += 1
            # Requests that the log has dropped could not be counted.
            await self.remote("figures")

    async def hang(self):
        """Have an origin respond to nothing for some seconds, now and then."""
        faults = [(label, "hang") for label, name in self.places.items() if name == "hanging"]
        while True:
            await asyncio.sleep(self.chance.uniform(2, 8))
            await self.gate.wait()
            await self.remote("fail", faults, 100)
            await asyncio.sleep(self.chance.uniform(1, 5))
            await self.remote("clear_faults", "hanging")
            self.done["times that an origin hangs"] += 1

    async def move_on(self):
        """Use the other client in one event loop after the other."""
        while True:
            await asyncio.sleep(self.chance.uniform(0, 0.5))
            await self.gate.wait()
            self.busy += 1
            # To its end, since a thread is not cancelled.
            await asyncio.shield(asyncio.create_task(self.live()))

    async def live(self):
        """Use the other client in one more event loop."""
        try:
            await asyncio.to_thread(self.nomad.live)
            self.done["event loops"] += 1
        finally:
            self.busy -= 1

    async def line_up_faults(self):
        """Choose what goes wrong next."""
        faults = []
        for label in self.model.now:
            place = self.places.get(label)
            if place == "limiting" and self.chance.random() < 0.02:
                faults.append((label, self.chance.choice(LIMITING)))
            elif place is None and self.chance.random() < 0.1:
                count = self.chance.randint(1, 3)
                faults += [(label, name) for name in self.chance.choices(MAIN_FAULTS, MAIN_WEIGHTS, k=count)]
        if self.chance.random() < 0.1:
            faults.append((None, self.chance.choice(MAIN_FAULTS)))
        await self.remote("fail", faults)

    def some_accounts(self):
        """Choose whom to ask: often everybody."""
        labels = list(self.model.now)
        return None if self.chance.random() < 0.4 else self.chance.sample(labels, self.chance.randint(0, len(labels)))

    async def last_states(self):
        """With faults off, have a watch show every account as it has been changed."""
        await self.remote("clear_faults")
        for account in self.client._core.book.values():
            await asyncio.sleep(account.origin.cooldown.remaining(time.monotonic()))
        async with self.client.watch(min_interval=0.1) as states:
            await anext(states)
            for label in self.model.now:
                await self.model.change(self.remote, label)
                await self.client.invalidate(label)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE + SLACK):
                    async for merged in states:
                        if merged.complete and self.are_totals(merged):
                            return
        self.problem("a watch does not show the last changes")

    async def last_fetch(self):
        """With faults off, hold the totals against the model's."""
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
            self.problem("calls that do not end")
        # What is read in the background may wait for an origin.
        ends_at = time.monotonic() + 70
        while not self.client._core.idle and time.monotonic() < ends_at:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
        if not self.client._core.idle:
            self.problem("reads in the background that do not end")
        # Streams that were left without closing end in a turn of the loop of their own.
        gc.collect()
        await asyncio.sleep(0.2)
        left = Leftovers.count(self.begun, self.client)
        if left.acquired:
            self.problem("connections in use while nothing is under way")
        self.gate.set()
        return left

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
        print("checked:", ", ".join(f"{name} {count}" for name, count in sorted(self.checked.items())))
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
