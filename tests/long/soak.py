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
import logging
import multiprocessing
import random
import sys
import time
from collections import Counter
from fractions import Fraction

import attrs
import psutil

from balancekit import (
    AccountBalances,
    AggregateClient,
    CryptoprocessingProvider,
    GetManyProvider,
    IncompleteError,
    ProviderError,
)
from balancekit.sandbox import Fault, Sandbox
from tests.support.laws import Laws

ACCOUNTS = 60
WORKERS = 4
TIMEOUT, DEADLINE = 0.4, 2.0
CODES = ("BTC", "ETH", "USDT", "EUR", "USD")
DECIMALS = 8

# What may be left over, or take longer, on a busy machine.
SLACK = 1.5
# How long the requests of a stream that nobody has closed may go on.
MOMENT = 0.1
MEMORY_GROWTH = 16 * 2**20
OBJECT_GROWTH = 2_000
# How long a balance that has been replaced may still turn up.
REMEMBERED = 4 * DEADLINE

FAULTS = {
    **{f"status {status}": Fault(status=status) for status in (204, 304, 400, 401, 403, 404, 418, 429, 500, 502, 503)},
    "proxy's page": Fault(status=502, body="<html>Bad Gateway</html>", headers={"Content-Type": "text/html"}),
    "retry at once": Fault(status=429, headers={"Retry-After": "0"}),
    "retry in a second": Fault(status=503, headers={"Retry-After": "1"}),
    "retry in an hour": Fault(status=429, headers={"Retry-After": "3600"}),
    "retry at nonsense": Fault(status=503, headers={"Retry-After": "soon"}),
    "redirect": Fault(status=302, headers={"Location": "https://elsewhere.invalid/"}),
    "no JSON": Fault(body="not JSON"),
    "empty": Fault(body=b""),
    "not UTF-8": Fault(body=b'{"data": "\xff"}'),
    "wrong shape": Fault(body='{"data": {}}'),
    "a float's idea of money": Fault(body='{"data": [{"balance": NaN}]}'),
    "nested": Fault(body="[" * 5000),
    "many values": Fault(body="[" + "0," * 100_000 + "0]"),
    "too large": Fault(body=b" " * (11 * 2**20)),
    "no gzip": Fault(headers={"Content-Encoding": "gzip"}),
    "harmless header": Fault(headers={"Content-Type": "text/plain"}),
    "cut at once": Fault(cut_after=0),
    "cut in the body": Fault(cut_after=20),
    "short delay": Fault(delay=0.05),
    "long delay": Fault(delay=TIMEOUT / 2),
    "delay beyond the timeout": Fault(delay=2 * TIMEOUT),
    "closed": Fault(raw=b""),
    "cut in the head": Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "no HTTP": Fault(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
    "wrong length": Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"),
    "bad chunk": Fault(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "two answers": Fault(raw=2 * b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
    "hang": Fault(hang=True),
    **{f"reset at the {part}": Fault.reset(part) for part in ("start", "head", "body")},
    **{f"stalled at the {part}": Fault.stall(part) for part in ("head", "body")},
    "dead kept-alive connection": Fault(ending="close"),
    "reset kept-alive connection": Fault(ending="reset-next"),
    "one byte more": Fault(length_error=1),
    "one byte fewer": Fault(length_error=-1),
    "drip": Fault(drip="body", interval=0.0001),
    "bomb": Fault.bomb(mebibytes=20),
    "flood": Fault.flood(),
}
COSTLY = {"hang", "too large", "delay beyond the timeout", "many values", "bomb", "flood"} | {
    name for name in FAULTS if name.startswith("stalled")
}
# A hanging request costs all of a timeout, and a large body much of a second: rarely, or nothing else would happen.
WEIGHTS = [0.2 if name in COSTLY else 1.0 for name in FAULTS]


def plain(units):
    """Write smallest units as decimal text."""
    whole, rest = divmod(abs(units), 10**DECIMALS)
    return f"{'-' * (units < 0)}{whole}.{rest:0{DECIMALS}d}"


def units_of(amount):
    """Return a Decimal as smallest units, by way of fractions: the model shares no arithmetic with the package."""
    units = Fraction(amount) * 10**DECIMALS
    assert units.denominator == 1, f"{amount} is finer than it was set"
    return units.numerator


# The server's process


class Server:
    """The sandbox, and the commands that it takes."""

    def __init__(self, holdings):
        self.sandbox = Sandbox()
        self.accounts = {}
        self.names = {id(fault): name for name, fault in FAULTS.items()}
        self.requests = 0
        self.played = Counter()
        for number, (label, held) in enumerate(holdings.items()):
            amounts = {code: plain(units) for code, units in held.items()}
            if number % 2:
                self.accounts[label] = self.sandbox.add_getmany(label, amounts, signed=number % 10 != 1)
            else:
                as_numbers = number % 10 == 0
                self.accounts[label] = self.sandbox.add_cryptoprocessing(label, amounts, balances_as_numbers=as_numbers)

    async def settings(self):
        """Return how each account is read."""
        return [(account.label, account.provider, account.settings) for account in self.accounts.values()]

    async def set(self, label, held):
        """Change what an account holds, all at once."""
        for code, units in held.items():
            self.accounts[label].set(code, plain(units))

    async def fail(self, faults):
        """Line up faults: pairs of a label, or None, and a fault's name."""
        for label, name in faults:
            self.sandbox.fail(label, FAULTS[name])

    async def clear_faults(self):
        """Play no more faults."""
        self.sandbox.clear_faults()

    async def restart(self, seconds):
        """Be out of reach for some seconds."""
        await self.sandbox.aclose()
        await asyncio.sleep(seconds)
        await self.sandbox.start()

    async def figures(self):
        """Return how many requests came, and which faults were played."""
        received = self.sandbox.requests
        self.sandbox.clear_requests()
        self.requests += len(received)
        self.played.update(self.names[id(request.fault)] for request in received if request.fault is not None)
        return self.requests, self.played

    async def run(self, pipe):
        """Serve until the pipe ends."""
        async with self.sandbox:
            while True:
                try:
                    name, *arguments = await asyncio.to_thread(pipe.recv)
                except EOFError:
                    return
                pipe.send(await getattr(self, name)(*arguments))


def serve(pipe, holdings):
    """Run the server's process."""
    # A client that goes away in the middle is part of the plan.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Server(holdings).run(pipe))


# The client's process


class Remote:
    """The server, as the client's process commands it."""

    def __init__(self, holdings):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, holdings), daemon=True)
        self._process.start()
        theirs.close()
        self._turn = asyncio.Lock()

    async def __call__(self, name, *arguments):
        """Have something done, and wait until it is."""
        async with self._turn:
            return await asyncio.to_thread(self._ask, (name, *arguments))

    def _ask(self, command):
        self._pipe.send(command)
        return self._pipe.recv()

    def close(self):
        """End the server's process."""
        self._pipe.close()
        self._process.join(5)
        self._process.kill()


@attrs.define
class State:
    """What an account held: from a moment at the earliest, to a moment at the latest."""

    held: dict
    since: float
    until: float = float("inf")


class Model:
    """What every account holds and lately held, in whole units."""

    def __init__(self, chance):
        self._chance = chance
        self._states = {f"account-{number:02d}": [State(self._any(), 0.0)] for number in range(ACCOUNTS)}

    def _any(self):
        codes = self._chance.sample(CODES, self._chance.randint(1, len(CODES)))
        return {code: self._amount() for code in codes}

    def _amount(self):
        return self._chance.choice(
            [0, 1, -1, self._chance.randint(-(10**12), 10**18), 10 ** self._chance.randint(0, 20)]
        )

    @property
    def now(self):
        """What each account holds."""
        return {label: states[-1].held for label, states in self._states.items()}

    async def change(self, remote):
        """Change what an account holds, here and there."""
        label = self._chance.choice(list(self._states))
        states = self._states[label]
        old = states[-1]
        change = {code: self._amount() for code in self._chance.sample(CODES, 2)}
        begun = time.time()
        # Before the command: the new state may be read before the command returns.
        states.append(State(old.held | change, begun))
        await remote("set", label, change)
        old.until = time.time()
        while states[0].until < begun - REMEMBERED:
            del states[0]

    def allows(self, snapshot, arrived):
        """Whether an account held that at some moment between the request and the arrival of its answer."""
        held = {}
        for balance in snapshot.balances:
            held[balance.code] = held.get(balance.code, 0) + units_of(balance.amount)
        sent = snapshot.fetched_at.timestamp()
        return any(
            without_zeros(state.held) == without_zeros(held)
            for state in self._states[snapshot.account]
            # The two clocks are one, but a datetime has only microseconds.
            if state.since <= arrived and sent - 1e-3 <= state.until
        )


def without_zeros(held):
    """Leave out what is zero: one of the APIs does."""
    return {code: units for code, units in held.items() if units}


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


class Soak(Laws):
    """The run: what is done, what is checked and what is counted."""

    def __init__(self, seconds, seed):
        super().__init__(slack=SLACK)
        self.seconds = seconds
        self.chance = random.Random(seed)
        self.model = Model(self.chance)
        self.done = Counter()
        self.failures = Counter()
        self.snapshots = 0
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

    def check(self, accounts, merged):
        """Compare a result with the model, and with itself."""
        arrived = time.time()
        self.check_result("result", self.model.now if accounts is None else accounts, merged)
        for outcome in [*merged.accounts, *merged.failures]:
            self.check_outcome(outcome, arrived)

    def check_outcome(self, outcome, arrived):
        """Compare one account with the model."""
        if isinstance(outcome, AccountBalances):
            self.snapshots += 1
            if not self.model.allows(outcome, arrived):
                self.problem(f"{outcome.provider}: a snapshot of what was never held")
        else:
            self.failures[type(outcome.error).__name__] += 1

    async def last_fetch(self):
        """With faults off, hold the totals against the model's."""
        await self.remote("clear_faults")
        merged = await self.client.fetch(strict=True)
        self.check(None, merged)
        expected = Counter()
        for held in self.model.now.values():
            for code, units in held.items():
                expected[code] += units
        totals = {total.currency: units_of(total.amount) for total in merged}
        if without_zeros(totals) != without_zeros(expected):
            self.problem("the totals at the end are not the model's")
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
        owned = None if client is None else client._owned
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
