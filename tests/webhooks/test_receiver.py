"""The receivers in their frameworks, on real sockets."""

import hashlib
import hmac

import pytest
from aiohttp import web

from balancekit import ConfigError, WebhookEvent
from balancekit.webhooks import WebhookApp, webhook_routes

FRAMEWORKS = ["aiohttp", "starlette", "fastapi"]
CALLBACK = b'{"id":7,"type":"deposit","status":"confirmed"}'
EVENT = WebhookEvent("shop", "cryptoprocessing", "7/deposit/confirmed", "deposit", "confirmed", settled=True)

pytestmark = pytest.mark.parametrize("framework", FRAMEWORKS)


def signed(body=CALLBACK):
    """Sign as Cryptoprocessing does."""
    signature = hmac.new(b"AbCdEfG123456", body, hashlib.sha512).hexdigest().encode()
    return [(b"X-Processing-Key", b"key-0123"), (b"X-Processing-Signature", signature)]


def status_of(answer):
    """Return the status of a whole answer, of which the body must be empty."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b""
    return int(head.split()[1])


@pytest.fixture
def refusals(caplog):
    """Return the lines that were logged, without their level."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "balancekit.webhooks"]


def test_a_verified_delivery_is_answered_with_nothing(servers, framework, refusals):
    """204, and the client has the event."""
    answer = servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK)

    assert status_of(answer) == 204
    assert b"content-length" not in answer.lower()
    assert servers.inbox.events == [EVENT]
    assert refusals() == []


def test_getmanys_webhooks_arrive_too(servers, framework):
    """With the headers of the vector as they are."""
    body = b'{"type":"transaction.updated","data":{"id":"tx_1","status":"COMPLETED"}}'
    signature = b"v1a,bQt6wiYN5iRcg17aI0f4X8zkn9HqbHwLpmBir9+2S/+i18utQTYSi6rXKrE157fCi9KF5qxDwOJ4F4nB6poQBw=="
    headers = [(b"webhook-id", b"msg_2b"), (b"webhook-timestamp", b"1767225600"), (b"webhook-signature", signature)]

    answer = servers.exchange(framework, "/webhooks/till", headers, body)

    assert status_of(answer) == 204
    assert [event.event_id for event in servers.inbox.events] == ["msg_2b"]


def test_a_duplicate_is_answered_like_the_first(servers, framework):
    """Otherwise the provider would deliver it again and again."""
    answers = {servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK) for _ in range(3)}

    assert len(answers) == 1
    assert servers.inbox.events == [EVENT] * 3


def test_a_body_in_pieces_is_a_body(servers, framework):
    """A sender need not know the length before."""
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (CALLBACK[:5], len(CALLBACK) - 5, CALLBACK[5:])
    headers = [*signed(), (b"Transfer-Encoding", b"chunked")]

    answer = servers.exchange(framework, "/webhooks/shop", headers, chunks, framed=False)

    assert status_of(answer) == 204
    assert servers.inbox.events == [EVENT]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_taken(servers, framework, method):
    """A delivery by another method is none, however well it is signed."""
    answer = servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK, method=method)

    assert status_of(answer) == 405
    assert b"allow: post" in answer.lower()
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
    """Decoded, once; what follows a question mark is no part of it."""
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
def test_every_refusal_is_one_answer(servers, framework, refusals, path, headers, body, reason):
    """Whoever guesses learns nothing; the owner of the log does."""
    answer = servers.exchange(framework, path, headers, body)

    assert answer == servers.exchange(framework, "/webhooks/shop")
    assert status_of(answer) == 400
    assert refusals()[0] == f"refused a webhook for {path.rpartition('/')[2]}: {reason}"


def test_a_length_beyond_the_bound_is_refused_before_anything_is_read(servers, framework, refusals):
    """The answer comes although nothing of the body does."""
    headers = [*signed(), (b"Content-Length", b"9" * 15)]

    answer = servers.exchange(framework, "/webhooks/shop", headers, framed=False)

    assert status_of(answer) == 400
    assert refusals() == ["refused a webhook for shop: the body is larger than 262144 bytes"]


