"""The client for code without an event loop: real threads, and sockets to a sandbox."""

import asyncio
import contextvars
import gc
import hmac
import inspect
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from balancekit import (
    AggregateClient,
    ConfigError,
    CryptoprocessingProvider,
    GetManyProvider,
    IncompleteError,
    WebhookVerificationError,
)
from balancekit.blocking import Client
from balancekit.sandbox import Fault
from tests.support.providers import Scripted

CANARY = "canary-password-1"


def getmany(account):
    """Return the provider of an account of the sandbox."""
    return GetManyProvider(account.label, **account.settings)


@pytest.fixture
def till(sandbox):
    """Return an account of the sandbox."""
    return sandbox.add_getmany("till", {"USDC": "12.5"})


@pytest.fixture
def client(till):
    """Return a client of that account."""
    with Client([getmany(till)]) as client:
        yield client


class Gate:
    """A provider that responds when it is opened; `started` is set by each request, `ended` by the end of one."""

    provider = "gate"

    def __init__(self, account="gate"):
        self.account = account
        self.opened = asyncio.Event()
        self.started, self.ended = threading.Event(), threading.Event()

    async def fetch_balances(self, session):
        """Wait until it is opened."""
        self.loop = asyncio.get_running_loop()
        self.started.set()
        try:
            await self.opened.wait()
        finally:
            self.ended.set()
        return []

    def open(self):
        """Let it respond."""
        self.loop.call_soon_threadsafe(self.opened.set)


def threads_of_clients():
    """Return the threads of clients that are running."""
    return [thread for thread in threading.enumerate() if thread.name == "balancekit"]


def test_it_takes_the_arguments_of_the_other_client():
    """All but `session` and `origins`, which belong to one loop, and those of each method, with the same defaults."""

    def parameters(function):
        return {name: one.default for name, one in inspect.signature(function).parameters.items()}

    expected = parameters(AggregateClient.__init__)
    del expected["session"], expected["origins"]
    assert parameters(Client.__init__) == expected
    for name in ("fetch", "stream", "watch", "latest", "status", "invalidate", "handle_webhook", "add", "remove"):
        assert parameters(getattr(Client, name)) == parameters(getattr(AggregateClient, name))


def test_a_fetch_waits_for_the_result(client):
    """It is that of the other client."""
    assert str(client.fetch().amount("USDC")) == "12.5"
    assert str(client.fetch(["till"], max_age=60)["usdc"].amount) == "12.5"


def test_what_is_known_is_shown_without_a_request(client, sandbox):
    """`latest` and `status` do not ask."""
    assert not client.latest().complete
    client.fetch()

    assert client.latest().complete
    assert client.status()["till"].up
    assert client.accounts == ("till",)
    assert len(sandbox.requests) == 1


def test_a_stream_gives_each_outcome(client, till, sandbox):
    """It is an iterator."""
    client.add(getmany(sandbox.add_getmany("desk", {"USDC": "1"})))

    assert {outcome.account for outcome in client.stream()} == {"till", "desk"}


def test_leaving_a_stream_early_ends_its_requests(client):
    """What no other caller waits for is cancelled."""
    gate = Gate()
    client.add(gate)

    for outcome in client.stream():
        assert outcome.account == "till"
        break

    del outcome
    gc.collect()
    assert not gate.started.is_set() or gate.ended.wait(5)


@pytest.mark.parametrize("begin", ["client.watch()", "client.stream()"])
@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "os.fork() or sys.exit(0)"])
def test_a_program_ends_although_an_iteration_is_still_there(begin, end):
    """Nothing is closed after the thread has ended, and no thread is begun for it."""
    program = f"""
import os, sys
from balancekit.blocking import Client
class Shop:
    account, provider = "shop", "shop"
    async def fetch_balances(self, session):
        return []
client = Client([Shop()])
changes = {begin}
next(changes)
{end}
"""
    ran = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)

    assert ran.returncode == (3 if "3" in end else 0)


