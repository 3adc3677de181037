"""Cryptoprocessing's callbacks: what they become once they are verified."""

import hashlib
import hmac
import json

import pytest
from hypothesis import example, given, strategies as st

from balancekit import CryptoprocessingProvider, Secret, WebhookEvent, WebhookVerificationError
from balancekit.webhooks import WebhookProvider
from balancekit.webhooks.hmac_sha512 import keyed_hash, verify
from tests.support.strategies import JSON

SECRET = "AbCdEfG123456"
PUBLISHED_BODY = b'{"currency":"BTC","foreign_id":"123456"}'
PUBLISHED = (
    "03c25fcf7cd35e7d995e402cd5d51edd72d48e1471e865907967809a0c189ba5"
    "5b90815f20e2bb10f82c7a9e9d865546fda58989c2ae9e8e2ff7bc29195fa1ec"
)

CALLBACKS = st.fixed_dictionaries({}, optional={"id": JSON, "type": JSON, "status": JSON, "more": JSON})


def signed(body):
    """Make a delivery from a body."""
    signature = hmac.new(SECRET.encode(), body, hashlib.sha512).hexdigest()
    return {"X-Processing-Key": "key-0123", "X-Processing-Signature": signature}, body


def written(**fields):
    """Make a delivery from the fields of a callback."""
    return signed(json.dumps(fields).encode())


def outcome(provider, delivery):
    """Return the event, or the error that was promised for everything else."""
    try:
        return provider.verify_webhook(*delivery)
    except WebhookVerificationError as error:
        return error


def test_the_published_vector_is_verified():
    """The signature of the provider's page is that of its body."""
    headers = {"X-Processing-Key": "key-0123", "X-Processing-Signature": PUBLISHED}

    verify(headers, PUBLISHED_BODY, key=Secret("key-0123"), keyed=keyed_hash(Secret(SECRET)))

    with pytest.raises(WebhookVerificationError, match="not that of this body"):
        verify(headers, PUBLISHED_BODY + b" ", key=Secret("key-0123"), keyed=keyed_hash(Secret(SECRET)))


def test_a_callback_becomes_an_event(shop):
    """It says what happened, in the provider's words, and no amount."""
    event = shop.verify_webhook(*written(id=7, type="deposit", status="confirmed", currency_sent={"amount": "5"}))

    assert event == WebhookEvent(
        "shop", "cryptoprocessing", "7/deposit/confirmed", "deposit", "confirmed", settled=True
    )


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ("confirmed", True), ("cancelled", True), ("failed_on_the_moon", True), ("CONFIRMED", True),
        ("not_confirmed", False), ("processing", False), ("pending", False), ("Processing", False),
    ],
)  # fmt: skip
def test_whatever_may_be_final_settles(shop, status, settled):
    """A status that is not known may be the last of its transaction; only the known others leave the balances."""
    event = shop.verify_webhook(*written(id=7, type="deposit", status=status))

    assert (event.status, event.settled) == (status, settled)


@pytest.mark.parametrize("fields", [{"id": 7}, {"id": 7, "type": None, "status": None}], ids=["missing", "null"])
def test_a_callback_may_say_next_to_nothing(shop, fields):
    """Without a status the balances may have changed."""
    event = shop.verify_webhook(*written(**fields))

    assert event == WebhookEvent("shop", "cryptoprocessing", "7//", None, None, settled=True)


@pytest.mark.parametrize("kind", ["deposit", "withdrawal", "exchange", "deposit_exchange", "invoice", "new_in_2027"])
def test_every_type_is_accepted(shop, kind):
    """Types are added without notice."""
    event = shop.verify_webhook(*written(id=7, type=kind, status="confirmed"))

    assert (event.event_type, event.settled) == (kind, True)


def test_a_duplicate_has_the_same_id(shop):
    """A replay can be told by nothing else."""
    delivery = written(id=7, type="deposit", status="confirmed")

    assert shop.verify_webhook(*delivery) == shop.verify_webhook(*delivery)


@given(st.lists(st.fixed_dictionaries({"id": st.integers() | st.text("a/%", min_size=1)}, optional={
    "type": st.text("a/%", min_size=1), "status": st.text("a/%", min_size=1)}), min_size=2, max_size=2))  # fmt: skip
@example([{"id": "a/b", "type": "c"}, {"id": "a", "type": "b/c"}])
@example([{"id": "a%2Fb"}, {"id": "a/b"}])
def test_events_that_differ_have_different_ids(events):
    """Whatever is in the words, and wherever they end, no two transactions or statuses share an id."""
    provider = CryptoprocessingProvider("shop", key="key-0123", secret=SECRET)

    one, other = (provider.verify_webhook(*written(**event)).event_id for event in events)

    assert (one == other) is (events[0] == events[1])


@given(CALLBACKS.map(json.dumps).map(str.encode) | st.binary())
@example(b'{"id":"\\ud800"}')
def test_what_is_signed_becomes_an_event_or_is_refused(body):
    """Nothing else is raised, and nothing that was not foreseen."""
    provider = CryptoprocessingProvider("shop", key="key-0123", secret=SECRET)

    came_of_it = outcome(provider, signed(body))

    if isinstance(came_of_it, WebhookEvent):
        assert came_of_it.event_id.isascii()
        assert all(word is None or word.isprintable() for word in (came_of_it.event_type, came_of_it.status))
    else:
        assert "while it was verified" not in str(came_of_it)


def test_an_account_keeps_nothing_that_shows_the_secret(everything_said_by):
    """What verifies is a hash that has the key within, and its text nowhere."""
    provider = CryptoprocessingProvider("shop", key="canary-key", secret="canary-secret")

    with pytest.raises(WebhookVerificationError) as caught:
        provider.verify_webhook(*written(id=7))

    assert "canary" not in repr(vars(provider))
    assert "canary" not in everything_said_by(caught.value)
    assert isinstance(provider, WebhookProvider)
