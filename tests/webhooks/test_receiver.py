"""The receivers in their frameworks, on real sockets."""

import functools
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancekit import ConfigError, WebhookEvent, blocking
from balancekit.sandbox import Holding
from balancekit.sandbox.cryptoprocessing_webhooks import sign_body, write_callback
from balancekit.sandbox.getmany_webhooks import write_webhook
from balancekit.sandbox.webhooks import CryptoprocessingTamper, Event, GetManyTamper
from balancekit.webhooks import WebhookApp, webhook_routes
from balancekit.webhooks.receiver import Receiver
from tests.support.logs import broken_handler
from tests.webhooks.conftest import NOW

FRAMEWORKS = ["aiohttp", "starlette", "fastapi"]
CALLBACK = b'{"id":7,"type":"deposit","status":"confirmed"}'
EVENT = WebhookEvent("shop", "cryptoprocessing", "7/deposit/confirmed", "deposit", "confirmed", settled=True)

pytestmark = pytest.mark.parametrize("framework", FRAMEWORKS)


def signed(body=CALLBACK):
    """Return the headers of a callback with this body."""
    signature = sign_body("AbCdEfG123456", body).encode()
    return [(b"X-Processing-Key", b"key-0123"), (b"X-Processing-Signature", signature)]


def delivery_of_the_sandbox(label, tamper=None):
    """Return the headers and the body of a delivery that the sandbox makes for an account."""
    event = Event(number=7, event_id="msg_2b", status="COMPLETED", moved=Holding("BTC", "1"))
    if label == "shop":
        message = write_callback(event, key="key-0123", secret="AbCdEfG123456", tamper=tamper)
    else:
        key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        message = write_webhook(event, {}, now=NOW, key=key, tamper=tamper)
    return [(name.encode(), value.encode()) for name, value in message.headers.items()], message.body


TAMPERED = [("shop", tamper) for tamper in get_args(CryptoprocessingTamper)]
TAMPERED += [("till", tamper) for tamper in get_args(GetManyTamper)]


