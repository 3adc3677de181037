"""A client behind a receiver, and what a stranger, an owner of two accounts or an error tracker can do to it."""

import asyncio
import contextvars
import json
import logging
import sys
from decimal import Decimal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, GetManyProvider, WebhookVerificationError
from balancekit.sandbox.cryptoprocessing_webhooks import sign_body
from balancekit.sandbox.getmany_webhooks import encode_public_key, sign_webhook
from balancekit.webhooks import WebhookApp, webhook_routes
from balancekit.webhooks.receiver import Receiver
from tests.support.providers import Scripted

NOW = 1_767_225_600
BODY = b'{"id":7,"type":"transaction.updated","status":"COMPLETED"}'
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def shop(label="shop", **settings):
    """Make an account whose callbacks are signed with a secret."""
    return CryptoprocessingProvider(label, **({"key": "key-0123", "secret": "AbCdEfG123456"} | settings))


def till(label="till", **settings):
    """Make an account whose webhooks are signed with a key; its clock stands still."""
    provider = GetManyProvider(label, webhook_key=encode_public_key(PRIVATE), **settings)
    provider.clock = lambda: float(NOW)
    return provider


def callback(key="key-0123"):
    """Sign the body as Cryptoprocessing does."""
    signature = sign_body("AbCdEfG123456", BODY)
    return [(b"X-Processing-Key", key.encode()), (b"X-Processing-Signature", signature.encode())]


def webhook():
    """Sign the body as getMany does."""
    signature = sign_webhook(PRIVATE, "msg_2b", str(NOW), BODY)
    return [(b"webhook-id", b"msg_2b"), (b"webhook-timestamp", b"%d" % NOW), (b"webhook-signature", signature.encode())]


async def chunks(body=BODY):
    """Give a body as a server does."""
    yield body


async def request(receiver, label, headers=(), body=BODY):
    """Hand one request to a receiver, and let it log what it logs after that."""
    status = await receiver.handle("POST", label, headers, chunks(body))
    await asyncio.sleep(0)
    return status


def test_rejections_are_logged_once_a_minute_for_each_account(run_virtually, caplog):
    """Those in between are counted; all that are for no account count together, whatever labels they have."""

    async def main():
        async with AggregateClient([shop(), till()]) as client:
            receiver = Receiver(client)
            for second in range(61):
                await request(receiver, "shop")
                for label in ("till", f"stranger-{second}"):
                    await request(receiver, label, callback())
                await asyncio.sleep(1)

    run_virtually(main())

    missing, unknown = "X-Processing-Key: missing", "no account of that label takes webhooks"
    assert caplog.messages == [
        f"rejected a webhook for shop: {missing}",
        "rejected a webhook for till: webhook-id: missing",
        f"rejected a webhook for stranger-0: {unknown}",
        f"rejected a webhook for shop: {missing} (and 59 more since the last such line)",
        "rejected a webhook for till: webhook-id: missing (and 59 more since the last such line)",
        f"rejected a webhook for stranger-60: {unknown} (and 59 more since the last such line)",
    ]


def test_failures_are_logged_once_a_minute(run_virtually, caplog):
    """Everybody can send to a client that is closed."""

    async def main():
        client = AggregateClient([shop()])
        await client.aclose()
        receiver = Receiver(client)
        return [await request(receiver, f"label-{n}") for n in range(100)]

    assert set(run_virtually(main())) == {500}
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("label", ["shop", "till", "stranger", "deaf", ""])
def test_a_delivery_for_an_unknown_account_takes_the_work_of_a_known_one(run_virtually, label):
    """The time of the response does not show which accounts there are, and no other account's signature counts."""
    tried = []

    class Counted(CryptoprocessingProvider):
        def verify_webhook(self, headers, body, *, now=None):
            tried.append(self.account)
            return super().verify_webhook(headers, body, now=now)

    async def main():
        known = Counted("known", key="key-0123", secret="AbCdEfG123456")
        async with AggregateClient([known]) as client:
            with pytest.raises(WebhookVerificationError, match=r"^no account of that label") as caught:
                await client.handle_webhook(label, callback(), BODY)
            return caught.value.account

    assert run_virtually(main()) is None
    assert tried == ["known"]


