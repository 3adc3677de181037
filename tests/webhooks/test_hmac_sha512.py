"""The scheme of Cryptoprocessing's callbacks, and the events that they become once they are verified."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import example, given, strategies as st

from balancekit import CryptoprocessingProvider, Secret, WebhookEvent, WebhookVerificationError
from balancekit.sandbox.cryptoprocessing_webhooks import sign_body
from balancekit.webhooks import WebhookProvider
from balancekit.webhooks.hmac_sha512 import keyed_hash, verify
from tests.support.strategies import JSON

SECRET = "AbCdEfG123456"
PUBLISHED_BODY = b'{"currency":"BTC","foreign_id":"123456"}'
PUBLISHED = (
    "03c25fcf7cd35e7d995e402cd5d51edd72d48e1471e865907967809a0c189ba5"
    "5b90815f20e2bb10f82c7a9e9d865546fda58989c2ae9e8e2ff7bc29195fa1ec"
)
CALLBACK = b'{"id":7,"type":"deposit","status":"confirmed"}'
KEY, SIGNATURE = "X-Processing-Key", "X-Processing-Signature"
HEX = sign_body(SECRET, CALLBACK)

CALLBACKS = st.fixed_dictionaries({}, optional={"id": JSON, "type": JSON, "status": JSON, "more": JSON})


def callback(signed=CALLBACK, changed=None, *, body=None, more=()):
    """Return the headers and the body of a callback: what was signed, and what was changed after that."""
    headers = {KEY: "key-0123", SIGNATURE: sign_body(SECRET, signed)} | (changed or {})
    pairs = [(name, value) for name, value in headers.items() if value is not None]
    return [*pairs, *more], signed if body is None else body


def written(**fields):
    """Return a callback with these fields."""
    return callback(json.dumps(fields).encode())


NOT_OF_BODY = "X-Processing-Signature: not that of this body"
NOT_HEX = "X-Processing-Signature: not 128 lower-case"
NOT_THE_KEY = "X-Processing-Key: not the account's key"
INVALID = {
    "signed, not json": (callback(b"id=7"), "the body is not JSON"),
    "signed, too large": (callback(b'"%b"' % (b"x" * 2**18)), "the body is larger than 262144 bytes"),
    "signed, type number": (callback(b'{"id":7,"type":7}'), "type: expected a string, got a number"),
    "signed, status list": (callback(b'{"id":7,"status":["confirmed"]}'), "status: expected a string, got a list"),
    "signed, no id": (callback(b"{}"), "id: missing"),
    "signed, id null": (callback(b'{"id":null}'), "id: missing"),
    "signed, id true": (callback(b'{"id":true}'), "id: expected a string, got a boolean"),
    "signed, id fraction": (callback(b'{"id":7.5}'), "id: expected a string, got a number"),
    "signed, id endless": (callback(b'{"id":%b}' % (b"7" * 5_000)), "id: expected a string, got a number"),
    "signed, id list": (callback(b'{"id":[7]}'), "id: expected a string, got a list"),
    "signed, id empty": (callback(b'{"id":""}'), "id: an empty label"),
    "no signature": (callback(changed={SIGNATURE: None}), "X-Processing-Signature: missing"),
    "no key": (callback(changed={KEY: None}), "X-Processing-Key: missing"),
    "signature twice": (callback(more=[(SIGNATURE, HEX)]), "X-Processing-Signature: repeated"),
    "signature in both cases": (callback(more=[(SIGNATURE.lower(), HEX)]), "X-Processing-Signature: repeated"),
    "a false signature too": (callback(more=[(SIGNATURE, "0" * 128)]), "X-Processing-Signature: repeated"),
    "key twice": (callback(more=[(KEY, "key-0123")]), "X-Processing-Key: repeated"),
    "other key": (callback(changed={KEY: "key-0124"}), NOT_THE_KEY),
    "upper key": (callback(changed={KEY: "KEY-0123"}), NOT_THE_KEY),
    "part of the key": (callback(changed={KEY: "key-012"}), NOT_THE_KEY),
    "more than the key": (callback(changed={KEY: "key-01234"}), NOT_THE_KEY),
    "empty key": (callback(changed={KEY: ""}), NOT_THE_KEY),
    "key not ascii": (callback(changed={KEY: "k\u00e9y-0123"}), "X-Processing-Key: not of printable ASCII"),
    "key too long": (callback(changed={KEY: "k" * 2_049}), "X-Processing-Key: longer than 2048"),
    "exchanged": (callback(changed={KEY: HEX, SIGNATURE: "key-0123"}), NOT_HEX),
    "empty signature": (callback(changed={SIGNATURE: ""}), NOT_HEX),
    "upper signature": (callback(changed={SIGNATURE: HEX.upper()}), NOT_HEX),
    "cut signature": (callback(changed={SIGNATURE: HEX[:-1]}), NOT_HEX),
    "longer signature": (callback(changed={SIGNATURE: f"{HEX}0"}), NOT_HEX),
    "prefixed signature": (callback(changed={SIGNATURE: f"sha512={HEX}"}), NOT_HEX),
    "in base64": (callback(changed={SIGNATURE: base64.b64encode(bytes.fromhex(HEX)).decode()}), NOT_HEX),
    "not ascii": (callback(changed={SIGNATURE: "\u0660" * 128}), "X-Processing-Signature: not of printable"),
    "too long": (callback(changed={SIGNATURE: HEX * 17}), "X-Processing-Signature: longer than 2048"),
    "two in one": (callback(changed={SIGNATURE: f"{HEX},{HEX}"}), NOT_HEX),
    "sha-256": (callback(changed={SIGNATURE: hmac.digest(SECRET.encode(), CALLBACK, hashlib.sha256).hex()}), NOT_HEX),
    "sha3-512": (callback(changed={SIGNATURE: hmac.digest(SECRET.encode(), CALLBACK, "sha3_512").hex()}), NOT_OF_BODY),
    "bare hash": (callback(changed={SIGNATURE: hashlib.sha512(CALLBACK).hexdigest()}), NOT_OF_BODY),
    "zeros": (callback(changed={SIGNATURE: "0" * 128}), NOT_OF_BODY),
    "first digit": (callback(changed={SIGNATURE: f"{int(HEX[0], 16) ^ 1:x}{HEX[1:]}"}), NOT_OF_BODY),
    "last digit": (callback(changed={SIGNATURE: f"{HEX[:-1]}{int(HEX[-1], 16) ^ 1:x}"}), NOT_OF_BODY),
    "other secret": (callback(changed={SIGNATURE: sign_body("AbCdEfG123457", CALLBACK)}), NOT_OF_BODY),
    "keyed with the key": (callback(changed={SIGNATURE: sign_body("key-0123", CALLBACK)}), NOT_OF_BODY),
    "keyed with nothing": (callback(changed={SIGNATURE: sign_body("", CALLBACK)}), NOT_OF_BODY),
    "signature of a request": (callback(changed={SIGNATURE: sign_body(SECRET, b"{}")}), NOT_OF_BODY),
    "other status": (callback(body=CALLBACK.replace(b"confirmed", b"cancelled")), NOT_OF_BODY),
    "other id": (callback(body=CALLBACK.replace(b"7", b"8")), NOT_OF_BODY),
    "encoded again": (callback(body=json.dumps(json.loads(CALLBACK)).encode()), NOT_OF_BODY),
    "line break after": (callback(body=CALLBACK + b"\n"), NOT_OF_BODY),
    "blank before": (callback(body=b" " + CALLBACK), NOT_OF_BODY),
    "byte order mark": (callback(body=b"\xef\xbb\xbf" + CALLBACK), NOT_OF_BODY),
    "cut body": (callback(body=CALLBACK[:-1]), NOT_OF_BODY),
    "no body": (callback(body=b""), NOT_OF_BODY),
    "twice": (callback(body=CALLBACK * 2), NOT_OF_BODY),
    "other scheme": (([("webhook-id", "msg_2b")], CALLBACK), "X-Processing-Key: missing"),
}  # fmt: skip


def outcome(provider, delivery):
    """Return the event, or the WebhookVerificationError that is raised for everything else."""
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


@pytest.mark.parametrize(("delivery", "reason"), INVALID.values(), ids=INVALID)
def test_an_invalid_callback_is_rejected_for_its_own_reason(shop, check_rejected, delivery, reason):
    """The message names what is wrong, for the log, and nothing that is collected shows the delivery or the secret."""
    check_rejected(shop, delivery, reason, secrets=[SECRET, "key-0123", sign_body(SECRET, delivery[1])])


def test_a_callback_becomes_an_event(shop):
    """It has the provider's type and status, and no amount."""
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
def test_a_status_that_may_be_final_settles(shop, status, settled):
    """A status that is not known may be the last of its transaction; only the known others leave the balances."""
    event = shop.verify_webhook(*written(id=7, type="deposit", status=status))

    assert (event.status, event.settled) == (status, settled)