def test_a_body_without_a_length_is_read_up_to_the_bound(servers, framework, refusals):
    """The answer comes although the last chunk never does."""
    headers = [*signed(), (b"Transfer-Encoding", b"chunked")]
    chunk = b"65\r\n" + b"x" * 101 + b"\r\n"

    answer = servers.exchange(framework, "/narrow/shop", headers, chunk, framed=False)

    assert status_of(answer) == 400
    assert refusals() == ["refused a webhook for shop: the body is larger than 100 bytes"]


def test_a_body_that_does_not_come_is_not_waited_for(servers, framework, refusals):
    """After the timeout it is refused like everything else."""
    headers = [*signed(), (b"Content-Length", b"46")]

    answer = servers.exchange(framework, "/narrow/shop", headers, CALLBACK[:40], framed=False)

    assert status_of(answer) == 400
    assert refusals() == ["refused a webhook for shop: the body took longer than 0.05 s"]


def test_a_sender_that_leaves_harms_nobody(servers, framework):
    """Whatever is left of its delivery is dropped, and the next one is answered."""
    headers = [*signed(), (b"Content-Length", b"46")]

    servers.exchange(framework, "/webhooks/shop", headers, CALLBACK[:40], framed=False, cut=True)

    assert servers.inbox.labels == []
    assert status_of(servers.exchange(framework, "/webhooks/shop", signed(), CALLBACK)) == 204


def test_a_client_that_fails_is_told_in_the_log_only(servers, framework, caplog):
    """500, so that the provider delivers again; neither the error's words nor its frames are told."""
    answer = servers.exchange(framework, "/webhooks/broken", signed(), CALLBACK)

    (record,) = [record for record in caplog.records if record.name == "balancekit.webhooks"]
    assert status_of(answer) == 500
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("RuntimeError while handling a webhook for broken at ")
    assert record.exc_info is None
    assert "canary" not in caplog.text


def test_what_outsiders_write_is_shown_safely(servers, framework, refusals, caplog):
    """A label is cut, and what is not printable in it is escaped; no line is forged, no terminal is moved."""
    servers.exchange(framework, "/webhooks/a%0DERROR%1B%5B31m%E2%80%AE" + "x" * 1_000)

    (line,) = refusals()
    assert line.startswith("refused a webhook for a\\rERROR\\x1b[31m\\u202exxx")
    assert line.isprintable()
    assert len(line) < 600
    assert {record.levelname for record in caplog.records if record.name == "balancekit.webhooks"} == {"WARNING"}


@pytest.mark.parametrize(
    "setting",
    [
        {"max_body": 0}, {"max_body": 2**18 + 1}, {"max_body": True}, {"max_body": 1.5}, {"body_timeout": 0},
        {"body_timeout": float("inf")}, {"body_timeout": float("nan")}, {"body_timeout": "1"}, {"body_timeout": True},
    ],
    ids=repr,
)  # fmt: skip
def test_bounds_that_cannot_work_are_refused(inbox, framework, setting):
    """Before anything is served."""
    make = webhook_routes if framework == "aiohttp" else WebhookApp

    with pytest.raises(ConfigError, match=rf"^{next(iter(setting))}: expected"):
        make(inbox, **setting)


def test_a_path_without_an_account_is_refused(inbox, framework):
    """Unless the account is given; an ASGI application is mounted at whatever path."""
    if framework == "aiohttp":
        with pytest.raises(ConfigError, match=r"^path: expected \{account\} in it"):
            webhook_routes(inbox, "/hook")
        (route,) = webhook_routes(inbox, "/hook", account="shop")
        assert isinstance(route, web.RouteDef)
    else:
        assert callable(WebhookApp(inbox, account="shop"))