def status_of(response):
    """Return the status of a whole response, of which the body must be empty."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert body == b""
    return int(head.split()[1])


@pytest.fixture
def log_lines(caplog):
    """Return the lines that were logged, without their level and without how many were left out in earlier tests."""
    return lambda: [
        record.getMessage().partition(" (and ")[0] for record in caplog.records if record.name == "balancekit.webhooks"
    ]


def test_a_valid_delivery_gets_an_empty_response(servers, framework, log_lines):
    """204, and the client has the event."""
    response = servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK)

    assert status_of(response) == 204
    assert b"content-length" not in response.lower()
    assert servers.inbox.events == [EVENT]
    assert log_lines() == []


@pytest.mark.parametrize("label", ["shop", "till"])
def test_a_delivery_of_the_sandbox_is_accepted(servers, framework, label):
    """Untouched, both schemes pass: what is refused below is refused for the tamper."""
    response = servers.exchange(framework, f"/webhooks/{label}", *delivery_of_the_sandbox(label))

    assert status_of(response) == 204
    assert [event.account for event in servers.inbox.events] == [label]


@pytest.mark.parametrize(("label", "tamper"), TAMPERED, ids=[f"{label}-{tamper}" for label, tamper in TAMPERED])
def test_a_tampered_delivery_gets_the_response_to_an_empty_request(servers, framework, log_lines, label, tamper):
    """The sender learns nothing of the reason; it is in the log, and nothing of the delivery is."""
    headers, body = delivery_of_the_sandbox(label, tamper)

    response = servers.exchange(framework, f"/webhooks/{label}", headers, body)

    assert response == servers.exchange(framework, f"/webhooks/{label}")
    assert status_of(response) == 400
    assert servers.inbox.events == []
    assert log_lines()[0].startswith(f"rejected a webhook for {label}: ")
    assert not any(value.decode() in log_lines()[0] for name, value in headers if name != b"Content-Type")


def test_a_duplicate_gets_the_same_response_as_the_first(servers, framework):
    """Otherwise the provider would deliver it again and again."""
    responses = {servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK) for _ in range(3)}

    assert len(responses) == 1
    assert servers.inbox.events == [EVENT] * 3


def test_a_chunked_body_is_read(servers, framework):
    """A sender need not know the length in advance."""
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (CALLBACK[:5], len(CALLBACK) - 5, CALLBACK[5:])
    headers = [*signed(), (b"Transfer-Encoding", b"chunked")]

    response = servers.exchange(framework, "/webhooks/shop", headers, chunks, framed=False)

    assert status_of(response) == 204
    assert servers.inbox.events == [EVENT]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_accepted(servers, framework, method):
    """A request by another method is not a delivery, even with a valid signature."""
    response = servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK, method=method)

    assert status_of(response) == 405
    assert b"allow: post" in response.lower()
    assert servers.inbox.labels == []


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/webhooks/shop%20eu", "shop eu"), ("/webhooks/a%2Fb", "a/b"), ("/webhooks/%C3%A9", "\u00e9"),
        ("/webhooks/100%25", "100%"), ("/webhooks/%252F", "%2F"), ("/webhooks/shop?till", "shop"),
        ("/webhooks/shop?x=/till", "shop"), ("/webhooks/webhooks", "webhooks"), ("/fixed", "shop"),
    ],
)  # fmt: skip
def test_the_path_names_the_account(servers, framework, path, label):
    """The label is decoded once, and the query is no part of it."""
    if path == "/fixed" and framework != "aiohttp":
        path = "/fixed/whatever"

    servers.exchange(framework, path, signed(), CALLBACK)

    assert servers.inbox.labels == [label]


@pytest.mark.parametrize(
    ("path", "headers", "body", "reason"),
    [
        ("/webhooks/none", signed(), CALLBACK, "no account has the label none"),
        ("/webhooks/shop", (), CALLBACK, "X-Processing-Key: missing"),
        ("/webhooks/shop", (), b"", "X-Processing-Key: missing"),
        ("/narrow/shop", signed(CALLBACK * 3), CALLBACK * 3, "the body is larger than 100 bytes"),
        ("/webhooks/shop", [*signed(), (b"Content-Encoding", b"gzip")], CALLBACK, "the body is encoded"),
    ],
    ids=["no account", "unsigned", "empty", "too large", "encoded"],
)
def test_every_invalid_delivery_gets_the_same_response(servers, framework, log_lines, path, headers, body, reason):
    """The sender cannot tell one reason from another; the log can."""
    response = servers.exchange(framework, path, headers, body)

    assert response == servers.exchange(framework, "/webhooks/shop")
    assert status_of(response) == 400
    assert log_lines()[0] == f"rejected a webhook for {path.rpartition('/')[2]}: {reason}"


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(servers, framework, log_lines):
    """The response comes although nothing of the body does."""
    headers = [*signed(), (b"Content-Length", b"9" * 15)]

    response = servers.exchange(framework, "/webhooks/shop", headers, framed=False)

    assert status_of(response) == 400
    assert log_lines() == ["rejected a webhook for shop: the body is larger than 262144 bytes"]


def test_a_body_without_a_length_is_read_up_to_the_limit(servers, framework, log_lines):
    """The response comes although the last chunk never does."""
    headers = [*signed(), (b"Transfer-Encoding", b"chunked")]
    chunk = b"65\r\n" + b"x" * 101 + b"\r\n"

    response = servers.exchange(framework, "/narrow/shop", headers, chunk, framed=False)

    assert status_of(response) == 400
    assert log_lines() == ["rejected a webhook for shop: the body is larger than 100 bytes"]


def test_a_body_that_does_not_arrive_ends_at_the_timeout(servers, framework, log_lines):
    """Then the delivery is refused like any other invalid one."""
    headers = [*signed(), (b"Content-Length", b"46")]

    response = servers.exchange(framework, "/narrow/shop", headers, CALLBACK[:40], framed=False)

    assert status_of(response) == 400
    assert log_lines() == ["rejected a webhook for shop: the body took longer than 0.25 s"]


def test_a_sender_that_disconnects_affects_no_other(servers, framework):
    """The part of its delivery that arrived is dropped, and the next delivery is accepted."""
    headers = [*signed(), (b"Content-Length", b"46")]

    servers.exchange(framework, "/webhooks/shop", headers, CALLBACK[:40], framed=False, cut=True)

    assert servers.inbox.labels == []
    assert status_of(servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK)) == 204


def test_an_error_of_the_client_is_described_in_the_log_only(servers, framework, caplog):
    """500, so that the provider delivers again; neither the message of the error nor its frames are logged."""
    response = servers.exchange(framework, "/webhooks/broken", signed(), CALLBACK)

    (record,) = [record for record in caplog.records if record.name == "balancekit.webhooks"]
    assert status_of(response) == 500
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("RuntimeError while handling a webhook for broken at ")
    assert record.exc_info is None
    assert "canary" not in caplog.text


async def test_an_error_whose_frames_cannot_be_read_gets_its_response(framework):
    """Its class is the handler's own, as is what is under any name."""

    class OwnError(Exception):
        @property
        def __traceback__(self):
            raise OwnError

    class Inbox:
        async def handle_webhook(self, *_):
            raise OwnError

    async def body():
        yield b"{}"

    assert await Receiver(Inbox()).handle("POST", "shop", [], body()) == 500