def test_an_unknown_account_is_always_like_the_same_known_one(run_virtually):
    """Otherwise the times of several requests would tell it from an account."""
    tried = []

    class Counted(CryptoprocessingProvider):
        def verify_webhook(self, headers, body, *, now=None):
            tried.append(self.account)
            return super().verify_webhook(headers, body, now=now)

    async def main():
        accounts = [Counted(f"shop-{n}", key=f"key-{n}", secret="AbCdEfG123456") for n in range(5)]
        async with AggregateClient(accounts) as client:
            for stranger in ("a", "b", "c", "d", "e", "f", "\udcff"):
                for _ in range(3):
                    with pytest.raises(WebhookVerificationError):
                        await client.handle_webhook(stranger, callback(), BODY)

    run_virtually(main())

    assert all(len(set(tried[n : n + 3])) == 1 for n in range(0, len(tried), 3))
    assert len(set(tried)) > 1


def test_an_unknown_account_is_like_one_that_was_not_removed(run_virtually):
    """Nor is any account left out that was added: what stands in is one of those that there are."""
    tried = set()

    class Counted(CryptoprocessingProvider):
        def verify_webhook(self, headers, body, *, now=None):
            tried.add(self.account)
            return super().verify_webhook(headers, body, now=now)

    async def main():
        accounts = [Counted(f"shop-{n}", key=f"key-{n}", secret="AbCdEfG123456") for n in range(3)]
        async with AggregateClient(accounts[:2]) as client:
            await client.remove("shop-0")
            await client.add(accounts[2])
            for n in range(50):
                with pytest.raises(WebhookVerificationError):
                    await client.handle_webhook(f"stranger-{n}", callback(), BODY)

    run_virtually(main())

    assert tried == {"shop-1", "shop-2"}


def test_an_account_without_webhooks_is_like_an_unknown_one(run_virtually):
    """A client without any that takes webhooks, or without accounts, rejects every delivery."""

    async def main(*providers):
        async with AggregateClient(providers) as client:
            for label in ("deaf", "stranger"):
                with pytest.raises(WebhookVerificationError, match=r"^no account of that label"):
                    await client.handle_webhook(label, callback(), BODY)

    run_virtually(main(Scripted("deaf")))
    run_virtually(main())


REQUEST = contextvars.ContextVar("REQUEST", default="no request")


class Tracker(logging.Handler):
    """Collects what an error tracker does with a log line: the context, and the local variables of all frames."""

    def __init__(self):
        super().__init__()
        self.collected = []

    def emit(self, record):
        """Keep all of it, but the frames of tests and of Python itself."""
        frame, shown = sys._getframe(), ""
        while frame is not None:
            if "/balancekit/" in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename:
                shown += repr(frame.f_locals)
            frame = frame.f_back
        error = sys.exception()
        self.collected.append(f"{vars(record)} {REQUEST.get()} {error!r} {shown}")


class Failing:
    """A client that fails."""

    async def handle_webhook(self, account, headers, body):
        """Fail."""
        raise RuntimeError(repr(headers))


class Rejecting:
    """A client that rejects every delivery."""

    async def handle_webhook(self, account, headers, body):
        """Reject."""
        raise WebhookVerificationError("forged")


async def deliver_by_asgi(client, on_response=lambda: None):
    """Deliver a callback to the ASGI receiver."""
    scope = {"type": "http", "method": "POST", "path": "/shop", "headers": callback()}

    async def receive():
        return {"type": "http.request", "body": BODY}

    async def send(_):
        on_response()

    REQUEST.set("the request: AbCdEfG123456")
    await WebhookApp(client)(scope, receive, send)
    await asyncio.sleep(0)


async def deliver_by_aiohttp(client, on_response=lambda: None):
    """Deliver a callback to the receiver of aiohttp."""

    @web.middleware
    async def keep(request, handler):
        REQUEST.set("the request: AbCdEfG123456")
        return await handler(request)

    app = web.Application(middlewares=[keep])

    async def keep_response(*_):
        on_response()

    app.add_routes(webhook_routes(client))
    app.on_response_prepare.append(keep_response)
    async with TestClient(TestServer(app)) as http:
        headers = {name.decode(): value.decode() for name, value in callback()}
        await http.post("/webhooks/shop", data=BODY, headers=headers)


@pytest.mark.parametrize("client", [Failing(), Rejecting()], ids=["failing", "rejecting"])
@pytest.mark.parametrize("deliver", [deliver_by_asgi, deliver_by_aiohttp], ids=["asgi", "aiohttp"])
async def test_an_error_tracker_gets_no_header_with_a_log_line(deliver, client):
    """Neither in the line, nor in the frames, nor by the context in which trackers keep the request."""
    tracker, logger = Tracker(), logging.getLogger("balancekit.webhooks")

    logger.addHandler(tracker)
    try:
        await deliver(client)
    finally:
        logger.removeHandler(tracker)

    (collected,) = tracker.collected
    secrets = ["key-0123", sign_body("AbCdEfG123456", BODY), "AbCdEfG123456", "COMPLETED"]
    assert not any(secret in collected for secret in secrets)


