"""The ASGI application alone: what servers may send, in every form that the specification allows."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from balancekit.sandbox.cryptoprocessing_webhooks import sign_body
from balancekit.webhooks import WebhookApp
from balancekit.webhooks.asgi import account_label

START = {"type": "http.response.start", "status": 400, "headers": [(b"content-length", b"0")]}
END = {"type": "http.response.body", "body": b""}


def http(path="/shop", **more):
    """Make the scope of a request."""
    return {"type": "http", "method": "POST", "path": path, "headers": []} | more


@pytest.fixture
def serve(inbox):
    """Serve one connection with these messages, and return what was sent; then nothing comes any more."""

    async def serve(scope, *messages, send=None, **settings):
        pending, sent = list(messages), []

        async def receive():
            return pending.pop(0) if pending else await asyncio.get_running_loop().create_future()

        async def keep(message):
            sent.append(message)

        await WebhookApp(inbox, **settings)(scope, receive, send or keep)
        # What is logged is logged after the response.
        await asyncio.sleep(0)
        return sent

    return serve


@pytest.mark.parametrize(
    ("scope", "label"),
    [
        (http("/shop"), "shop"),
        (http("/webhooks/shop"), "shop"),
        (http("/webhooks/shop", root_path="/webhooks"), "shop"),
        (http("/shop", root_path="/webhooks"), "shop"),
        (http("/shop", root_path="/webhooks/"), "shop"),
        (http("/shop", root_path=None), "shop"),
        (http("/api/webhooks/shop", root_path="/api/webhooks", raw_path=b"/api/webhooks/shop"), "shop"),
        (http("/webhooks/a/b", root_path="/webhooks", raw_path=b"/webhooks/a%2Fb"), "a/b"),
        (http("/a b", raw_path=b"/a%20b?c"), "a b"),
        (http("/shop", raw_path=None), "shop"),
        (http("/shop", raw_path=b"/behind/a/proxy/that/rewrote/it"), "shop"),
        (http("/webhooks", root_path="/webhooks", raw_path=b"/webhooks"), ""),
        (http("/webhooks/", root_path="/webhooks", raw_path=b"/webhooks/"), ""),
        (http("/webhooks/shop/", root_path="/webhooks", raw_path=b"/webhooks/shop/"), "shop"),
        (http("/webhooks/shop/", raw_path=b"/webhooks/shop/?x=/y"), "shop"),
        (http("/shop/"), "shop"),
        (http("/a/", raw_path=b"/a%2F"), "a/"),
        (http("/a//", raw_path=b"/a%2F/"), "a/"),
        (http("/shop//"), ""),
        (http("/\ufffd", raw_path=b"/%ff"), ""),
        (http(""), ""),
        (http("/"), ""),
    ],
    ids=[
        "alone", "deep", "mounted", "older servers", "slash after the root", "no root", "two mounts",
        "slash in the label", "query in the raw path", "no raw path", "other raw path",
        "mount alone", "mount and slash", "slash at the end", "slash and query",
        "slash without a raw path", "slash of the label", "both slashes", "two slashes", "not utf-8", "empty", "root",
    ],
)  # fmt: skip
def test_the_label_is_the_last_segment_below_the_mount(scope, label):
    """The name of the mount itself is never taken for an account."""
    assert account_label(scope) == label


async def test_a_body_comes_in_messages(serve, inbox):
    """Both keys of a message are optional, and headers may be lists."""
    messages = [{"type": "http.request", "more_body": True}, {"type": "http.request", "body": b"{}"}]

    sent = await serve(http(headers=[[b"Content-Length", b"2"]]), *messages)

    assert sent == [START, END]
    assert inbox.labels == ["shop"]


@pytest.mark.parametrize("path", ["/webhooks/shop", "/webhooks/shop/", "/one", "/one/", "/route/shop"])
def test_a_body_that_a_middleware_has_read_is_verified(inbox, path):
    """The framework gives it again; a mount for one account takes every path below, and a route the mount itself."""
    app, body = FastAPI(), b'{"id":7}'
    app.mount("/webhooks", WebhookApp(inbox))
    app.add_route("/one", WebhookApp(inbox, account="shop"))
    app.mount("/one", WebhookApp(inbox, account="shop"))
    app.add_route("/route/{account}", WebhookApp(inbox))
    bodies = []

    @app.middleware("http")
    async def read_first(request, call_next):
        bodies.append(await request.body())
        return await call_next(request)

    async def main():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"X-Processing-Key": "key-0123", "X-Processing-Signature": sign_body("AbCdEfG123456", body)}
            return (await client.post(path, content=body, headers=headers)).status_code

    assert asyncio.run(main()) == 204
    assert bodies == [body]
    assert [event.account for event in inbox.events] == ["shop"]


async def test_a_sender_that_disconnects_gets_no_response(serve, inbox, caplog):
    """Half a body is not handed to the client."""
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    sent = await serve(http(), *messages)

    assert sent == []
    assert inbox.labels == []
    assert caplog.messages == ["rejected a webhook for shop: the body broke off: ConnectionResetError"]


async def test_a_server_that_cannot_respond_any_more_raises_nothing(serve):
    """It may raise OSError once the sender has disconnected."""
    calls = []

    async def send(message):
        calls.append(message)
        raise OSError

    await serve(http(), {"type": "http.request"}, send=send)

    assert calls == [START]


@pytest.mark.parametrize(
    "length", [b"101", b"-1", b"+1", b"1_0", b"", b"9" * 100_000], ids=lambda value: repr(value[:9])
)
async def test_a_content_length_that_is_malformed_or_too_large_is_refused_unread(serve, caplog, length):
    """No part of the body is received."""
    sent = await serve(http(headers=[(b"content-length", length)]), max_body=100)

    assert sent == [START, END]
    assert caplog.messages == ["rejected a webhook for shop: the body is larger than 100 bytes"]


def test_a_slow_body_ends_at_the_timeout(serve, run_virtually, caplog):
    """The whole body has ten seconds, unless the receiver is given another limit."""
    trickle = {"type": "http.request", "body": b"{", "more_body": True}

    sent = run_virtually(serve(http(), trickle, trickle))

    assert sent == [START, END]
    assert caplog.messages == ["rejected a webhook for shop: the body took longer than 10.0 s"]


async def test_a_cancelled_task_ends(serve):
    """A server that shuts down does not wait for it."""
    task = asyncio.ensure_future(serve(http()))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_lifespan_protocol_is_supported(serve):
    """Served alone, the application starts and stops as others do; its owner closes the client."""
    sent = await serve({"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})

    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize(
    ("message", "sent_events"),
    [("websocket.connect", [{"type": "websocket.close", "code": 1000}]), ("websocket.disconnect", [])],
)
async def test_a_websocket_is_never_accepted(serve, inbox, message, sent_events):
    """It is closed before it is open, so that the server responds 403."""
    sent = await serve({"type": "websocket", "path": "/shop"}, {"type": message})

    assert sent == sent_events
    assert inbox.labels == []


async def test_another_kind_of_connection_is_an_error(serve):
    """The specification wants an exception for an unknown type of scope."""
    with pytest.raises(ValueError, match="'telepathy'"):
        await serve({"type": "telepathy"})
