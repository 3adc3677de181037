"""The tracing of a lent session, over real connections on loopback."""

from types import SimpleNamespace

import aiohttp
import pytest
from multidict import CIMultiDict

from balancekit import Request
from balancekit.http.transport import send
from tests.support.loopback_origin import OK, headers_of
from tests.support.thread_server import ThreadServer

HOOKS = [name for name in dir(aiohttp.TraceConfig) if name.startswith("on_")]


@pytest.fixture
def server():
    """Start a server that keeps the requests."""
    requests = []

    def respond(request):
        requests.append(request)
        return OK

    with ThreadServer(respond) as server:
        server.requests = requests
        yield server


async def test_the_tracing_of_a_session_sees_its_requests(server):
    """Once, with the session, a context for each request and the same headers as without us."""
    tracing, seen = aiohttp.TraceConfig(), {}

    async def note(session, context, params):
        seen.setdefault(type(params).__name__, []).append((session, context, params))

    for name in HOOKS:
        getattr(tracing, name).append(note)
    async with aiohttp.ClientSession(trace_configs=[tracing]) as session:
        await send(session, Request("POST", server.url, {"X-Key": "key"}, b"{}"))

    assert set(seen) == {
        "TraceRequestStartParams",
        "TraceConnectionCreateStartParams",
        "TraceConnectionCreateEndParams",
        "TraceRequestHeadersSentParams",
        "TraceRequestChunkSentParams",
        "TraceRequestEndParams",
    }
    assert all(len(calls) == 1 for calls in seen.values())
    contexts = [context for calls in seen.values() for _, context, _ in calls]
    assert all(context is contexts[0] for context in contexts)
    assert isinstance(contexts[0], SimpleNamespace)
    traced, _, end = seen["TraceRequestEndParams"][0]
    assert traced is session
    assert (end.response.status, end.headers["X-Key"]) == (200, "key")


@pytest.mark.parametrize("name", HOOKS)
async def test_tracing_changes_no_request(server, name):
    """What it adds to the headers would reach the provider, and what it replaces may be signed or a credential."""
    tracing = aiohttp.TraceConfig()

    async def change(session, context, params):
        for headers in getattr(params, "headers", {}), session.headers:
            if isinstance(headers, CIMultiDict):
                headers.update({"X-Key": "other", "traceparent": "00-1-2-01"})

    getattr(tracing, name).append(change)
    async with aiohttp.ClientSession(trace_configs=[tracing]) as session:
        for _ in range(2):
            await send(session, Request("POST", server.url, {"X-Key": "key"}, b"{}"))

    assert [headers_of(request).getall("X-Key") for request in server.requests] == [["key"], ["key"]]
    assert not [request for request in server.requests if b"traceparent" in request]