def test_a_log_handler_that_raises_changes_no_response(servers, framework):
    """The sender is not who could mend it."""
    with broken_handler():
        response = servers.exchange(framework, "/webhooks/shop", [], CALLBACK)

    assert status_of(response) == 400


def test_untrusted_text_cannot_break_a_log_line(servers, framework, log_lines, caplog):
    """A label is cut, and what is not printable in it is escaped."""
    servers.exchange(framework, "/webhooks/a%0DERROR%1B%5B31m%E2%80%AE" + "x" * 1_000)

    (line,) = log_lines()
    assert line.startswith("rejected a webhook for a\\rERROR\\x1b[31m\\u202exxx")
    assert line.isprintable()
    assert len(line) < 600
    assert {record.levelname for record in caplog.records if record.name == "balancekit.webhooks"} == {"WARNING"}


@pytest.mark.parametrize(
    "setting",
    [
        {"max_body": 0}, {"max_body": 2**18 + 1}, {"max_body": True}, {"max_body": 1.5}, {"body_timeout": 0},
        {"body_timeout": float("inf")}, {"body_timeout": float("nan")}, {"body_timeout": "1"}, {"body_timeout": True},
        {"body_timeout": 10**400}, {"account": 5}, {"account": b"shop"}, {"account": ""}, {"client": None},
        {"client": 5},
    ],
    ids=repr,
)  # fmt: skip
def test_settings_that_cannot_work_are_a_config_error(inbox, framework, setting):
    """It is raised before anything is served."""
    make = webhook_routes if framework == "aiohttp" else WebhookApp

    with pytest.raises(ConfigError, match=rf"^{next(iter(setting))}: "):
        make(**{"client": inbox} | setting)


def test_a_client_without_an_event_loop_is_a_config_error(framework):
    """Its `handle_webhook` would hold the server up, if it did not fail: the error names the client to use."""
    make = webhook_routes if framework == "aiohttp" else WebhookApp

    with blocking.Client([]) as client, pytest.raises(ConfigError) as caught:
        make(client)

    expected = "client: expected an AggregateClient, got balancekit.blocking.Client, whose handle_webhook is not async"
    assert str(caught.value) == expected


def test_a_handler_that_is_wrapped_is_accepted(inbox, framework):
    """As tracing wraps it, for one."""
    make = webhook_routes if framework == "aiohttp" else WebhookApp

    class Traced:
        @functools.wraps(inbox.handle_webhook)
        def handle_webhook(self, *args):
            return inbox.handle_webhook(*args)

    assert make(Traced())
