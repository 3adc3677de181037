"""The scheme of getMany's webhooks: headers, keys and times; and the events that they become once they are verified."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, strategies as st

from balancekit import ConfigError, GetManyProvider, Secret, WebhookEvent, WebhookVerificationError
from balancekit.http.clock_skew import use_offset
from balancekit.sandbox.getmany_webhooks import encode_public_key, sign_webhook
from balancekit.webhooks import WebhookProvider, standard_webhooks
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


KEY = encode_public_key(PRIVATE)
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def webhook(signed=BODY, changed=None, *, body=None, more=(), event_id="msg_2b", timestamp=str(NOW), keys=(PRIVATE,)):
    """Return the headers and the body of a webhook: what was signed, and what was changed after that."""
    signature = " ".join(sign_webhook(key, event_id, timestamp, signed) for key in keys)
    headers = {ID: event_id, TIMESTAMP: timestamp, SIGNATURE: signature} | (changed or {})
    pairs = [(name, value) for name, value in headers.items() if value is not None]
    return [*pairs, *more], signed if body is None else body


def signature_changed(signature):
    """Return a webhook with another signature."""
    return webhook(changed={SIGNATURE: signature})


def encoded(signature):
    """Return a webhook whose signature is these bytes."""
    return signature_changed(f"v1a,{base64.b64encode(signature).decode()}")


def written(**fields):
    """Make a delivery from the fields of a webhook."""
    return webhook(json.dumps(fields).encode())


def outcome(provider, delivery):
    """Return the event, or the WebhookVerificationError that is raised for everything else."""
    try:
        return provider.verify_webhook(*delivery, now=NOW)
    except WebhookVerificationError as error:
        return error


GOOD = VECTOR[SIGNATURE].removeprefix("v1a,")
BYTES = base64.b64decode(GOOD)
NOT_SIGNED = "webhook-signature: none is of this delivery"
NOT_A_LIST = "webhook-signature: not versions and signatures"
NOT_BASE64 = "webhook-signature: not standard base64"
NOT_DIGITS = "webhook-timestamp: not 1 to 15 digits"
NOT_AN_ID = "webhook-id: not 1 to 255 visible"
INVALID = {
    "signed, not json": (webhook(b"id=7"), "the body is not JSON"),
    "signed, too large": (webhook(b'"%b"' % (b"x" * 2**18)), "the body is larger than 262144 bytes"),
    "signed, type number": (webhook(b'{"type":7}'), "type: expected a string, got a number"),
    "signed, event number": (webhook(b'{"event":7}'), "event: expected a string, got a number"),
    "signed, status of two lines": (webhook(b'{"data":{"status":"a\\nb"}}'), "status: a label with characters"),
    "signed, inner status": (webhook(b'{"data":{"transaction":{"status":""}}}'), "status: an empty label"),
    "no id": (webhook(changed={ID: None}), "webhook-id: missing"),
    "no timestamp": (webhook(changed={TIMESTAMP: None}), "webhook-timestamp: missing"),
    "no signature": (webhook(changed={SIGNATURE: None}), "webhook-signature: missing"),
    "id twice": (webhook(more=[(ID, "msg_2b")]), "webhook-id: repeated"),
    "id in both cases": (webhook(more=[("Webhook-Id", "msg_2c")]), "webhook-id: repeated"),
    "timestamp twice": (webhook(more=[(TIMESTAMP, str(NOW))]), "webhook-timestamp: repeated"),
    "signature twice": (webhook(more=[(SIGNATURE, f"v1a,{GOOD}")]), "webhook-signature: repeated"),
    "other id": (webhook(changed={ID: "msg_2c"}), NOT_SIGNED),
    "upper id": (webhook(changed={ID: "MSG_2B"}), NOT_SIGNED),
    "empty id": (webhook(event_id=""), NOT_AN_ID),
    "long id": (webhook(event_id="m" * 256), NOT_AN_ID),
    "huge id": (webhook(event_id="m" * 2_049), "webhook-id: longer than 2048"),
    "id of two words": (webhook(event_id="msg 2b"), NOT_AN_ID),
    "id with a brace": (webhook(event_id="msg{2b"), NOT_AN_ID),
    "id not ascii": (webhook(event_id="m\u00e9"), "webhook-id: not of printable ASCII"),
    "other time": (webhook(changed={TIMESTAMP: str(NOW + 1)}), NOT_SIGNED),
    "zero in front": (webhook(changed={TIMESTAMP: f"0{NOW}"}), NOT_SIGNED),
    "fraction appended": (webhook(changed={TIMESTAMP: f"{NOW}.9"}), NOT_DIGITS),
    "plus": (webhook(changed={TIMESTAMP: f"+{NOW}"}), NOT_DIGITS),
    "signed plus": (webhook(timestamp=f"+{NOW}"), NOT_DIGITS),
    "minus": (webhook(timestamp=f"-{NOW}"), NOT_DIGITS),
    "exponent": (webhook(timestamp="17672256e2"), NOT_DIGITS),
    "underscore": (webhook(timestamp="1_767_225_600"), NOT_DIGITS),
    "hexadecimal": (webhook(timestamp="0x6955b900"), NOT_DIGITS),
    "other digits": (webhook(timestamp="\uff11\uff17"), "webhook-timestamp: not of printable ASCII"),
    "empty timestamp": (webhook(timestamp=""), NOT_DIGITS),
    "endless timestamp": (webhook(timestamp="1" * 2_000), NOT_DIGITS),
    "date": (webhook(timestamp="2026-01-01T00:00:00Z"), NOT_DIGITS),
    "milliseconds": (webhook(timestamp=f"{NOW}000"), "webhook-timestamp: more than 5 s ahead"),
    "old": (webhook(timestamp=str(NOW - 301)), "webhook-timestamp: more than 300 s old"),
    "ahead": (webhook(timestamp=str(NOW + 6)), "webhook-timestamp: more than 5 s ahead"),
    "at the epoch": (webhook(timestamp="0"), "webhook-timestamp: more than 300 s old"),
    "dots moved": (
        webhook(event_id=f"msg.{NOW}", changed={ID: "msg"}, body=f"{NOW}.".encode() + BODY), "the body is not JSON"
    ),
    "empty signature": (signature_changed(""), NOT_A_LIST),
    "no version": (signature_changed(GOOD), NOT_A_LIST),
    "version alone": (signature_changed("v1a"), NOT_A_LIST),
    "version and comma": (signature_changed("v1a,"), NOT_A_LIST),
    "upper version": (signature_changed(f"V1A,{GOOD}"), NOT_A_LIST),
    "not ascii": (signature_changed("v1a,\u00e9"), "webhook-signature: not of printable ASCII"),
    "commas between": (signature_changed(f"v1a,{GOOD},v1a,{GOOD}"), NOT_BASE64),
    "unknown version": (signature_changed(f"v2a,{GOOD}"), "webhook-signature: none of version v1a"),
    "symmetric version": (signature_changed(f"v1,{GOOD}"), "webhook-signature: none of version v1a"),
    "no padding": (signature_changed(f"v1a,{GOOD.rstrip('=')}"), NOT_BASE64),
    "more padding": (signature_changed(f"v1a,{GOOD}=="), NOT_BASE64),
    "stray bits": (signature_changed(f"v1a,{GOOD[:-3]}x=="), NOT_BASE64),
    "url-safe": (signature_changed(f"v1a,{base64.urlsafe_b64encode(BYTES).decode()}"), NOT_BASE64),
    "several malformed": (signature_changed("v1a,x v1a, v1,x"), NOT_BASE64),
    "hex": (signature_changed(f"v1a,{BYTES.hex()}"), "webhook-signature: not of 64 bytes"),
    "63 bytes": (encoded(BYTES[:-1]), "webhook-signature: not of 64 bytes"),
    "65 bytes": (encoded(BYTES + b"\0"), "webhook-signature: not of 64 bytes"),
    "zeros": (encoded(bytes(64)), NOT_SIGNED),
    "first bit": (encoded(bytes([BYTES[0] ^ 1]) + BYTES[1:]), NOT_SIGNED),
    "last bit": (encoded(BYTES[:-1] + bytes([BYTES[-1] ^ 128])), NOT_SIGNED),
    "other key": (webhook(keys=[NEXT]), NOT_SIGNED),
    "other body": (webhook(b"{}", body=BODY), NOT_SIGNED),
    "thirteen": (webhook(keys=[PRIVATE] * 13), "webhook-signature: more than 12 signatures"),
    "huge": (webhook(keys=[PRIVATE] * 30), "webhook-signature: longer than 2048"),
    "other status": (webhook(body=BODY.replace(b"COMPLETED", b"PENDING")), NOT_SIGNED),
    "encoded again": (webhook(body=json.dumps(json.loads(BODY)).encode()), NOT_SIGNED),
    "line break after": (webhook(body=BODY + b"\n"), NOT_SIGNED),
    "byte order mark": (webhook(body=b"\xef\xbb\xbf" + BODY), NOT_SIGNED),
    "cut body": (webhook(body=BODY[:-1]), NOT_SIGNED),
    "no body": (webhook(body=b""), NOT_SIGNED),
    "other scheme": (([("X-Processing-Key", "key-0123")], BODY), "webhook-id: missing"),
}  # fmt: skip


@pytest.mark.parametrize(("delivery", "reason"), INVALID.values(), ids=INVALID)
def test_an_invalid_webhook_is_rejected_for_its_own_reason(till, check_rejected, delivery, reason):
    """The message names what is wrong, for the log, and nothing that is collected shows the delivery."""
    check_rejected(till, delivery, reason)


def test_the_vector_becomes_an_event(till):
    """It has the provider's type and status, and its id is the header's."""
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
    """Every other event is accepted and leaves the balances; a status of another shape counts as none."""
    event = till.verify_webhook(*written(**fields))

    assert (event.event_type, event.status, event.settled) == (event_type, status, settled)


@pytest.mark.parametrize("now", [NOW - 5, NOW, NOW + 300, NOW + 299.999], ids=["ahead", "now", "old", "just not old"])
def test_a_delivery_is_accepted_at_the_limits_of_its_time(till, now):
    """They are 5 s ahead of the clock and 300 s behind it."""
    assert till.verify_webhook(VECTOR, BODY, now=now).settled


@pytest.mark.parametrize(
    "now", [NOW - 5.001, NOW + 300.001, float("nan"), float("inf")], ids=["ahead", "old", "nan", "infinite"]
)
def test_a_delivery_beyond_the_limits_of_its_time_is_refused(till, now):
    """A valid signature does not help."""
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


@pytest.mark.parametrize(
    "key",
    [
        KEY, f"whpk_{KEY}", public(PRIVATE), public(PRIVATE, PEM), f"\n {KEY}\r\n", Secret(KEY), [KEY],
        (public(NEXT), KEY), [KEY] * 4, public(PRIVATE, PEM).replace("\n", "\r\n"),
        public(PRIVATE, PEM).replace("\n", "\\n"),
    ],
    ids=[
        "raw", "prefix", "spki", "pem", "blanks", "hidden", "list", "second of two", "four", "pem of windows",
        "pem in one line",
    ],
)  # fmt: skip
def test_a_key_is_read_in_every_spelling(key):
    """They are all the key of the vector."""
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
def test_a_malformed_key_is_named_and_not_shown(key, everything_shown_by):
    """It may be the private one, given by mistake."""
    shown = [part for part in ([key] if isinstance(key, str) else key if isinstance(key, list) else []) if part]

    with pytest.raises(
        ConfigError, match=r"^account 'till': webhook_key: expected the webhook's Ed25519 pub"
    ) as caught:
        GetManyProvider("till", webhook_key=key)

    shown_text = everything_shown_by(caught.value)
    assert not any(isinstance(part, str) and part.strip() and part in shown_text for part in shown)
    assert "canary" not in shown_text


@pytest.mark.parametrize("keys", [[], [KEY] * 5], ids=["none", "five"])
def test_the_number_of_keys_is_bounded(keys):
    """An empty list accepts nothing, and each key costs time with every delivery."""
    with pytest.raises(ConfigError, match=rf"^account 'till': webhook_key: expected 1 to 4 keys, got {len(keys)}$"):
        GetManyProvider("till", webhook_key=keys)


def test_without_a_key_the_error_names_the_setting():
    """The owner of a receiver without a key finds it in the log."""
    with pytest.raises(WebhookVerificationError, match="give GetManyProvider the webhook's public key"):
        GetManyProvider("till").verify_webhook(VECTOR, BODY, now=NOW)


@pytest.mark.parametrize(
    ("accepted", "signing"),
    [
        ([PRIVATE], [PRIVATE, NEXT]), ([PRIVATE], [NEXT, PRIVATE]), ([PRIVATE, NEXT], [NEXT]),
        ([PRIVATE, NEXT], [PRIVATE]),
        ([NEXT], [PRIVATE] * 11 + [NEXT]),
    ],
    ids=["signed first", "signed last", "accepted last", "accepted first", "twelfth"],
)  # fmt: skip
def test_keys_are_rotated_without_a_gap(accepted, signing):
    """One valid signature by one accepted key is enough, in any order."""
    provider = GetManyProvider("till", webhook_key=[public(key) for key in accepted])

    assert provider.verify_webhook(*webhook(keys=signing), now=NOW).settled


def test_the_old_key_is_not_accepted_after_the_rotation():
    """Its signatures are those of any other key then."""
    provider = GetManyProvider("till", webhook_key=public(NEXT))

    with pytest.raises(WebhookVerificationError, match="none is of this delivery"):
        provider.verify_webhook(VECTOR, BODY, now=NOW)


@pytest.mark.parametrize(
    "other",
    [
        "v1,c2lnbmF0dXJl", "v2,?!", "v1b,AAAA", "", "v1a", "v1a,", "v1a,x", "V1A,AAAA", "v1a,QUFB",
        f"v1a,{BYTES.hex()}", f"v1a,{base64.b64encode(bytes(64)).decode()}", "v1a,a,b", "x" * 500,
        " ".join(["v2,AAAA"] * 100),
    ],
    ids=[
        "symmetric", "later", "later still", "empty", "version alone", "no signature", "not base64", "upper case",
        "short", "hex", "false", "commas", "long", "hundred",
    ],
)  # fmt: skip
def test_one_valid_signature_is_enough_whatever_is_beside_it(till, other):
    """The standard allows a sender to add others, before or after."""
    for signatures in (f"{other} {VECTOR['webhook-signature']}", f"{VECTOR['webhook-signature']} {other}"):
        assert till.verify_webhook(VECTOR | {"webhook-signature": signatures}, BODY).settled


def point(y, sign):
    """Encode a point of the curve by its y, which may be beyond the field, and the sign of its x."""
    return base64.b64encode((y | sign << 255).to_bytes(32, "little")).decode()


FIELD = 2**255 - 19
EIGHT = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
SMALL_ORDER = [0, 1, FIELD - 1, EIGHT, FIELD - EIGHT, FIELD, FIELD + 1]
PLACEHOLDERS = [*(point(y, sign) for y in SMALL_ORDER for sign in (0, 1)),
                *(base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 0x55, 0x7F, 255))]  # fmt: skip


@pytest.mark.parametrize("key", PLACEHOLDERS)
def test_a_key_for_which_anybody_can_sign_is_refused(key):
    """It is a point of small order in any encoding, or a placeholder, in any spelling and beside a good key."""
    spki = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + base64.b64decode(key)).decode()
    pem = f"-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n"

    for spelling in (key, f"whpk_{key}", spki, pem, [KEY, key]):
        with pytest.raises(ConfigError, match=r"^account 'till': webhook_key: a placeholder or a weak key"):
            GetManyProvider("till", webhook_key=spelling)


@pytest.mark.parametrize("keys", [1, 2, 3, 4])
def test_the_checks_of_one_delivery_are_bounded(monkeypatch, keys):
    """Each check takes time of the event loop; one signature more is rejected without any."""
    checked = []
    monkeypatch.setattr(standard_webhooks, "_is_valid", lambda *_: bool(checked.append(1)))
    provider = GetManyProvider("till", webhook_key=[KEY] * keys)
    signatures = [f"v1a,{base64.b64encode(bytes([n]) * 64).decode()}" for n in range(12 // keys + 1)]

    with pytest.raises(WebhookVerificationError, match=rf"more than {12 // keys} signatures$"):
        provider.verify_webhook(*webhook(changed={SIGNATURE: " ".join(signatures)}), now=NOW)
    with pytest.raises(WebhookVerificationError, match=NOT_SIGNED):
        provider.verify_webhook(*webhook(changed={SIGNATURE: " ".join(signatures[1:])}), now=NOW)

    assert len(checked) == 12


@pytest.mark.parametrize("size", [2**18 - 20, 1_000], ids=["the largest body", "a usual body"])
@pytest.mark.parametrize("keys", [1, 2, 3, 4])
def test_the_last_signature_is_checked_with_the_last_key(keys, size):
    """With as many of both as are admitted, every pair is checked, whatever the size."""
    body = json.dumps({"x": "y" * size}).encode()
    others = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(12)]
    provider = GetManyProvider("till", webhook_key=[*map(public, others[: keys - 1]), KEY])

    assert provider.verify_webhook(*webhook(body, keys=[*others[keys : keys + 12 // keys - 1], PRIVATE]), now=NOW)


@given(WEBHOOKS.map(json.dumps).map(str.encode) | st.binary())
@example(b'{"data":{"status":"\\ud800"}}')
@example(b'{"data":{"status":1e9}}')
def test_a_signed_body_becomes_an_event_or_a_verification_error(body):
    """Any signed body is either, and nothing else is raised."""
    provider = GetManyProvider("till", webhook_key=KEY)

    result = outcome(provider, webhook(body))

    if isinstance(result, WebhookEvent):
        assert result.event_id == "msg_2b"
        assert all(text is None or text.isprintable() for text in (result.event_type, result.status))
    else:
        assert "while it was verified" not in str(result)
