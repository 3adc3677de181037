"""Several processes with one Redis: one request for all of them, one limit, and no answer lost whatever dies."""

import asyncio
import itertools
import json
import logging
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from balancekit import AggregateClient, CryptoprocessingProvider
from balancekit.sandbox import Sandbox

# Processes take a while to start: they are the same in all tests, and so is the loop that talks to them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

# Figures that no test depends on: `pytest --log-cli-level=INFO` shows them.
log = logging.getLogger(__name__)

GONE, BACK = "the store is out of reach (ConnectionError): accounts are read without it", "the store is back"


class Process:
    """A replica in a process of its own."""

    def __init__(self):
        self._process = None

    async def start(self):
        """Start it, unless it runs."""
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("replica.py")),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            self._answers, self._watched = asyncio.Queue(), asyncio.Queue()
            self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def do(self, command, **settings):
        """Have it do something, and return its answer."""
        self._process.stdin.write(json.dumps([command, settings]).encode() + b"\n")
        async with asyncio.timeout(20):
            return await self._answers.get()

    async def watched(self):
        """Wait for what its watch gives next: the amounts, and when they came."""
        async with asyncio.timeout(20):
            return await self._watched.get()

    @property
    def watched_more(self):
        """Whether its watch has given something that nobody has waited for."""
        return not self._watched.empty()

    async def reset(self):
        """Make it forget what it was told; if it is busy or broken, another takes its place at the next start."""
        if self._process is None:
            return
        try:
            async with asyncio.timeout(5):
                await self.do("close")
            assert self._answers.empty()
        except BaseException:
            await self.kill()
            raise
        while self.watched_more:
            self._watched.get_nowait()

    async def kill(self):
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await self._reading
            process._transport.close()

    async def _read(self, lines):
        while line := await lines.readline():
            told = json.loads(line)
            if "answer" in told:
                self._answers.put_nowait(told["answer"])
            else:
                self._watched.put_nowait((told["watched"], told["at"]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(running_server):
    """Start four processes for all tests."""
    processes = [Process() for _ in range(4)]
    try:
        yield processes
    finally:
        await asyncio.gather(*(process.kill() for process in processes))


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox():
    """Start the providers, in the tests' own loop."""
    async with Sandbox() as running:
        yield running


class Service:
    """Four replicas with one Redis, of the accounts that the sandbox has."""

    def __init__(self, processes, sandbox, server):
        self.processes = processes
        self._sandbox = sandbox
        self._url = server.url

    async def open(self, *, urls=(), **settings):
        """Open a client in each process, with a store that is reached by its URL, or the server's own."""
        accounts = [(account.provider, account.label, account.settings) for account in self._sandbox.accounts]
        await asyncio.gather(
            *(
                process.do("open", accounts=accounts, url=url or self._url, **settings)
                for process, url in itertools.zip_longest(self.processes, urls)
            )
        )
        return self.processes

    async def all_do(self, command, **settings):
        """Have every process do something, and return their answers."""
        return await asyncio.gather(*(process.do(command, **settings) for process in self.processes))

    async def fetch_at_once(self, **settings):
        """Have every process fetch at the same moment."""
        return await self.all_do("fetch", at=time.time() + 0.1, **settings)

    async def all_logged(self, line):
        """Wait until every process has logged a line."""
        async with asyncio.timeout(10):
            while not all(line in log for log in await self.all_do("log")):  # noqa: ASYNC110 - it is logged elsewhere
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture(loop_scope="module")
async def service(processes, sandbox, server):
    """Be four replicas that know nothing."""
    await asyncio.gather(*(process.start() for process in processes))
    yield Service(processes, sandbox, server)
    server.start()
    await asyncio.gather(*(process.reset() for process in processes))


@pytest.fixture
def three_accounts(sandbox):
    """Add three accounts, of either kind."""
    sandbox.add_cryptoprocessing("shop", {"BTC": "1.5"})
    sandbox.add_cryptoprocessing("kiosk", {"BTC": "2.5"})
    sandbox.add_getmany("till", {"EUR": "3.50"})


def asked(sandbox):
    """Return which accounts were asked for, in order."""
    return [request.account for request in sandbox.requests]


async def test_ten_thousand_askers_make_one_request_an_account(sandbox):
    """Ten thousand fetches of three accounts in one process make three requests."""
    accounts = [sandbox.add_cryptoprocessing(label, {"BTC": "1.5"}) for label in ("shop", "kiosk", "till")]
    providers = [CryptoprocessingProvider(account.label, **account.settings) for account in accounts]
    async with AggregateClient(providers) as client:
        started = time.monotonic()
        results = await asyncio.gather(*(client.fetch(max_age=5) for _ in range(10_000)))
        log.info("took %.3f s", time.monotonic() - started)

    assert sorted(asked(sandbox)) == ["kiosk", "shop", "till"]
    assert all(merged.complete and merged.amount("BTC") == 4.5 for merged in results)


async def test_four_processes_make_one_request_an_account(service, sandbox, three_accounts):
    """Ten thousand fetches of three accounts in four processes make three requests."""
    await service.open()

    answers = await service.fetch_at_once(times=2500, max_age=5)

    log.info("took %s s", [round(answer["ended"] - answer["started"], 3) for answer in answers])
    assert sorted(asked(sandbox)) == ["kiosk", "shop", "till"]
    assert [answer["results"] for answer in answers] == [[[{"BTC": "4.0", "EUR": "3.50"}, True, [], 2500]]] * 4
    # However busy a process is, it does not take the store for lost.
    assert await service.all_do("log") == [[]] * 4


async def test_processes_keep_a_limit_together(service, sandbox):
    """No window of the server's own time has more requests than allowed, and the limit is used."""
    sandbox.add_cryptoprocessing("shop", {"BTC": "1.5"})
    await service.open(rate_limit=[10, 0.5])

    await service.all_do("fetch_again_and_again", callers=4)
    await asyncio.sleep(3)
    # More than the latest requests may still wait for their turn.
    arrivals = [request.at for request in sandbox.requests]
    fetched = await service.all_do("stop_fetching")

    windows = [late - early for early, late in zip(arrivals, arrivals[10:], strict=False)]
    log.info("%d requests; the shortest window had %.4f s", len(arrivals), min(windows))
    assert min(windows) > 0.5
    assert len(arrivals) >= 0.75 * 10 * (3 / 0.5)
    assert {result[1] for answer in fetched for result in answer["results"]} == {True}
