"""The log of the requests that a sandbox received."""

import asyncio

import attrs
import pytest

from balancekit.sandbox import Fault
from balancekit.sandbox.request_log import RequestLog
from balancekit.sandbox.responses import SandboxResponse


@pytest.fixture
async def received(sandbox, ask_cryptoprocessing):
    """Return a request of an account as the log has it."""
    account = sandbox.add_cryptoprocessing("shop", key="public", secret="private")
    await ask_cryptoprocessing(account, path="/accounts/list?a=%20b")
    return sandbox.requests[0]


def test_a_request_is_kept_as_it_arrived(received):
    """Path and body are raw, and headers are found in any case."""
    assert (received.method, received.path, received.body) == ("POST", "/api/v2/accounts/list?a=%20b", b"{}")
    assert received.headers["x-processing-key"] == "public"
    assert received.at == 1767225600


def test_a_request_knows_where_it_belongs(received):
    """It has provider and account, and its route is the path without the query."""
    assert (received.provider, received.account) == ("cryptoprocessing", "shop")
    assert received.route == "/api/v2/accounts/list"


def test_a_request_has_its_outcome(received):
    """It has the status of the response, and no error or fault if there was none."""
    assert (received.status, received.error, received.fault) == (200, None, None)


def test_the_repr_shows_no_credentials(received):
    """Headers and body stay out of logs and test reports."""
    assert "public" not in repr(received)
    assert "{}" not in repr(received)


def test_a_request_cannot_be_changed(received):
    """Neither its fields nor its headers can be assigned."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        received.status = 500
    with pytest.raises(TypeError):
        received.headers["X-Processing-Key"] = "other"


async def test_requests_are_in_order(sandbox, send):
    """The log is in order of arrival, with requests of no account and of no API."""
    for path in ("/b", "/api/v2/ping", "/account.balance.getMany"):
        await send("POST", sandbox.address + path)

    seen = [(request.provider, request.account, request.status) for request in sandbox.requests]
    assert seen == [(None, None, 404), ("cryptoprocessing", None, 405), ("getmany", None, 401)]


async def test_a_fault_is_in_the_log(sandbox, send):
    """A request has the fault that it met, and the status and error of that."""
    fault = Fault(status=403)
    sandbox.fail(None, fault)

    await send("POST", f"{sandbox.address}/api/v2/accounts/list")

    request = sandbox.requests[0]
    assert (request.fault, request.status, request.error) == (fault, 403, "bad_header_signature")


async def test_a_request_is_in_the_log_before_its_response(sandbox, send, until):
    """A request that waits has no status."""
    sandbox.fail(None, Fault(hang=True))
    waiting = asyncio.create_task(send("GET", f"{sandbox.address}/api/v2/ping"))

    await until(lambda: sandbox.requests)
    waiting.cancel()

    assert sandbox.requests[0].status is None


async def test_the_log_can_be_cleared(sandbox, send):
    """Only later requests are in it then."""
    await send("GET", f"{sandbox.address}/api/v2/ping")

    sandbox.clear_requests()
    await send("GET", f"{sandbox.address}/other")

    assert [request.path for request in sandbox.requests] == ["/other"]


def test_a_response_to_a_removed_request_is_dropped(received):
    """A request whose response is built after the log was cleared does not come back."""
    log = RequestLog()
    number = log.add(received)

    log.clear()
    log.complete(number, SandboxResponse.of_status(404))

    assert log.entries == ()


def test_the_log_keeps_the_latest(received):
    """A sandbox that runs for days does not fill the memory."""
    log = RequestLog()

    for at in range(10_002):
        log.add(attrs.evolve(received, at=at))

    assert [entry.at for entry in log.entries] == list(range(2, 10_002))