@pytest.mark.parametrize(
    "given", [{"store": f"redis://:{CANARY}@host"}, {"clock": CANARY}, {"aliases": CANARY}], ids=str
)
def test_what_was_passed_by_mistake_is_not_shown(given, everything_shown_by):
    """Not by the frames of the error either."""
    with pytest.raises(ConfigError) as caught:
        Client([], **given)

    assert CANARY not in everything_shown_by(caught.value)


def test_a_rejected_webhook_leaves_no_signature_in_the_frames(everything_shown_by):
    """A signature of `{}` also reads the balances."""
    secret = "a-secret-of-the-shop"
    signature = hmac.new(secret.encode(), b"{}", "sha512").hexdigest()
    headers = {"X-Processing-Key": "key-of-the-shop", "X-Processing-Signature": signature}
    provider = CryptoprocessingProvider("shop", key="key-of-the-shop", secret=secret)

    with Client([provider]) as client, pytest.raises(WebhookVerificationError) as caught:
        client.handle_webhook("shop", headers, b"{}")

    del headers
    assert signature not in everything_shown_by(caught.value)


def test_an_invalid_argument_is_an_error_at_the_call(client):
    """As it is of the other client, before anything is iterated."""
    with pytest.raises(ConfigError):
        client.stream(["nobody"])
    with pytest.raises(ConfigError):
        client.watch(max_age=-1)


def test_a_watch_gives_each_change(client, till):
    """An invalidation by any thread is a change."""
    with client.watch(min_interval=0) as watch:
        assert str(next(watch).amount("USDC")) == "12.5"
        till.set("USDC", "13")
        client.invalidate("till")

        assert str(next(watch).amount("USDC")) == "13"


@pytest.mark.parametrize("closed", ["watch", "client"])
def test_a_watch_ends_when_it_is_closed_by_another_thread(client, closed):
    """So does one whose client is closed, while a thread waits for it, and later."""
    watch = client.watch()
    next(watch)
    with ThreadPoolExecutor() as pool:
        rest = pool.submit(list, watch)
        {"watch": watch, "client": client}[closed].close()

        assert all(state.complete for state in rest.result(5))
    assert list(watch) == []


def test_a_stream_whose_client_is_closed_is_not_taken_for_complete(client):
    """Outcomes that were never taken are not lost in silence."""
    client.add(Gate())
    stream = client.stream()
    next(stream)
    client.close()

    with pytest.raises(RuntimeError, match="the client is closed"):
        list(stream)


def test_a_webhook_that_is_rejected_raises(client):
    """What a WSGI application has received is verified."""
    with pytest.raises(WebhookVerificationError):
        client.handle_webhook("till", {}, b"{}")


def test_accounts_are_added_and_removed(client, sandbox):
    """A fetch of all reads those that are there."""
    client.add(getmany(sandbox.add_getmany("desk", {"USDC": "1"})))
    assert str(client.fetch().amount("USDC")) == "13.5"

    client.remove("till")

    assert str(client.fetch().amount("USDC")) == "1"


def test_sixteen_threads_share_one_client(sandbox):
    """They share requests as well, if they accept a snapshot; none gets the result of another."""
    accounts = [sandbox.add_cryptoprocessing(f"shop-{n}", {"BTC": str(n + 1)}) for n in range(4)]
    barrier = threading.Barrier(16)

    def call(number):
        barrier.wait()
        amounts = set()
        for _ in range(5):
            label = f"shop-{number % 4}"
            merged = client.fetch([label], max_age=60)
            amounts.add((number % 4 + 1, str(merged.amount("BTC"))))
        return amounts

    providers = [CryptoprocessingProvider(account.label, **account.settings) for account in accounts]
    with Client(providers) as client, ThreadPoolExecutor(16) as pool:
        results = set().union(*pool.map(call, range(16)))

    assert results == {(n, str(n)) for n in range(1, 5)}
    assert len(sandbox.requests) == 4


def test_event_loops_beside_it_are_left_alone(client, till):
    """Two threads with loops of their own use it, and clients of their own, at the same time."""

    async def main():
        async with AggregateClient([getmany(till)]) as own:
            return await asyncio.gather(own.fetch(), asyncio.to_thread(client.fetch))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(asyncio.run, [main(), main()]))

    assert {str(merged.amount("USDC")) for pair in results for merged in pair} == {"12.5"}


