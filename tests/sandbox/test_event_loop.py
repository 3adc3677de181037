"""A sandbox in a thread of its own, which any thread and any event loop uses."""

import asyncio
import http.client
import threading

import pytest

from balancekit.sandbox import Fault, Sandbox


def status_of(sandbox):
    """Ask for anything, as a program without an event loop does."""
    connection = http.client.HTTPConnection(sandbox.address.removeprefix("http://"), timeout=30)
    connection.request("GET", "/")
    response = connection.getresponse()
    connection.close()
    return response.status


def test_a_program_without_an_event_loop_uses_it():
    """It listens while the block runs, and afterwards nothing is left of it."""
    before = {*threading.enumerate()}

    with Sandbox() as sandbox:
        assert status_of(sandbox) == 404
        assert len(sandbox.requests) == 1

    # A thread of an earlier test may end meanwhile.
    assert {*threading.enumerate()} <= before
    with pytest.raises(ConnectionRefusedError):
        status_of(sandbox)


def test_requests_that_hang_end_with_the_block():
    """Closing waits for nobody."""
    with Sandbox() as sandbox:
        sandbox.fail(None, Fault(hang=True))
        waiting = http.client.HTTPConnection(sandbox.address.removeprefix("http://"), timeout=30)
        waiting.request("GET", "/")
        while not sandbox.requests:
            pass

    with pytest.raises(http.client.RemoteDisconnected):
        waiting.getresponse()
    waiting.close()


async def test_what_cannot_start_leaves_no_thread(sandbox):
    """The error is that of `start`."""
    before = {*threading.enumerate()}
    taken = Sandbox(port=int(sandbox.address.rpartition(":")[2]))

    with pytest.raises(OSError, match="in use"):
        taken.__enter__()

    # A thread of an earlier test may end meanwhile.
    assert {*threading.enumerate()} <= before


async def test_another_loop_may_have_a_webhook_delivered(receiver):
    """The call returns in the caller's loop once the receiver has responded, and may wait for the retries there."""

    async def sleep(seconds):
        sleepers.append(threading.current_thread())

    sleepers = []
    with Sandbox(sleep=sleep) as sandbox:
        sandbox.add_getmany("till", webhook_url=receiver.url)
        receiver.statuses = [503]
        delivery = await sandbox.settle("till", "USDC", "1")
        accepted = await delivery.done()

    assert accepted
    assert [attempt.status for attempt in delivery.attempts] == [503, 200]
    assert sleepers != [threading.current_thread()]


def test_a_delivery_goes_on_after_the_loop_of_its_caller():
    """A synchronous test may pass the call to `asyncio.run`: the retries belong to the sandbox."""
    retried = threading.Event()

    async def sleep(seconds):
        retried.set()
        await asyncio.Event().wait()

    with Sandbox(sleep=sleep) as sandbox:
        sandbox.add_getmany("till", webhook_url="http://127.0.0.1:1/")
        delivery = asyncio.run(sandbox.settle("till", "USDC", "1"))

        assert retried.wait(30)

    assert len(delivery.attempts) == 1


async def test_another_loop_may_have_an_outage():
    """The sandbox comes back in its own thread, and on the same port."""
    with Sandbox() as sandbox:
        async with sandbox.refusing():
            with pytest.raises(ConnectionRefusedError):
                status_of(sandbox)
        refused = status_of(sandbox)
        await sandbox.aclose()
        await sandbox.start()
        # While this loop is blocked, only a thread can respond.
        assert (refused, status_of(sandbox)) == (404, 404)


def test_another_loop_may_close_it_when_its_own_has_ended():
    """As two calls of `asyncio.run` do, one after the other."""
    sandbox = Sandbox()
    asyncio.run(sandbox.start())
    asyncio.run(sandbox.aclose())

    with pytest.raises(ConnectionRefusedError):
        status_of(sandbox)
