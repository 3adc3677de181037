"""Minutes of fetches in replicas that share a Redis which crashes, is restored and fails over, all accounted for.

    python -m tests.long.soak_redis [seconds] [seed]

Three clients, each with a store of its own, read twelve accounts at a sandbox in a process of its own. Redis is a
primary and a replica behind one address. It is paused, cut off, started empty, restored from an older dump, and failed
over to a replica that may lag behind. Balances change all the while, and some changes are followed by an invalidation
in one of the clients, as by a webhook; now and then a client is replaced. The laws are those of docs/guarantees.md: no
result has what was never held, or is older than its `max_age`; none in the same client is from before an invalidation;
and none in another client either, from two seconds after the last fault of Redis on. Needs psutil; the exit code is 1
if anything is off.
"""

import asyncio
import contextlib
import logging
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict

import psutil

from balancekit import AccountBalances, AggregateClient, CryptoprocessingProvider, GetManyProvider
from balancekit.stores import RedisStore
from tests.long.model import Model, ModelLaws
from tests.long.redis_pair import FAULTS, Pair
from tests.long.remote import TIMEOUT, Remote

REPLICAS = 3
ACCOUNTS = 12
WORKERS = 2
DEADLINE = 5.0
# What a busy machine may take longer.
SLACK = 1.5
# How long after a fault of Redis an invalidation has reached the other processes.
DELIVERED = 2.0
# How exact a `fetched_at` is: the moment in it is taken a little after the one that an age is counted from.
EXACT = 0.01
PROVIDER_FAULTS = ("status 503", "retry soon", "closed", "reset at the head", "short delay", "long delay", "hang")
PROVIDERS = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}


def store_of(client):
    """Return a client's store in this event loop, if it has been used."""
    runtime = client._core.runtime
    return None if runtime is None else runtime.store


class Lines(logging.Handler):
    """Counts what is logged of stores, and the attempts that took too long."""

    def __init__(self):
        super().__init__()
        self.count = Counter()
        self.late_attempts = 0

    def emit(self, record):
        """Count a line."""
        if record.name.startswith("balancekit.stores"):
            self.count[record.getMessage()] += 1
        elif record.levelno == logging.DEBUG:
            self.late_attempts += "ProviderTimeoutError" in record.getMessage()