@pytest.mark.parametrize("client", [Failing(), Rejecting()], ids=["failing", "rejecting"])
@pytest.mark.parametrize("deliver", [deliver_by_asgi, deliver_by_aiohttp], ids=["asgi", "aiohttp"])
async def test_the_response_does_not_wait_for_the_log(deliver, client):
    """Lines are for accounts, and fewer for all other labels together: the time of one would show which is which."""
    tracker, logger = Tracker(), logging.getLogger("balancekit.webhooks")
    lines_before_response = []

    logger.addHandler(tracker)
    try:
        await deliver(client, lambda: lines_before_response.append(len(tracker.collected)))
    finally:
        logger.removeHandler(tracker)

    assert set(lines_before_response) == {0}
    assert len(tracker.collected) == 1


@pytest.mark.parametrize("raised", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("is_mounted", [False, True], ids=["receiver", "asgi"])
def test_what_leaves_the_receiver_shows_no_header(everything_shown_by, raised, is_mounted):
    """It ends the program or the task, and error trackers collect its frames."""

    class Ending:
        async def handle_webhook(self, account, headers, body):
            raise raised

    async def main():
        scope = {"type": "http", "method": "POST", "path": "/shop", "headers": callback()}

        async def receive():
            return {"type": "http.request", "body": BODY}

        if is_mounted:
            handling = WebhookApp(Ending())(scope, receive, None)
        else:
            handling = Receiver(Ending()).handle("POST", "shop", scope["headers"], chunks())
        with pytest.raises(raised) as caught:
            await handling
        return everything_shown_by(caught.value)

    shown = asyncio.run(main())
    assert "key-0123" not in shown
    assert "COMPLETED" not in shown


def test_one_secret_for_two_keys_is_told_apart_by_the_key(run_virtually):
    """Each delivery is that of the account whose key it has."""

    async def main():
        async with AggregateClient([shop("one"), shop("two", key="key-0124")]) as client:
            for label, key, other in (("one", "key-0123", "key-0124"), ("two", "key-0124", "key-0123")):
                assert (await client.handle_webhook(label, callback(key), BODY)).account == label
                with pytest.raises(WebhookVerificationError, match="not the account's key"):
                    await client.handle_webhook(label, callback(other), BODY)

    run_virtually(main())


@pytest.mark.parametrize("between", ["cancelled", "not_confirmed"])
def test_a_transaction_that_goes_back_and_forth_is_looked_up_each_time(run_virtually, between):
    """Cryptoprocessing confirms it the second time by the same bytes: only what came between tells them apart."""
    held = Decimal(10)

    class Held(CryptoprocessingProvider):
        async def fetch_balances(self, session):
            return [self.balance("BTC", held)]

    async def main():
        nonlocal held
        async with AggregateClient([Held("shop", key="key-0123", secret="AbCdEfG123456")], settle_delay=0) as client:
            shown = []
            for status, amount in (("confirmed", 9), (between, 10), ("confirmed", 8), ("confirmed", 7)):
                held = Decimal(amount)
                body = json.dumps({"id": 7, "status": status}).encode()
                headers = {"X-Processing-Key": "key-0123", "X-Processing-Signature": sign_body("AbCdEfG123456", body)}
                await client.handle_webhook("shop", headers, body)
                shown.append((await client.fetch(max_age=3600)).amount("BTC"))
            return shown

    assert run_virtually(main()) == [9, 10 if between == "cancelled" else 9, 8, 8]


def test_one_webhook_key_for_two_accounts_costs_one_read_more(run_virtually):
    """A delivery for one that is sent to the other as well makes that one be read again, once, and no more."""
    reads = []

    class Counted(GetManyProvider):
        async def fetch_balances(self, session):
            reads.append(self.account)
            return []

    async def main():
        key = encode_public_key(PRIVATE)
        accounts = [Counted(name, webhook_key=key, base_url=f"https://{name}.test") for name in ("one", "two")]
        for account in accounts:
            account.clock = lambda: float(NOW)
        async with AggregateClient(accounts) as client:
            await client.fetch(max_age=60)
            for label in ("one", "two", "two", "two"):
                await client.handle_webhook(label, webhook(), BODY)
                await client.fetch(max_age=60)

    run_virtually(main())

    assert reads == ["one", "two", "one", "two"]


def test_one_key_and_secret_for_two_accounts_is_refused():
    """They would be one account, counted twice, and each delivery would be for both."""
    with pytest.raises(ConfigError, match="'two' would be counted twice"):
        AggregateClient([shop("one"), shop("two")])
