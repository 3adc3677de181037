"""Stripe's webhooks: which deliveries are verified, and what the receivers of balancekit do with them."""

import asyncio
import hashlib
import hmac
import json
import re
import time

import httpx
import pytest
from aiohttp import ClientSession, web
from balancekit_stripe import StripeProvider

from balancekit import AggregateClient, WebhookVerificationError
from balancekit.webhooks import WebhookApp, WebhookProvider, webhook_routes

KEY = "rk_live_51Nx0123456789abcdef"
SECRET = "whsec_0123456789abcdef"
NOW = 1_767_225_600


def event(event_type="balance.available", **more):
    """Write an event as Stripe does."""
    fields = {"id": "evt_1Nx", "object": "event", "livemode": True, "type": event_type, "data": {"object": {}}}
    return json.dumps(fields | more).encode()


def sign(body, *, secret=SECRET, at=NOW):
    """Return the signature of a body at a time."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def headers(body, *, secret=SECRET, at=NOW):
    """Return the headers of a delivery."""
    return {"Stripe-Signature": f"t={at},v1={sign(body, secret=secret, at=at)},v0={'0' * 64}"}


@pytest.fixture
def shop():
    """Return a live account that takes webhooks."""
    return StripeProvider("shop", key=KEY, webhook_secret=SECRET)


def test_it_takes_webhooks(shop):
    """The receivers know it by the protocol."""
    assert isinstance(shop, WebhookProvider)


def test_a_delivery_is_verified_by_a_known_signature(shop):
    """Worked out by OpenSSL: `printf '1767225600.{…}' | openssl dgst -sha256 -hmac whsec_0123456789abcdef`."""
    body = b'{"id":"evt_1","type":"balance.available","livemode":true}'
    known = "a3a0c9ba5bba2be189e5b06ca66e079ed6432cb918ae02f4bda0b81ba87406c8"

    verified = shop.verify_webhook({"stripe-signature": f"t={NOW},v1={known}"}, body, now=NOW)

    assert (verified.account, verified.provider, verified.event_id) == ("shop", "stripe", "evt_1")
    assert (verified.event_type, verified.status, verified.settled) == ("balance.available", None, True)


@pytest.mark.parametrize(
    ("body", "settled"),
    [
        (event("balance.available"), True),
        (event("payout.paid"), True),
        (event("charge.refunded"), True),
        (event("customer.created"), False),
        (event("balance.available", livemode=False), False),
        (event("balance.available", livemode=None), False),
        (event("balance.available", account="acct_1"), False),
        (event(None), False),
    ],
    ids=["available", "payout", "refund", "no money", "test mode", "no mode", "connected account", "no type"],
)
def test_an_event_may_have_changed_the_balance_or_not(shop, body, settled):
    """Only those that move money of this account in this mode do; all others are accepted, so that Stripe stops."""
    assert shop.verify_webhook(headers(body), body, now=NOW).settled is settled


@pytest.mark.parametrize("late", [-300, 0, 300])
def test_a_delivery_is_accepted_within_its_tolerance(shop, late):
    """Five minutes, as often as it comes."""
    for _ in range(2):
        assert shop.verify_webhook(headers(event()), event(), now=NOW + late).settled


@pytest.mark.parametrize("late", [-301, 301, float("nan")])
def test_a_delivery_out_of_its_tolerance_is_rejected(shop, late):
    """A replay is of no use, whatever the clock says."""
    with pytest.raises(WebhookVerificationError, match="signed more than 300 s from now"):
        shop.verify_webhook(headers(event()), event(), now=NOW + late)


def test_both_secrets_are_accepted_while_one_takes_the_place_of_another():
    """On either side: several secrets here, several signatures there."""
    account = StripeProvider("shop", key=KEY, webhook_secret=["whsec_new", SECRET])
    both = {"Stripe-Signature": f"t={NOW},v1={sign(event(), secret='whsec_older')},v1={sign(event())}"}

    for given in (headers(event()), headers(event(), secret="whsec_new"), both):
        assert account.verify_webhook(given, event(), now=NOW).settled


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "Stripe-Signature: missing"),
        ({"Stripe-Signature": ""}, "expected one time"),
        ({"Stripe-Signature": f"v1={sign(event())}"}, "expected one time"),
        ({"Stripe-Signature": f"t={NOW},t={NOW},v1={sign(event())}"}, "expected one time"),
        ({"Stripe-Signature": f"t=+{NOW},v1={sign(event())}"}, "expected one time"),
        ({"Stripe-Signature": f"t={NOW}"}, "expected 1 to 16 signatures"),
        ({"Stripe-Signature": f"t={NOW},v0={sign(event())}"}, "expected 1 to 16 signatures"),
        ({"Stripe-Signature": f"t={NOW},v1={sign(event()).upper()}"}, "expected 1 to 16 signatures"),
        ({"Stripe-Signature": f"t={NOW}" + f",v1={sign(event())}" * 17}, "expected 1 to 16 signatures"),
        (headers(event(), secret="whsec_other"), "none is of this delivery"),
        (headers(event("payout.paid")), "none is of this delivery"),
        ({"Stripe-Signature": f"t={NOW + 1},v1={sign(event())}"}, "none is of this delivery"),
        ([*headers(event()).items(), *headers(event()).items()], "Stripe-Signature: repeated"),
    ],
)
def test_a_delivery_that_is_not_stripes_is_rejected(shop, given, problem):
    """The reason names the header, and neither a secret nor a valid signature."""
    with pytest.raises(WebhookVerificationError, match=re.escape(problem)) as caught:
        shop.verify_webhook(given, event(), now=NOW)

    assert SECRET not in str(caught.value)
    assert sign(event()) not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", event(id=None), event(id=7)])
def test_a_body_without_an_id_is_rejected(shop, body):
    """A signature alone does not make an event."""
    with pytest.raises(WebhookVerificationError):
        shop.verify_webhook(headers(body), body, now=NOW)


def test_an_account_without_a_secret_takes_no_webhooks():
    """The reason says what to set."""
    with pytest.raises(WebhookVerificationError, match="give StripeProvider the signing secret"):
        StripeProvider("shop", key=KEY).verify_webhook(headers(event()), event(), now=NOW)


class Api:
    """Stripe's API on loopback, with an amount that tests change."""

    def __init__(self):
        self.cents = 100

    async def balance(self, request):
        """Respond with the balance."""
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        held = [{"amount": self.cents, "currency": "usd"}]
        return web.json_response({"object": "balance", "available": held, "livemode": True, "pending": []})