def test_a_request_runs_in_its_callers_context(client):
    """Context variables of each thread are there, and not those of the thread that was first."""
    tenant = contextvars.ContextVar("tenant", default="-")
    seen = {}

    class Mine(Scripted):
        async def fetch_balances(self, session):
            seen[self.account] = tenant.get()
            return self.balances()

    def ask(label):
        tenant.set(label)
        client.fetch([label])

    for label in ("alice", "bob"):
        client.add(Mine(label))
        contextvars.copy_context().run(ask, label)

    assert seen == {"alice": "alice", "bob": "bob"}


def test_an_error_is_raised_where_the_call_was_made(client, sandbox):
    """Its traceback leads from the caller's line to where it was raised, and each caller has its own."""
    sandbox.fail("till", Fault(status=403), times=2)

    errors = []
    for _ in range(2):
        with pytest.raises(IncompleteError) as caught:
            client.fetch(strict=True)
        errors.append(caught.value)

    names = [frame.name for frame in traceback.extract_tb(errors[0].__traceback__)]
    assert names[0] == "test_an_error_is_raised_where_the_call_was_made"
    assert names[-1] == "raise_for_failures"
    assert errors[0] is not errors[1]
    assert len(traceback.extract_tb(errors[1].__traceback__)) == len(names)


def test_a_call_in_its_own_thread_is_refused(client):
    """An adapter that used its own client would wait for itself."""

    class Nested(Scripted):
        async def fetch_balances(self, session):
            for call in (client.fetch, client.close, client.stream):
                with pytest.raises(RuntimeError, match="in its own thread would wait for itself"):
                    call()
            return self.balances("2")

    client.add(Nested("nested"))

    assert str(client.fetch(["nested"]).amount("BTC")) == "2"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signal can be sent to a thread")
def test_ctrl_c_cancels_the_call_that_waits_and_no_other():
    """The main thread gets its KeyboardInterrupt, the request ends, and other threads get their results."""
    gate, other = Gate(), Gate("other")
    with Client([gate, other]) as client, ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.fetch, ["other"])
        assert other.started.wait(5)

        # Long after the call has begun to wait.
        threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            client.fetch(["gate"])

        assert gate.ended.wait(5)
        other.open()
        assert waiting.result(5).complete


def test_closing_ends_calls_under_way(client):
    """They end within two seconds, with a failure, and the thread ends."""
    gate = Gate()
    client.add(gate)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(client.fetch)
        assert gate.started.wait(5)
        started = time.monotonic()
        client.close()

        assert "was closed" in str([failure.error for failure in call.result(5).failures])
    assert time.monotonic() - started < 5
    assert threads_of_clients() == []


def test_a_closed_client_refuses_calls(client):
    """Used or not, and closing it twice is fine."""
    unused = Client([])
    client.fetch()
    for closed in (client, unused):
        closed.close()
        closed.close()
        for call in (closed.fetch, closed.stream, closed.watch, closed.__enter__):
            with pytest.raises(RuntimeError, match="the client is closed"):
                call()


def test_many_threads_may_close_it_at_once(client):
    """Calls end with a result or a clear error, and nobody waits for ever."""

    def call(number):
        try:
            return client.close() if number % 4 == 3 else client.fetch()
        except RuntimeError as error:
            return str(error)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(call, range(64), timeout=20))

    assert {result for result in results if isinstance(result, str)} == {"the client is closed"}


def test_one_that_is_dropped_ends_its_thread(till):
    """Nothing is left of a client that nobody has closed."""
    client = Client([getmany(till)])
    client.fetch()
    del client
    gc.collect()

    assert threads_of_clients() == []


def test_an_adapter_that_exits_ends_its_own_call_alone(client):
    """SystemExit, which ends the event loop, is the failure of its account; the next call starts another loop."""

    class Exiting(Scripted):
        async def fetch_balances(self, session):
            sys.exit("an adapter")

    client.add(Exiting("exiting"))
    assert client.fetch(["till"]).complete

    (failure,) = client.fetch(["exiting"]).failures
    assert "SystemExit" in str(failure.error)

    assert client.fetch(["till"]).complete