@pytest.mark.parametrize("fields", [{"id": 7}, {"id": 7, "type": None, "status": None}], ids=["missing", "null"])
def test_a_callback_may_have_an_id_alone(shop, fields):
    """Without a status the balances may have changed."""
    event = shop.verify_webhook(*written(**fields))

    assert event == WebhookEvent("shop", "cryptoprocessing", "7//", None, None, settled=True)


@pytest.mark.parametrize("kind", ["deposit", "withdrawal", "exchange", "deposit_exchange", "invoice", "new_in_2027"])
def test_every_type_is_accepted(shop, kind):
    """Types are added without notice."""
    event = shop.verify_webhook(*written(id=7, type=kind, status="confirmed"))

    assert (event.event_type, event.settled) == (kind, True)


@given(st.lists(st.fixed_dictionaries({"id": st.integers() | st.text("a/%", min_size=1)}, optional={
    "type": st.text("a/%", min_size=1), "status": st.text("a/%", min_size=1)}), min_size=2, max_size=2))  # fmt: skip
@example([{"id": "a/b", "type": "c"}, {"id": "a", "type": "b/c"}])
@example([{"id": "a%2Fb"}, {"id": "a/b"}])
def test_events_that_differ_have_different_ids(events):
    """No two transactions, types or statuses share an id, whatever characters they have."""
    provider = CryptoprocessingProvider("shop", key="key-0123", secret=SECRET)

    one, other = (provider.verify_webhook(*written(**event)).event_id for event in events)

    assert (one == other) is (events[0] == events[1])


@given(CALLBACKS.map(json.dumps).map(str.encode) | st.binary())
@example(b'{"id":"\\ud800"}')
def test_a_signed_body_becomes_an_event_or_a_verification_error(body):
    """Any signed body is either, and nothing else is raised."""
    provider = CryptoprocessingProvider("shop", key="key-0123", secret=SECRET)

    result = outcome(provider, callback(body))

    if isinstance(result, WebhookEvent):
        assert result.event_id.isascii()
        assert all(text is None or text.isprintable() for text in (result.event_type, result.status))
    else:
        assert "while it was verified" not in str(result)


def test_an_account_keeps_nothing_that_shows_the_secret(everything_shown_by):
    """It keeps a keyed hash, from which the secret cannot be read."""
    provider = CryptoprocessingProvider("shop", key="canary-key", secret="canary-secret")

    with pytest.raises(WebhookVerificationError) as caught:
        provider.verify_webhook(*written(id=7))

    assert "canary" not in repr(vars(provider))
    assert "canary" not in everything_shown_by(caught.value)
    assert isinstance(provider, WebhookProvider)