async def serve(*routes):
    """Serve routes on loopback; return the runner, and the URL."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def deliver_to_asgi(client, body, given):
    """Deliver to the application for ASGI."""
    transport = httpx.ASGITransport(app=WebhookApp(client))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as sender:
        return (await sender.post("/webhooks/shop", content=body, headers=given)).status_code


async def deliver_to_aiohttp(client, body, given):
    """Deliver to the routes for aiohttp."""
    runner, url = await serve(*webhook_routes(client))
    try:
        async with ClientSession() as sender, sender.post(f"{url}/webhooks/shop", data=body, headers=given) as response:
            return response.status
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("deliver", [deliver_to_asgi, deliver_to_aiohttp])
def test_the_receivers_have_the_account_read_again(deliver):
    """A genuine delivery does, and a forged one changes nothing."""

    async def steps():
        api = Api()
        runner, url = await serve(web.get("/v1/balance", api.balance))
        account = StripeProvider("shop", key=KEY, webhook_secret=SECRET, base_url=url)
        read = []
        async with AggregateClient([account]) as client:
            read.append((await client.fetch(max_age=3600))["USD"].plain)
            api.cents = 250
            now = int(time.time())
            for secret in ("whsec_forged", SECRET):
                status = await deliver(client, event(), headers(event(), secret=secret, at=now))
                read += [status, (await client.fetch(max_age=3600))["USD"].plain]
        await runner.cleanup()
        return read

    assert asyncio.run(steps()) == ["1.00", 400, "1.00", 204, "2.50"]