class SharedSoak(ModelLaws):
    """The run: what is done, what is checked and what is counted."""

    def __init__(self, seconds, seed):
        self.chance = random.Random(seed)
        super().__init__(Model(self.chance, ACCOUNTS), slack=SLACK)
        self.seconds = seconds
        self.over = asyncio.Event()
        self.done = Counter()
        self.slowest = 0.0
        self.lines = Lines()
        # When the last invalidation of each account began that has returned: by client, and by any of them.
        self.invalidated = defaultdict(lambda: defaultdict(float))
        self.invalidated_by_any = defaultdict(float)
        # Since when Redis has been well; infinite during a fault.
        self.well_since = time.time()
        self.last_fault = "no fault"

    async def run(self):
        """Do everything, and return whether nothing was off."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.problem(f"the loop: {context}"))
        sys.unraisablehook = lambda raised: self.problem(f"unraisable: {raised.exc_value!r}")
        logging.getLogger("balancekit").addHandler(self.lines)
        logging.getLogger("balancekit").setLevel(logging.INFO)
        # Replicas share what can be distinguished.
        self.remote = Remote(self.model.now, signed=True)
        try:
            with tempfile.TemporaryDirectory(prefix="balancekit-") as folder:
                self.pair = Pair(folder, self.chance)
                before = sockets()
                try:
                    await self._run(await self.pair.start())
                finally:
                    await self.pair.aclose()
        finally:
            self.remote.close()
            logging.getLogger("balancekit").removeHandler(self.lines)
        # A transport is closed in a later turn of the loop than what it belongs to.
        for _ in range(100):
            if sockets() <= before:
                break
            await asyncio.sleep(0.01)
        else:
            self.problem("sockets are left over")
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            self.problem(f"tasks are left over: {left}")
        self.report()
        return not self.problems

    async def _run(self, url):
        self.url, self.settings = url, await self.remote("settings")
        self.clients, self.stores = map(list, zip(*(self.open() for _ in range(REPLICAS)), strict=True))
        try:
            await self._run_jobs()
        finally:
            for client, store in zip(self.clients, self.stores, strict=True):
                await self.close(client, store)

    async def _run_jobs(self):
        asyncio.get_running_loop().call_later(self.seconds, self.over.set)
        # None is cancelled: a fault has an end, and what is closed is closed to the end.
        async with asyncio.TaskGroup() as jobs:
            for number in range(REPLICAS):
                for _ in range(WORKERS):
                    jobs.create_task(self.work(number))
            for job in (self.change, self.block, self.renew, self.trouble):
                jobs.create_task(job())
        await self.last_fetches()

    async def goes_on(self, longest):
        """Wait for a random time, and return whether the run goes on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.chance.uniform(0, longest)):
                await self.over.wait()
        return not self.over.is_set()

    def open(self):
        """Make a client, and its store."""
        store = RedisStore.from_url(self.url)
        providers = [PROVIDERS[kind](label, **account) for label, kind, account in self.settings]
        return AggregateClient(providers, timeout=TIMEOUT, deadline=DEADLINE, store=store), store

    async def close(self, client, store):
        """Close a client, in time, and its store."""
        begun = time.time()
        await client.aclose()
        if time.time() - begun > 1 + SLACK:
            self.problem("a client takes long to close")
        shared = store_of(client)
        for account in client._core.book.values():
            if shared is not None and account.key in shared.pending_invalidations:
                # It is lost, as the log says.
                self.invalidated_by_any.pop(account.label, None)
                self.done["invalidations that are lost"] += 1
        await store.aclose()

    async def renew(self):
        """Replace a client by a new one, as a service is deployed."""
        while await self.goes_on(20):
            number = self.chance.randrange(REPLICAS)
            old = self.clients[number], self.stores[number]
            self.clients[number], self.stores[number] = self.open()
            self.invalidated[number] = defaultdict(float)
            await self.close(*old)
            self.done["clients replaced"] += 1

    async def trouble(self):
        """Have something happen to Redis, now and then."""
        while await self.goes_on(2 * (DELIVERED + SLACK)):
            if self.chance.random() < 0.5:
                await self.pair.copy_dump()
            fault = self.chance.choice(FAULTS)
            self.well_since, self.last_fault = float("inf"), fault
            await getattr(self.pair, fault)()
            self.well_since = time.time()
            self.done[f"faults of Redis: {fault}"] += 1

    async def change(self):
        """Change balances, now and then, and mostly have a client learn of it."""
        while await self.goes_on(0.1):
            await self.remote("fail", self.some_faults())
            label = await self.model.change(self.remote)
            if self.chance.random() < 0.7:
                await self.invalidate(label)

    async def invalidate(self, label):
        """Invalidate an account in one of the clients, as a webhook does."""
        number, begun = self.chance.randrange(REPLICAS), time.time()
        client = self.clients[number]
        await client.invalidate(label)
        if client is not self.clients[number]:
            # It was closed meanwhile.
            return
        self.invalidated[number][label] = self.invalidated_by_any[label] = begun
        if store_of(client).pending_invalidations:
            self.done["invalidations that wait for Redis"] += 1
            self.well_since = max(self.well_since, time.time())
        self.done["invalidations"] += 1

    async def block(self):
        """Take leases that nobody gives back, as of a process that has died."""
        keys = [account.key for account in self.clients[0]._core.book.values()]
        async with RedisStore.from_url(self.url) as store:
            while await self.goes_on(2):
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(1):
                        await store.lease(self.chance.choice(keys), "dead", seconds=TIMEOUT + 0.5)
                        self.done["leases of the dead"] += 1

    def some_faults(self):
        """Choose what goes wrong at the providers next."""
        labels = [label for label in self.model.now if self.chance.random() < 0.02]
        return [(label, self.chance.choice(PROVIDER_FAULTS)) for label in labels for _ in range(4)]

    async def work(self, number):
        """Fetch again and again, in one way or another."""
        while await self.goes_on(0.1):
            way = self.chance.choices((self.fetch, self.stream, self.cancel), weights=(6, 3, 1))[0]
            accounts = None
            if self.chance.random() < 0.5:
                accounts = self.chance.sample(list(self.model.now), self.chance.randint(1, ACCOUNTS))
            max_age = self.chance.choice([0.0, 0.2, 1.0, 5.0])
            was_well, by_any = self.is_well(number), dict(self.invalidated_by_any)
            own = dict(self.invalidated[number])
            begun = time.time()
            snapshots = await way(self.clients[number], accounts, max_age)
            self.slowest = max(self.slowest, time.time() - begun)
            if time.time() - begun > DEADLINE + SLACK:
                self.problem("a call took longer than its deadline")
            is_well = was_well and self.is_well(number)
            self.done["calls while Redis is well" if is_well else "calls while it is not"] += 1
            for snapshot in snapshots:
                label, sent = snapshot.account, snapshot.fetched_at.timestamp() + EXACT
                if sent < begun - max_age:
                    self.problem(f"a snapshot older than max_age, after {self.last_fault}")
                if sent < own.get(label, 0.0):
                    self.problem(f"a snapshot from before an invalidation in this process, after {self.last_fault}")
                if is_well and sent < by_any.get(label, 0.0):
                    self.problem(f"a snapshot from before an invalidation in another process, after {self.last_fault}")

    def is_well(self, number):
        """Whether Redis has been well for long enough, and is so in the eyes of a client."""
        store = store_of(self.clients[number])
        return time.time() - self.well_since >= DELIVERED and (store is None or store.reachable)

    async def fetch(self, client, accounts, max_age):
        """Fetch, and return what is fresh."""
        self.done["fetches"] += 1
        fair = self.chance.choice([0.0, 3.0])
        merged = await client.fetch(accounts, max_age=max_age, stale_if_error=fair)
        self.check(accounts, merged, may_be_stale=bool(fair))
        return [snapshot for snapshot in merged.accounts if not snapshot.stale]

    async def stream(self, client, accounts, max_age):
        """Read a stream to its end, or leave it early; return what came."""
        self.done["streams"] += 1
        wanted, outcomes = self.chance.choice([ACCOUNTS, self.chance.randint(1, ACCOUNTS)]), []
        labels = self.model.now if accounts is None else accounts
        async with contextlib.aclosing(client.stream(accounts, max_age=max_age)) as stream:
            async for outcome in stream:
                self.check_outcome(outcome, time.time())
                outcomes.append(outcome)
                if len(outcomes) == wanted:
                    break
        self.check_outcomes("stream", labels, outcomes, whole=wanted >= len(labels))
        return [outcome for outcome in outcomes if isinstance(outcome, AccountBalances)]

    async def cancel(self, client, accounts, max_age):
        """Cancel a fetch on its way; return what is fresh, should it have ended."""

        async def call():
            # It may be closed before this begins.
            return None if client._core.closed else await client.fetch(accounts, max_age=max_age)

        task = asyncio.create_task(call())
        after = self.chance.choice([0, self.chance.uniform(0, 0.05), self.chance.uniform(0, 0.5)])
        if await self.end(task, "fetch", within=DEADLINE, cancel_after=after) and task.result() is not None:
            self.check(accounts, task.result())
            return task.result().accounts
        self.done["cancelled fetches"] += 1
        return []

    def check_outcome(self, outcome, arrived):
        """Compare one account with the model; a process that has died must have kept nobody from reading it."""
        super().check_outcome(outcome, arrived)
        if "another process has not read it" in str(getattr(outcome, "error", "")):
            self.problem("a lease that outlasts its time")

    async def last_fetches(self):
        """With faults off, hold the totals of every client against the model's, and count the requests."""
        await self.remote("clear_faults")
        # A connection to what has become a replica is noticed when it is used.
        await asyncio.gather(*(client.fetch() for client in self.clients))
        await asyncio.sleep(DELIVERED + SLACK)
        for label in self.model.now:
            await self.model.change(self.remote, label)
            await self.invalidate(label)
        if any(store_of(client) and store_of(client).pending_invalidations for client in self.clients):
            self.problem("invalidations wait though Redis is well")
        requests, _ = await self.remote("figures")
        # Only at this level is each attempt logged.
        logging.getLogger("balancekit").setLevel(logging.DEBUG)
        for max_age in (60.0, 0.0):
            for client in self.clients:
                merged = await client.fetch(max_age=max_age, strict=True)
                self.check(None, merged)
                self.check_totals(merged)
        # On a busy machine even the sandbox may be late, and is then asked again.
        more = (await self.remote("figures"))[0] - requests - self.lines.late_attempts
        if more != ACCOUNTS * (1 + REPLICAS):
            self.problem(f"{more} requests at the end instead of one an account, and one in each client")
        print("totals at the end:", ", ".join(f"{total.currency} {total.amount:f}" for total in merged))

    def report(self):
        """Print the figures."""
        print("done:", ", ".join(f"{count} {what}" for what, count in sorted(self.done.items())))
        print(f"snapshots held against the model: {self.snapshots}")
        print("failures:", ", ".join(f"{name} {count}" for name, count in sorted(self.failures.items())))
        print(f"slowest call {self.slowest:.2f} s with a deadline of {DEADLINE:g} s")
        for text, count in self.lines.count.items():
            print(f"log: {text} ({count} times)")
        for text, count in self.problems.items():
            print(f"PROBLEM: {text} ({count} times)")
        print("something is off" if self.problems else "all is accounted for", flush=True)


def sockets():
    """Count the open sockets of this process."""
    return sum(connection.status != psutil.CONN_NONE for connection in psutil.Process().net_connections("inet"))


def main():
    """Run for the time that is asked for, and return the exit code."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"{seconds:g} seconds, seed {seed}", flush=True)

    async def run():
        return await SharedSoak(seconds, seed).run()

    return 0 if asyncio.run(run()) else 1


if __name__ == "__main__":
    sys.exit(main())
