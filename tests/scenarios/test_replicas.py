"""Several processes with one Redis: one request for all of them, one limit, and no response lost whatever dies."""

import asyncio
import itertools
import json
import logging
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
import pytest_asyncio

from balancekit.sandbox import Fault

# Processes take a while to start: they are the same in all tests, and so is the loop that talks to them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

# Figures that no test depends on: `pytest --log-cli-level=INFO` shows them.
log = logging.getLogger(__name__)

# The headers that hold keys and signatures, of both providers' requests and webhooks.
SIGNED = re.compile(r"key|signature|nonce|authorization", re.IGNORECASE)

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
            self._responses, self._watched = asyncio.Queue(), asyncio.Queue()
            self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def do(self, command, **settings):
        """Run a command in it, and return its response; if there is none in time, the process is killed."""
        self._process.stdin.write(json.dumps([command, settings]).encode() + b"\n")
        try:
            async with asyncio.timeout(60):
                response = await self._responses.get()
        except BaseException:
            await self.kill()
            raise
        if isinstance(response, EOFError):
            raise response
        return response

    async def watched(self):
        """Wait for the next state of its watch: the amounts, and when they came."""
        async with asyncio.timeout(60):
            return await self._watched.get()

    @property
    def watched_more(self):
        """Whether its watch has given a state that nobody has waited for."""
        return not self._watched.empty()

    async def reset(self):
        """End what it does, and forget what it has done."""
        if self._process is None:
            return
        await self.do("close")
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

    async def _read(self, lines):
        while line := await lines.readline():
            message = json.loads(line)
            if "response" in message:
                self._responses.put_nowait(message["response"])
            else:
                self._watched.put_nowait((message["watched"], message["at"]))
        self._responses.put_nowait(EOFError("the replica has ended"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(running_server):
    """Start four processes for all tests."""
    processes = [Process() for _ in range(4)]
    try:
        yield processes
    finally:
        await asyncio.gather(*(process.kill() for process in processes))


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
        """Run a command in every process, and return their responses."""
        return await asyncio.gather(*(process.do(command, **settings) for process in self.processes))

    async def fetch_at_once(self, **settings):
        """Have every process fetch at the same moment."""
        return await self.all_do("fetch", at=time.time() + 0.1, **settings)

    async def all_logged(self, lines):
        """Wait until every process has logged so many lines, and return them all."""
        async with asyncio.timeout(60):
            while True:
                logs = await self.all_do("log")
                if min(map(len, logs)) >= lines:
                    return logs
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture(loop_scope="module")
async def service(processes, sandbox, server):
    """Give four replicas that know nothing."""
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


async def until(condition):
    """Wait for something that happens elsewhere."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.001)


def requested(sandbox):
    """Return the accounts of all requests, in order."""
    return [request.account for request in sandbox.requests]


async def test_four_processes_make_one_request_an_account(service, sandbox, three_accounts):
    """Ten thousand fetches of three accounts in four processes make three requests."""
    await service.open()

    responses = await service.fetch_at_once(times=2500, max_age=60)

    log.info("took %s s", [round(response["ended"] - response["started"], 3) for response in responses])
    assert sorted(requested(sandbox)) == ["kiosk", "shop", "till"]
    assert [response["results"] for response in responses] == [[[{"BTC": "4.0", "EUR": "3.50"}, True, [], 2500]]] * 4
    # However busy a process is, it does not take the store for lost.
    assert await service.all_do("log") == [[]] * 4


async def test_processes_keep_a_limit_together(service, sandbox):
    """No window of the server's own time has more requests than allowed, and the limit is used."""
    sandbox.add_cryptoprocessing("shop", {"BTC": "1.5"})
    await service.open(rate_limit=[10, 0.5])

    await service.all_do("fetch_again_and_again", callers=4)
    await until(lambda: len(sandbox.requests) >= 40)
    arrivals = [request.at for request in sandbox.requests]
    fetched = await service.all_do("stop_fetching")

    windows = [late - early for early, late in zip(arrivals, arrivals[10:], strict=False)]
    log.info("%d requests; windows had %.4f s, the shortest %.4f s", len(arrivals), median(windows), min(windows))
    assert min(windows) > 0.5
    # Of most windows, since the machine may pause in one.
    assert median(windows) < 0.5 / 0.75
    assert {result[1] for response in fetched for result in response["results"]} == {True}


async def test_stopping_and_starting_redis_loses_no_response(service, sandbox, server, three_accounts):
    """Every fetch is complete and in time, the log has two lines of each outage, and then the replicas share."""
    processes = await service.open(deadline=5.0)
    await service.all_do("fetch_again_and_again", callers=5, pause=0.01, max_age=0.05)

    for outage in range(2):
        sandbox.clear_requests()
        await until(lambda: len(sandbox.requests) >= 6)
        await asyncio.to_thread(server.stop)
        await service.all_logged(2 * outage + 1)
        await asyncio.to_thread(server.start)
        logs = await service.all_logged(2 * outage + 2)
    fetched = await service.all_do("stop_fetching")

    log.info("the longest fetch took %.3f s", max(response["longest"] for response in fetched))
    assert logs == [[GONE, BACK] * 2] * 4
    for response in fetched:
        assert [result[:3] for result in response["results"]] == [[{"BTC": "4.0", "EUR": "3.50"}, True, []]]
    for account in sandbox.accounts:
        await processes[0].do("invalidate", account=account.label)
    sandbox.clear_requests()
    await service.fetch_at_once(times=100, max_age=30)
    assert sorted(requested(sandbox)) == ["kiosk", "shop", "till"]


async def test_a_settlement_reaches_a_watch_in_another_process(service, sandbox):
    """A webhook that one replica receives updates the watch of another, after one request for the one account."""
    sandbox.add_cryptoprocessing("shop", {"BTC": "0"})
    sandbox.add_getmany("till", {"EUR": "0"})
    here, there, *_ = await service.open()
    url = await here.do("serve")
    for account in sandbox.accounts:
        account.webhook_url = f"{url}{account.label}"
    await there.do("watch")
    await there.watched()
    sandbox.clear_requests()

    settled, delays = [], []
    for number, (account, currency) in itertools.product(range(1, 11), [("shop", "BTC"), ("till", "EUR")]):
        delivery = await sandbox.settle(account, currency, 1)
        held, at = await there.watched()
        settled.append(account)
        delays.append(at - delivery.attempts[0].at)
        assert held[currency] == str(number)

    log.info("after %.0f ms, %.0f ms at most", 1e3 * median(delays), 1e3 * max(delays))
    assert requested(sandbox) == settled
    assert not there.watched_more


@pytest.mark.parametrize("kind", ["cryptoprocessing", "getmany"])
async def test_a_duplicate_at_another_replica_costs_nothing(service, sandbox, kind):
    """An event that one replica has acted on is known to all: it invalidates no snapshot again."""
    account = getattr(sandbox, f"add_{kind}")("shop", {"BTC": "1"})
    here, there, *_ = await service.open()
    urls = [await process.do("serve") for process in (here, there)]
    account.webhook_url = f"{urls[0]}shop"
    delivery = await sandbox.settle("shop", "BTC", 1)
    await service.fetch_at_once(max_age=60)
    account.webhook_url = f"{urls[1]}shop"

    await delivery.send()
    responses = await service.fetch_at_once(max_age=60)

    assert [attempt.status for attempt in delivery.attempts] == [204, 204]
    assert [response["results"] for response in responses] == [[[{"BTC": "2"}, True, [], 1]]] * 4
    assert requested(sandbox) == ["shop"]


@pytest.fixture
def line(server):
    """Give another way to the server, which can be cut and mended."""
    line = server.socket.with_name("line.sock")
    line.symlink_to(server.socket)
    yield line
    line.unlink(missing_ok=True)


async def test_an_invalidation_without_redis_is_sent_when_it_is_back(service, sandbox, server, line):
    """The others learn later of a webhook that came while a replica was cut off, though it is not used in between."""
    account = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
    here, there, *_ = await service.open(urls=[f"unix://{line}?client_name=here"])
    account.webhook_url = f"{await here.do('serve')}shop"
    await there.do("watch")
    await there.watched()
    await here.do("fetch", max_age=60)
    with server.client() as client:
        line.unlink()
        for connection in client.client_list():
            if connection["name"] == "here":
                client.client_kill_filter(_id=connection["id"])
    sandbox.clear_requests()

    delivery = await sandbox.settle("shop", "BTC", 1)
    assert delivery.accepted
    assert not there.watched_more
    line.symlink_to(server.socket)
    held, _ = await there.watched()

    assert held == {"BTC": "2"}
    assert requested(sandbox) == ["shop"]


async def test_what_settles_while_redis_is_down_is_seen_when_it_is_back(service, sandbox, server):
    """A watch whose store was lost reads again: anything may have happened in between."""
    account = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
    here, there, *_ = await service.open()
    account.webhook_url = f"{await here.do('serve')}shop"
    await there.do("watch")
    await there.watched()

    await asyncio.to_thread(server.stop)
    delivery = await sandbox.settle("shop", "BTC", 1)
    await asyncio.to_thread(server.start)
    # It also reads when it loses its store, which may be after the change.
    held, _ = await there.watched()

    assert delivery.accepted
    assert held == {"BTC": "2"}


async def test_nothing_secret_is_sent_to_redis(service, sandbox, server, three_accounts):
    """Whatever the replicas do, no command holds a key or a signature, and nor does anything that is kept."""
    with server.client() as client, client.monitor() as monitor:
        here, there, *_ = await service.open(rate_limit=[100, 1.0])
        url = await here.do("serve")
        await there.do("watch")
        await there.watched()
        for account in sandbox.accounts:
            account.webhook_url = f"{url}{account.label}"
            await sandbox.settle(account, "BTC", 1, copies=2)
            await there.watched()
        await service.fetch_at_once(times=10, max_age=60)
        client.echo("that is all")
        commands = list(itertools.takewhile(lambda sent: sent != "ECHO that is all", map(_command, monitor.listen())))
        kept = {key: content(client, key) for key in client.scan_iter()}

    settings = [account.settings for account in sandbox.accounts]
    messages = [attempt for delivery in sandbox.deliveries for attempt in delivery.attempts]
    headers = [message.headers for message in (*sandbox.requests, *messages)]
    secrets = {value for one in settings for name, value in one.items() if name != "base_url"}
    secrets |= {value for one in headers for name, value in one.items() if SIGNED.search(name)}
    assert len(secrets) >= 3 * 2 + len(sandbox.requests)
    assert {key.split(":")[1] for key in kept} == {"account", "event", "permits"}
    assert {sent.split(" ")[0] for sent in commands} >= {"EVALSHA", "HSET", "PUBLISH", "ZADD"}
    assert [secret for secret in secrets if secret in f"{commands} {kept}"] == []


def _command(sent):
    return sent["command"]


def content(client, key):
    """Return all that is kept under a key."""
    kind = client.type(key)
    if kind == "hash":
        return client.hgetall(key)
    return client.zrange(key, 0, -1) if kind == "zset" else client.get(key)


async def test_killing_the_holder_of_a_lease_delays_by_no_more_than_the_lease(service, sandbox, server):
    """One of the others reads the account when the lease has run out, and all have its snapshot."""
    # The one that dies must not have given up before.
    timeout = 2.5
    sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
    dies, *others = await service.open(timeout=timeout)
    sandbox.fail("shop", Fault(hang=True))
    lost = asyncio.create_task(dies.do("fetch", max_age=60))
    await until(lambda: sandbox.requests)
    waiting = [asyncio.create_task(process.do("fetch", max_age=60)) for process in others]
    with server.client() as client:
        # A process that waits for another's snapshot listens for it.
        await until(lambda: client.pubsub_numsub("balancekit:changes")[0][1] == len(others))

    await dies.kill()
    with pytest.raises(EOFError):
        await lost
    responses = await asyncio.gather(*waiting)

    first, second = sandbox.requests
    log.info("requested again after %.3f s", second.at - first.at)
    assert [response["results"] for response in responses] == [[[{"BTC": "1"}, True, [], 1]]] * 3
    # The lease is as long as the timeout and half a second; the rest is what a busy machine may take.
    assert second.at - first.at < timeout + 0.5 + 2
