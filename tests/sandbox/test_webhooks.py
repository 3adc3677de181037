"""Webhooks of both providers, genuine and tampered with, as the adapters verify them."""

import json
from typing import get_args

import pytest

from balancekit import CryptoprocessingProvider, GetManyProvider, WebhookVerificationError
from balancekit.sandbox import Tamper

NOW = 1767225600
ADAPTERS = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}
OTHER_CALLBACK = "X-Processing-Signature: not that of this body"
OTHER_WEBHOOK = "webhook-signature: none is of this delivery"
# Why a receiver rejects each: everything else about the delivery is valid.
REASONS = {
    "cryptoprocessing": {
        "body-changed": OTHER_CALLBACK,
        "body-truncated": OTHER_CALLBACK,
        "not-json": "the body is not JSON",
        "signature-missing": "X-Processing-Signature: missing",
        "signature-malformed": "X-Processing-Signature: not 128 lower-case hexadecimal digits",
        "signature-repeated": "X-Processing-Signature: repeated",
        "wrong-key": OTHER_CALLBACK,
        "key-missing": "X-Processing-Key: missing",
        "key-changed": "X-Processing-Key: not the account's key",
    },
    "getmany": {
        "body-changed": OTHER_WEBHOOK,
        "body-truncated": OTHER_WEBHOOK,
        "not-json": "the body is not JSON",
        "signature-missing": "webhook-signature: missing",
        "signature-malformed": "webhook-signature: not standard base64",
        "signature-repeated": "webhook-signature: repeated",
        "wrong-key": OTHER_WEBHOOK,
        "id-missing": "webhook-id: missing",
        "id-changed": OTHER_WEBHOOK,
        "timestamp-missing": "webhook-timestamp: missing",
        "timestamp-changed": OTHER_WEBHOOK,
        "timestamp-old": "webhook-timestamp: more than 300 s old",
        "timestamp-future": "webhook-timestamp: more than 5 s ahead",
    },
}


@pytest.fixture
def verify(receiver):
    """Verify the last delivery with the account's adapter, at a moment in Unix seconds."""

    def verify(account, now=NOW):
        _, headers, body = receiver.received[-1]
        adapter = ADAPTERS[account.provider](account.label, **account.settings)
        return adapter.verify_webhook(headers, body, now=now)

    return verify


@pytest.mark.parametrize(("method", "settled"), [("settle", True), ("announce", False)])
@pytest.mark.parametrize("provider", ADAPTERS)
async def test_a_webhook_is_genuine(sandbox, add, verify, provider, method, settled):
    """The adapter accepts it; balances may have changed after a settlement, and not after an announcement."""
    account = add(provider)

    delivery = await getattr(sandbox, method)(account, "BTC", "1")

    event = verify(account)
    assert (event.account, event.status, event.settled) == ("shop", delivery.status, settled)


@pytest.mark.parametrize("provider", ADAPTERS)
async def test_every_tamper_is_tested(add, provider):
    """The table of reasons has each tamper that fits the provider, and no other."""
    assert add(provider).tampers == REASONS[provider].keys() <= set(get_args(Tamper))


@pytest.mark.parametrize(
    ("provider", "tamper", "reason"),
    [(provider, *row) for provider, reasons in REASONS.items() for row in reasons.items()],
)
async def test_a_tampered_webhook_is_wrong_in_one_way(sandbox, add, verify, provider, tamper, reason):
    """The adapter rejects it for its own reason."""
    account = add(provider)

    delivery = await sandbox.settle(account, "BTC", "1", tamper=tamper)

    with pytest.raises(WebhookVerificationError, match=reason):
        verify(account)
    assert delivery.tamper == tamper


@pytest.mark.parametrize(("tamper", "now"), [("timestamp-old", NOW - 600), ("timestamp-future", NOW + 600)])
async def test_a_timestamp_that_is_off_is_signed(sandbox, add, verify, tamper, now):
    """A receiver whose clock is off by as much accepts it."""
    account = add("getmany")

    await sandbox.settle(account, "BTC", "1", tamper=tamper)

    assert verify(account, now).settled


@pytest.mark.parametrize(
    ("provider", "tamper"),
    [("cryptoprocessing", "timestamp-old"), ("getmany", "key-missing"), ("getmany", "no-such-thing")],
    ids=["no-time", "no-key", "unknown"],
)
async def test_a_tamper_must_fit_the_provider(sandbox, add, provider, tamper):
    """The error lists those that fit, and nothing is changed."""
    account = add(provider)

    with pytest.raises(ValueError, match=f"tamper must be one of body-changed, .*, not '{tamper}'"):
        await sandbox.settle(account, "BTC", "1", tamper=tamper)

    assert (account.holdings, sandbox.deliveries) == ((), ())


@pytest.mark.parametrize(("settled", "held"), [(True, "1.25"), (False, "1")])
@pytest.mark.parametrize("provider", ADAPTERS)
async def test_a_webhook_can_be_written_without_being_sent(sandbox, provider, settled, held):
    """It is genuine, the account holds what was settled, and nothing is delivered."""
    account = getattr(sandbox, f"add_{provider}")("shop", {"BTC": "1"})

    webhook = sandbox.write_webhook("shop", "BTC", "0.25", settled=settled)

    adapter = ADAPTERS[provider](account.label, **account.settings)
    assert adapter.verify_webhook(webhook.headers, webhook.body, now=NOW).settled is settled
    assert (account.holdings[0].plain, sandbox.deliveries) == (held, ())
    assert webhook.body.decode() not in repr(webhook)


@pytest.mark.parametrize(("provider", "tamper"), [("cryptoprocessing", "wrong-key"), ("getmany", "timestamp-old")])
async def test_a_webhook_that_is_written_may_be_forged(sandbox, provider, tamper):
    """In the ways in which one that is sent may be."""
    account = getattr(sandbox, f"add_{provider}")("shop", {"BTC": "1"})
    adapter = ADAPTERS[provider](account.label, **account.settings)

    webhook = sandbox.write_webhook(account, "BTC", "0.25", tamper=tamper)

    with pytest.raises(WebhookVerificationError, match=REASONS[provider][tamper]):
        adapter.verify_webhook(webhook.headers, webhook.body, now=NOW)


async def test_a_transaction_that_was_written_may_be_settled_later(sandbox):
    """Both events have the number of the transaction."""
    sandbox.add_cryptoprocessing("shop", {"BTC": "1"})

    pending, settled = (
        sandbox.write_webhook("shop", "BTC", "1", settled=settled, transaction=7) for settled in (False, True)
    )

    assert [json.loads(each.body)["id"] for each in (pending, settled)] == [7, 7]


@pytest.mark.parametrize(
    ("label", "tamper", "reason"),
    [
        ("none", None, "no account is labelled 'none'; there are 'shop'"),
        ("shop", "id-missing", "tamper must be one of"),
    ],
)
async def test_a_webhook_that_cannot_be_written_changes_nothing(sandbox, label, tamper, reason):
    """It raises what `settle` raises."""
    account = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})

    with pytest.raises(ValueError, match=reason):
        sandbox.write_webhook(label, "BTC", "1", tamper=tamper)

    assert account.holdings[0].plain == "1"
