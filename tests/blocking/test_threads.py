"""The client for code without an event loop, in many threads: contexts, interrupts and the end."""

import asyncio
import contextvars
import gc
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from balancekit import AggregateClient, CryptoprocessingProvider, IncompleteError
from balancekit.blocking import Client
from balancekit.sandbox import Fault
from tests.blocking.conftest import Gate, InterruptError, getmany
from tests.support.providers import Scripted


def threads_of_clients():
    """Return the threads of clients that are running."""
    return [thread for thread in threading.enumerate() if thread.name == "balancekit"]


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


@pytest.fixture
def heeded_ctrl_c():
    """Let Ctrl-C interrupt the tests, too, that run in the background of a shell, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signal can be sent to a thread")
@pytest.mark.usefixtures("heeded_ctrl_c")
def test_ctrl_c_cancels_the_call_that_waits_and_no_other():
    """The main thread gets its KeyboardInterrupt, the request ends, and other threads get their results."""
    gate, other = Gate(), Gate("other")
    with Client([gate, other]) as client, ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.fetch, ["other"])
        assert other.started.wait(30)

        def press():
            assert gate.started.wait(30)
            # Long after the call has begun to wait.
            time.sleep(0.3)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=press).start()
        with pytest.raises(KeyboardInterrupt):
            client.fetch(["gate"])

        assert gate.ended.wait(30)
        other.open()
        assert waiting.result(30).complete


def test_a_client_goes_on_whatever_python_takes_its_thread_for(client, monkeypatch):
    """Up to Python 3.12, a signal during `is_alive` makes it say for ever that a thread has ended."""
    client.fetch()
    monkeypatch.setattr(threading.Thread, "is_alive", lambda _thread: False)

    assert client.fetch().complete


def test_an_interrupt_while_the_thread_is_started_leaves_none(client, monkeypatch):
    """What has been started ends, and the next call starts another one."""
    start, started = threading.Thread.start, []

    def interrupted(thread):
        start(thread)
        started.append(thread)
        raise InterruptError

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(InterruptError):
            client.fetch()

    started[0].join(30)
    assert not started[0].is_alive()
    assert client.fetch().complete


def test_a_thread_that_cannot_be_started_leaves_no_event_loop(client, monkeypatch):
    """The error reaches the caller, and descriptors do not become fewer with each call."""
    make, made = asyncio.new_event_loop, []

    def noted():
        made.append(make())
        return made[-1]

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", noted)
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            client.fetch()

    assert [loop.is_closed() for loop in made] == [True]
    assert client.fetch().complete


def test_closing_ends_calls_under_way(client):
    """They end within two seconds, with a failure, and the thread ends."""
    gate = Gate()
    client.add(gate)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(client.fetch)
        assert gate.started.wait(30)
        started = time.monotonic()
        client.close()

        assert "was closed" in str([failure.error for failure in call.result(30).failures])
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
        results = list(pool.map(call, range(64), timeout=60))

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


def test_a_client_whose_event_loop_takes_long_to_end_delays_no_other(client):
    """Its next call waits for that, as two event loops cannot use it at once; calls of other clients go on."""

    class Stubborn(Gate):
        async def fetch_balances(self, session):
            self.started.set()
            while not self.opened.is_set():
                with suppress(asyncio.CancelledError):
                    await self.opened.wait()
            return []

    class Exiting(Scripted):
        async def fetch_balances(self, session):
            sys.exit("an adapter")

    stubborn = Stubborn()
    with Client([stubborn, Exiting("exiting"), Scripted("till")]) as slow, ThreadPoolExecutor() as pool:
        reading = pool.submit(slow.fetch, ["gate"])
        assert stubborn.started.wait(30)
        slow.fetch(["exiting"])
        again = pool.submit(slow.fetch, ["till"])
        longest = 0.0
        while not again.done():
            started = time.monotonic()
            client.fetch()
            longest = max(longest, time.monotonic() - started)
        reading.exception(30)

    assert longest < 1.5
