"""A program that is one replica of a service: it takes commands on its input, and responds on its output.

Each line is JSON. A line of input is a command, which has one line in response when it is done; the states of a watch
come in between.
"""

import asyncio
import json
import logging
import sys
import time
from collections import Counter

from aiohttp import web

from balancekit import AggregateClient, CryptoprocessingProvider, GetManyProvider, RateLimit
from balancekit.stores import RedisStore
from balancekit.webhooks import webhook_routes

PROVIDERS = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        """Keep a line."""
        self.lines.append(record.getMessage())


class Fetches:
    """The results of many fetches: how many there were of each, and how long the longest fetch took."""

    def __init__(self):
        self._results = Counter()
        self._longest = 0.0

    async def fetch(self, client, **settings):
        """Fetch once."""
        started = time.monotonic()
        merged = await client.fetch(**settings)
        self._longest = max(self._longest, time.monotonic() - started)
        failures = [f"{failure.error}" for failure in merged.failures]
        self._results[json.dumps([amounts(merged), merged.complete, failures])] += 1

    def summary(self):
        """Return each result with its number."""
        results = [[*json.loads(result), count] for result, count in self._results.items()]
        return {"results": results, "longest": self._longest}


class Replica:
    """A client with a store in Redis; each method is a command."""

    def __init__(self):
        self._client = self._store = self._runner = self._fetching = self._watching = None
        self._stopped = False
        self._log = Lines()
        logging.getLogger("balancekit").addHandler(self._log)
        logging.getLogger("balancekit").setLevel(logging.INFO)

    async def open(self, accounts, url, *, rate_limit=None, **settings):
        """Make the client of these accounts."""
        providers = [PROVIDERS[provider](label, **account) for provider, label, account in accounts]
        if rate_limit is not None:
            requests, per = rate_limit
            settings["rate_limits"] = {account["base_url"]: RateLimit(requests, per=per) for _, _, account in accounts}
        self._store = RedisStore.from_url(url)
        self._client = AggregateClient(providers, store=self._store, **settings)

    async def close(self):
        """End everything that was begun."""
        if self._client is None:
            return
        self._stopped = True
        await self._client.aclose()
        if self._fetching is not None:
            # A fetch of a client that is closed may raise.
            await asyncio.wait([self._fetching])
        if self._watching is not None:
            await self._watching
        if self._runner is not None:
            await self._runner.cleanup()
        await self._store.aclose()
        self._client = self._store = self._runner = self._fetching = self._watching = None
        self._log.lines.clear()

    async def log(self):
        """Return what has been logged."""
        return self._log.lines

    async def fetch(self, *, times=1, at=0.0, **settings):
        """Fetch so many times at once, at a moment in Unix seconds."""
        fetches = Fetches()
        await asyncio.sleep(at - time.time())
        started = time.time()
        await asyncio.gather(*(fetches.fetch(self._client, **settings) for _ in range(times)))
        return {**fetches.summary(), "started": started, "ended": time.time()}

    async def fetch_again_and_again(self, *, callers=1, pause=0.0, **settings):
        """Fetch until `stop_fetching`, each caller with a pause after every fetch."""
        fetches, self._stopped = Fetches(), False

        async def call():
            while not self._stopped:
                await fetches.fetch(self._client, **settings)
                await asyncio.sleep(pause)

        async def call_all():
            await asyncio.gather(*(call() for _ in range(callers)))
            return fetches.summary()

        self._fetching = asyncio.create_task(call_all())

    async def stop_fetching(self):
        """Stop, and return the summary."""
        self._stopped = True
        return await self._fetching

    async def watch(self):
        """Watch all accounts, and write each complete state with the Unix time at which it came."""

        async def watch():
            async for merged in self._client.watch(min_interval=0):
                if merged.complete:
                    write_line({"watched": amounts(merged), "at": time.time()})

        self._watching = asyncio.create_task(watch())

    async def serve(self):
        """Receive webhooks; returns at which URL."""
        site = web.Application()
        site.add_routes(webhook_routes(self._client))
        self._runner = web.AppRunner(site)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/webhooks/"

    async def invalidate(self, account):
        """Invalidate the snapshot of an account."""
        await self._client.invalidate(account)


def amounts(merged):
    """Return the total of each currency, as text."""
    return {total.currency: str(total.amount) for total in merged.totals}


def write_line(line):
    """Write a line."""
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


async def main():
    """Run each command, until there are no more."""
    replica, loop = Replica(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, settings = json.loads(line)
        write_line({"response": await getattr(replica, name)(**settings)})
    await replica.close()


if __name__ == "__main__":
    asyncio.run(main())
