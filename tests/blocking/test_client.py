"""The client for code without an event loop: real threads, and sockets to a sandbox."""

import gc
import hmac
import inspect
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, WebhookVerificationError
from balancekit.blocking import Client
from tests.blocking.conftest import Gate, InterruptError, getmany

CANARY = "canary-password-1"


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
    assert not gate.started.is_set() or gate.ended.wait(30)


@pytest.mark.parametrize("begin", ["client.watch()", "client.stream()", "within(client.watch())"])
@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "os.fork() or sys.exit(0)"])
def test_a_program_ends_although_an_iteration_is_still_there(begin, end):
    """Nothing is closed after the thread has ended, and no thread is begun for it."""
    program = f"""
import os, sys
from balancekit.blocking import Client
from tests.blocking.conftest import Gate, getmany
class Shop:
    account, provider = "shop", "shop"
    async def fetch_balances(self, session):
        return []
def within(iteration):
    with iteration:
        yield from iteration
client = Client([Shop()])
changes = {begin}
next(changes)
{end}
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert ran.returncode == (3 if "3" in end else 0)
    assert "Exception ignored" not in ran.stderr


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
        # A busy machine may show first what is still to be read.
        amounts = (str(merged.amount("USDC")) for merged in watch if merged.complete)
        assert next(amounts) == "12.5"
        till.set("USDC", "13")
        client.invalidate("till")

        assert next(amounts) == "13"


@pytest.mark.parametrize("closed", ["watch", "client"])
def test_a_watch_ends_when_it_is_closed_by_another_thread(client, closed):
    """So does one whose client is closed, while a thread waits for it, and later."""
    watch = client.watch()
    next(watch)
    with ThreadPoolExecutor() as pool:
        rest = pool.submit(list, watch)
        {"watch": watch, "client": client}[closed].close()

        assert all(state.complete for state in rest.result(30))
    assert list(watch) == []


def test_a_watch_loses_nothing_by_a_wait_that_is_interrupted(client, till, interrupt):
    """A state that has not reached the caller is given by the next wait, whenever a signal handler has raised."""
    with client.watch(min_interval=0) as watch:
        next(watch)
        till.set("USDC", "13")
        client.invalidate("till")
        interrupt()
        with pytest.raises(InterruptError):
            next(watch)
        # Ends the wait if nothing comes.
        timer = threading.Timer(20, watch.close)
        timer.start()

        assert str(next(watch).amount("USDC")) == "13"
        timer.cancel()


def test_a_stream_ends_with_a_wait_that_is_interrupted_and_says_so(client, interrupt):
    """What it lacks from then on is not taken for complete."""
    with client.stream() as stream:
        interrupt()
        with pytest.raises(InterruptError):
            next(stream)

        for _ in range(2):
            with pytest.raises(RuntimeError, match="a wait for it was interrupted"):
                next(stream)


@pytest.mark.parametrize("interrupt", ["has ended"], indirect=True)
def test_a_stream_of_which_all_has_come_ends_after_an_interrupt_too(client, interrupt):
    """It lacks nothing."""
    stream = client.stream()
    next(stream)
    interrupt()
    with pytest.raises(InterruptError):
        next(stream)

    assert list(stream) == []


def test_a_stream_whose_client_is_closed_is_not_taken_for_complete(client):
    """Outcomes that were never taken are not lost in silence."""
    client.add(Gate())
    stream = client.stream()
    next(stream)
    client.close()

    with pytest.raises(RuntimeError, match="the client is closed"):
        list(stream)


def test_a_stream_whose_event_loop_an_adapter_ends_is_not_taken_for_complete(client):
    """Nor do its outcomes come from the next event loop."""

    class Exiting(Gate):
        async def fetch_balances(self, session):
            sys.exit("an adapter")

    client.add(Gate())
    stream = client.stream()
    next(stream)
    client.add(Exiting("exiting"))
    client.fetch(["exiting"])

    for _ in range(2):
        with pytest.raises(RuntimeError, match="the event loop has ended"):
            next(stream)
    stream.close()


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
