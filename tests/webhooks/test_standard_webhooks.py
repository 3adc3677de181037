"""getMany's webhooks: what they become once they are verified, by which keys, and for how long."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, strategies as st

from balancekit import ConfigError, GetManyProvider, Secret, WebhookEvent, WebhookVerificationError
from balancekit.http.clock_skew import use_offset
from balancekit.webhooks import WebhookProvider
from tests.support.strategies import JSON

NOW = 1_767_225_600
BODY = b'{"type":"transaction.updated","data":{"id":"tx_1","status":"COMPLETED"}}'
VECTOR = {
    "webhook-id": "msg_2b",
    "webhook-timestamp": "1767225600",
    "webhook-signature": (
        "v1a,bQt6wiYN5iRcg17aI0f4X8zkn9HqbHwLpmBir9+2S/+i18utQTYSi6rXKrE157fCi9KF5qxDwOJ4F4nB6poQBw=="
    ),
}
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
SPKI, RAW = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.Raw

DATA = JSON | st.fixed_dictionaries({}, optional={"status": JSON, "transaction": JSON | st.just({"status": "FAILED"})})
WEBHOOKS = st.fixed_dictionaries({}, optional={"type": JSON, "event": JSON, "status": JSON, "data": DATA})


def public(key, encoding=DER, kind=SPKI):
    """Write the public key of a private one: PEM, or in base64."""
    data = key.public_key().public_bytes(encoding, kind)
    return data.decode() if encoding is PEM else base64.b64encode(data).decode()


KEY = public(PRIVATE, serialization.Encoding.Raw, RAW)


def signed(body, *keys, event_id="msg_1"):
    """Make a delivery from a body, with a signature by each key."""
    text = f"{event_id}.{NOW}.".encode() + body
    signatures = [base64.b64encode(key.sign(text)).decode() for key in keys or [PRIVATE]]
    headers = {
        "Webhook-Id": event_id,
        "Webhook-Timestamp": str(NOW),
        "Webhook-Signature": " ".join(f"v1a,{signature}" for signature in signatures),
    }
    return headers, body


def written(**fields):
    """Make a delivery from the fields of a webhook."""
    return signed(json.dumps(fields).encode())


def outcome(provider, delivery):
    """Return the event, or the error that was promised for everything else."""
    try:
        return provider.verify_webhook(*delivery, now=NOW)
    except WebhookVerificationError as error:
        return error


def test_the_vector_becomes_an_event(till):
    """It says what happened, in the provider's words, and its id is the header's."""
    event = till.verify_webhook(VECTOR, BODY)

    assert event == WebhookEvent("till", "getmany", "msg_2b", "transaction.updated", "COMPLETED", settled=True)


@pytest.mark.parametrize(
    ("fields", "event_type", "status", "settled"),
    [
        ({"type": "transaction.updated", "status": "COMPLETED"}, "transaction.updated", "COMPLETED", True),
        ({"type": "transaction.updated", "data": {"transaction": {"status": "COMPLETED"}}},
         "transaction.updated", "COMPLETED", True),
        ({"event": "transaction.updated", "data": {"status": "COMPLETED"}}, "transaction.updated", "COMPLETED", True),
        ({"type": None, "event": "transaction.updated", "status": "COMPLETED"},
         "transaction.updated", "COMPLETED", True),
        ({"type": "transaction.updated", "data": {"status": "PENDING"}}, "transaction.updated", "PENDING", False),
        ({"type": "transaction.updated", "data": {"status": "FAILED"}}, "transaction.updated", "FAILED", False),
        ({"type": "transaction.updated", "data": {"status": "NEW_ONE"}}, "transaction.updated", "NEW_ONE", False),
        ({"type": "transaction.updated"}, "transaction.updated", None, True),
        ({"type": "transaction.created", "data": {"status": "COMPLETED"}}, "transaction.created", "COMPLETED", False),
        ({"type": "card.blocked", "data": [1]}, "card.blocked", None, False),
        ({"type": "card.blocked", "data": {"status": {"code": 1}}}, "card.blocked", None, False),
        ({}, None, None, False),
    ],
    ids=[
        "at the top", "in the transaction", "event", "type null", "pending", "failed", "new status", "no status",
        "created", "data of another shape", "status of another shape", "empty",
    ],
)  # fmt: skip
def test_only_a_completed_update_settles(till, fields, event_type, status, settled):
    """Every other event is accepted and leaves the balances; where the status is only assumed, none is looked into."""
    event = till.verify_webhook(*written(**fields))

    assert (event.event_type, event.status, event.settled) == (event_type, status, settled)


@pytest.mark.parametrize("now", [NOW - 5, NOW, NOW + 300, NOW + 299.999], ids=["ahead", "now", "old", "just not old"])
def test_the_edges_of_the_time_are_within(till, now):
    """A delivery is accepted from 5 s ahead of the clock to 300 s behind it."""
    assert till.verify_webhook(VECTOR, BODY, now=now).settled


@pytest.mark.parametrize(
    "now", [NOW - 5.001, NOW + 300.001, float("nan"), float("inf")], ids=["ahead", "old", "nan", "infinite"]
)
def test_beyond_the_edges_a_delivery_is_refused(till, now):
    """However good its signature is."""
    with pytest.raises(WebhookVerificationError, match="webhook-timestamp"):
        till.verify_webhook(VECTOR, BODY, now=now)


def test_a_learned_clock_offset_never_shifts_the_window():
    """Anyone who can forge a `Date` must not be able to make an old delivery pass, or a new one fail."""
    provider = GetManyProvider("till", webhook_key=KEY)
    provider.clock = lambda: NOW - 1_000.0
    use_offset(1_000.0)

    with pytest.raises(WebhookVerificationError, match="more than 5 s ahead"):
        provider.verify_webhook(VECTOR, BODY)
    use_offset(0.0)


def test_a_duplicate_has_the_same_id(till):
    """The provider delivers again what it is not sure of."""
    assert till.verify_webhook(VECTOR, BODY) == till.verify_webhook(VECTOR, BODY)


@pytest.mark.parametrize(
    "key",
    [
        KEY, f"whpk_{KEY}", public(PRIVATE), public(PRIVATE, PEM), f"\n {KEY}\r\n", Secret(KEY), [KEY],
        (public(NEXT), KEY), [KEY] * 8, public(PRIVATE, PEM).replace("\n", "\r\n"),
    ],
    ids=["raw", "prefix", "spki", "pem", "blanks", "hidden", "list", "second of two", "eight", "pem of windows"],
)  # fmt: skip
def test_a_key_is_read_in_every_spelling(key):
    """They all hold the key of the vector."""
    provider = GetManyProvider("till", webhook_key=key)

    assert provider.verify_webhook(VECTOR, BODY, now=NOW).settled
    assert isinstance(provider, WebhookProvider)


@pytest.mark.parametrize(
    "key",
    [
        "", " ", KEY[:-1], KEY.replace("/", "_"), f"{KEY}AAAA", f"whsk_{KEY}", base64.b64encode(bytes(31)).decode(),
        "canary\u00e9", "canary\udce9", KEY.encode(), 7, {"key": KEY}, "-----BEGIN canary", [KEY, "canary"], [[KEY]],
        "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        public(x25519.X25519PrivateKey.generate()), public(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=[
        "empty", "blank", "no padding", "url-safe", "longer", "private prefix", "31 bytes", "no ascii", "no utf-8",
        "bytes", "number", "mapping", "half pem", "second of two", "list in a list", "private", "x25519", "p-256",
    ],
)  # fmt: skip
def test_a_malformed_key_is_named_and_not_shown(key, everything_said_by):
    """It may be the private one, put here by mistake."""
    shown = [part for part in ([key] if isinstance(key, str) else key if isinstance(key, list) else []) if part]

    with pytest.raises(
        ConfigError, match=r"^account 'till': webhook_key: expected the webhook's Ed25519 pub"
    ) as caught:
        GetManyProvider("till", webhook_key=key)

    said = everything_said_by(caught.value)
    assert not any(isinstance(part, str) and part.strip() and part in said for part in shown)
    assert "canary" not in said


@pytest.mark.parametrize("keys", [[], [KEY] * 9], ids=["none", "nine"])
def test_the_number_of_keys_is_bounded(keys):
    """No key is no setting, and each costs time with every delivery."""
    with pytest.raises(ConfigError, match=rf"^account 'till': webhook_key: expected 1 to 8 keys, got {len(keys)}$"):
        GetManyProvider("till", webhook_key=keys)


def test_without_a_key_it_says_what_to_set():
    """Whoever points the provider at a receiver too early finds out from the log."""
    with pytest.raises(WebhookVerificationError, match="give GetManyProvider the webhook's public key"):
        GetManyProvider("till").verify_webhook(VECTOR, BODY, now=NOW)


@pytest.mark.parametrize(
    ("accepted", "signing"),
    [
        ([PRIVATE], [PRIVATE, NEXT]), ([PRIVATE], [NEXT, PRIVATE]), ([PRIVATE, NEXT], [NEXT]),
        ([PRIVATE, NEXT], [PRIVATE]),
        ([NEXT], [PRIVATE] * 7 + [NEXT]),
    ],
    ids=["signed first", "signed last", "accepted last", "accepted first", "eighth"],
)  # fmt: skip
def test_keys_are_exchanged_without_a_gap(accepted, signing):
    """One good signature by one accepted key is enough, in whatever order."""
    provider = GetManyProvider("till", webhook_key=[public(key) for key in accepted])

    assert provider.verify_webhook(*signed(BODY, *signing), now=NOW).settled


def test_a_key_that_was_exchanged_is_worth_nothing():
    """After the rotation the old key's signatures are those of a stranger."""
    provider = GetManyProvider("till", webhook_key=public(NEXT))

    with pytest.raises(WebhookVerificationError, match="none is of this delivery"):
        provider.verify_webhook(VECTOR, BODY, now=NOW)


@pytest.mark.parametrize("other", ["v1,c2lnbmF0dXJl", "v2,?!", "v1b,AAAA"])
def test_signatures_of_other_versions_are_passed_over(till, other):
    """The standard lets a sender add them, before or after."""
    for signatures in (f"{other} {VECTOR['webhook-signature']}", f"{VECTOR['webhook-signature']} {other}"):
        assert till.verify_webhook(VECTOR | {"webhook-signature": signatures}, BODY).settled


@given(WEBHOOKS.map(json.dumps).map(str.encode) | st.binary())
@example(b'{"data":{"status":"\\ud800"}}')
@example(b'{"data":{"status":1e9}}')
def test_what_is_signed_becomes_an_event_or_is_refused(body):
    """Nothing else is raised, and nothing that was not foreseen."""
    provider = GetManyProvider("till", webhook_key=KEY)

    came_of_it = outcome(provider, signed(body))

    if isinstance(came_of_it, WebhookEvent):
        assert came_of_it.event_id == "msg_1"
        assert all(word is None or word.isprintable() for word in (came_of_it.event_type, came_of_it.status))
    else:
        assert "while it was verified" not in str(came_of_it)
