"""Deliveries that are not the provider's: each refused by the pure functions, and by every receiver with one answer.

The signatures are made here, of `hmac` and `cryptography` alone.
"""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancekit import WebhookVerificationError

NOW = 1_767_225_600
CALLBACK = b'{"id":7,"type":"deposit","status":"confirmed"}'
WEBHOOK = b'{"type":"transaction.updated","data":{"id":"tx_1","status":"COMPLETED"}}'
KEY, SIGNATURE = b"X-Processing-Key", b"X-Processing-Signature"
ID, TIMESTAMP, SIGNATURES = b"webhook-id", b"webhook-timestamp", b"webhook-signature"


def hexadecimal(body, *, secret=b"AbCdEfG123456", digest=hashlib.sha512):
    """Sign as Cryptoprocessing does."""
    return hmac.new(secret, body, digest).hexdigest().encode()


def callback(signed=CALLBACK, *more, body=None, drop=(), **values):
    """Make a callback: what was signed, and then what was changed."""
    headers = {KEY: values.get("key", b"key-0123"), SIGNATURE: values.get("signature", hexadecimal(signed))}
    return [(name, value) for name, value in headers.items() if name not in drop] + [
        *more
    ], signed if body is None else body


def raw_signature(body, *, event_id=b"msg_2b", timestamp=b"%d" % NOW, seed=bytes(range(32))):
    """Sign as getMany does."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"%b.%b.%b" % (event_id, timestamp, body))


def encoded(*args, **kwargs):
    """Sign as getMany does, in base64."""
    return base64.b64encode(raw_signature(*args, **kwargs))


def webhook(signed=WEBHOOK, *more, body=None, drop=(), signed_at=b"%d" % NOW, signed_id=b"msg_2b", **values):
    """Make a webhook: what was signed, and then what was changed."""
    signature = b"v1a," + encoded(signed, event_id=signed_id, timestamp=signed_at)
    headers = {
        ID: values.get("event_id", signed_id),
        TIMESTAMP: values.get("timestamp", signed_at),
        SIGNATURES: values.get("signature", signature),
    }
    return [(name, value) for name, value in headers.items() if name not in drop] + [
        *more
    ], signed if body is None else body


def nested(depth):
    """Write an object that holds lists within lists."""
    return b'{"id":1,"x":' + b"[" * depth + b"]" * depth + b"}"


HEX = hexadecimal(CALLBACK)
GOOD = encoded(WEBHOOK)
RAW = raw_signature(WEBHOOK)
NOT_OF_BODY = "X-Processing-Signature: not that of this body"
NOT_HEX = "X-Processing-Signature: not 128 lower-case"
NOT_SIGNED = "webhook-signature: none is of this delivery"
NOT_A_LIST = "webhook-signature: not versions and signatures"
TOO_LARGE = b'{"id":1,"x":"' + b"x" * 2**18 + b'"}'

# Signed as the provider signs, and yet nothing that it would send.
MALFORMED = {
    "empty": (b"", "the body is empty"),
    "blank": (b" \n", "the body is empty"),
    "not json": (b"id=7", "the body is not JSON"),
    "half": (b'{"id":7,', "the body is not JSON"),
    "two": (b'{"id":7}{"id":7}', "the body is not JSON"),
    "not a number": (b'{"id":NaN}', "the body is not JSON"),
    "byte order mark": (b'\xef\xbb\xbf{"id":7}', "the body is not JSON"),
    "not utf-8": (b'{"id":"\xff"}', "the body is not UTF-8"),
    "utf-16": ('{"id":7}'.encode("utf-16"), "the body is not UTF-8"),
    "list": (b"[]", "the body: expected an object, got a list"),
    "string": (b'"{}"', "the body: expected an object, got a string"),
    "number": (b"7", "the body: expected an object, got a number"),
    "null": (b"null", "the body: expected an object, got null"),
    "deep": (nested(40), "the body is nested too deeply"),
    "deeper": (nested(50_000), "the body is nested too deeply"),
    "many values": (b'{"id":1,"x":[' + b"1," * 70_000 + b"1]}", "the body holds more than"),
    "too large": (TOO_LARGE, "the body is larger than 262144 bytes"),
    "type number": (b'{"id":7,"type":7}', "type: expected a string, got a number"),
    "type endless": (b'{"id":7,"type":1e9}', "type: expected a string, got a number"),
    "type object": (b'{"id":7,"type":{}}', "type: expected a string, got an object"),
    "type empty": (b'{"id":7,"type":""}', "type: an empty label"),
    "type surrogate": (b'{"id":7,"type":"\\ud800"}', "type: a label with characters that are not printable"),
    "type of two lines": (b'{"id":7,"type":"a\\nb"}', "type: a label with characters that are not printable"),
    "status escape": (b'{"id":7,"status":"\\u001b[31m"}', "status: a label with characters that are not printable"),
    "status surrogate": (b'{"id":7,"status":"x\\udfff"}', "status: a label with characters that are not printable"),
    "status long": (b'{"id":7,"status":"%b"}' % (b"x" * 201), "status: a label longer than 200 characters"),
}
CALLBACKS = {
    **{f"signed, {name}": (callback(body), reason) for name, (body, reason) in MALFORMED.items()},
    "signed, no id": (callback(b"{}"), "id: missing"),
    "signed, id null": (callback(b'{"id":null}'), "id: missing"),
    "signed, id true": (callback(b'{"id":true}'), "id: expected a string, got a boolean"),
    "signed, id fraction": (callback(b'{"id":7.5}'), "id: expected a string, got a number"),
    "signed, id endless": (callback(b'{"id":%b}' % (b"7" * 5_000)), "id: expected a string, got a number"),
    "signed, id list": (callback(b'{"id":[7]}'), "id: expected a string, got a list"),
    "signed, id empty": (callback(b'{"id":""}'), "id: an empty label"),
    "signed, status list": (callback(b'{"id":7,"status":["confirmed"]}'), "status: expected a string, got a list"),
    "no signature": (callback(drop=[SIGNATURE]), "X-Processing-Signature: missing"),
    "no key": (callback(drop=[KEY]), "X-Processing-Key: missing"),
    "nothing": (callback(drop=[KEY, SIGNATURE]), "X-Processing-Key: missing"),
    "signature twice": (callback(CALLBACK, (SIGNATURE, HEX)), "X-Processing-Signature: repeated"),
    "signature in both cases": (callback(CALLBACK, (SIGNATURE.lower(), HEX)), "X-Processing-Signature: repeated"),
    "a false signature too": (callback(CALLBACK, (SIGNATURE, b"0" * 128)), "X-Processing-Signature: repeated"),
    "key twice": (callback(CALLBACK, (KEY, b"key-0123")), "X-Processing-Key: repeated"),
    "other key": (callback(key=b"key-0124"), "X-Processing-Key: not the account's key"),
    "upper key": (callback(key=b"KEY-0123"), "X-Processing-Key: not the account's key"),
    "part of the key": (callback(key=b"key-012"), "X-Processing-Key: not the account's key"),
    "more than the key": (callback(key=b"key-01234"), "X-Processing-Key: not the account's key"),
    "empty key": (callback(key=b""), "X-Processing-Key: not the account's key"),
    "key not ascii": (callback(key="k\u00e9y-0123".encode()), "X-Processing-Key: not of printable ASCII"),
    "key too long": (callback(key=b"k" * 2_049), "X-Processing-Key: longer than 2048"),
    "exchanged": (callback(key=HEX, signature=b"key-0123"), NOT_HEX),
    "empty signature": (callback(signature=b""), NOT_HEX),
    "upper signature": (callback(signature=HEX.upper()), NOT_HEX),
    "cut signature": (callback(signature=HEX[:-1]), NOT_HEX),
    "longer signature": (callback(signature=HEX + b"0"), NOT_HEX),
    "prefixed signature": (callback(signature=b"sha512=" + HEX), NOT_HEX),
    "signature in base64": (callback(signature=base64.b64encode(bytes.fromhex(HEX.decode()))), NOT_HEX),
    "signature not ascii": (callback(signature="\u0660".encode() * 64), "X-Processing-Signature: not of printable"),
    "signature too long": (callback(signature=HEX * 17), "X-Processing-Signature: longer than 2048"),
    "two in one": (callback(signature=HEX + b"," + HEX), NOT_HEX),
    "sha-256": (callback(signature=hexadecimal(CALLBACK, digest=hashlib.sha256)), NOT_HEX),
    "sha3-512": (callback(signature=hexadecimal(CALLBACK, digest=hashlib.sha3_512)), NOT_OF_BODY),
    "bare hash": (callback(signature=hashlib.sha512(CALLBACK).hexdigest().encode()), NOT_OF_BODY),
    "zeros": (callback(signature=b"0" * 128), NOT_OF_BODY),
    "first digit": (callback(signature=b"%x" % (int(HEX[:1], 16) ^ 1) + HEX[1:]), NOT_OF_BODY),
    "last digit": (callback(signature=HEX[:-1] + b"%x" % (int(HEX[-1:], 16) ^ 1)), NOT_OF_BODY),
    "other secret": (callback(signature=hexadecimal(CALLBACK, secret=b"AbCdEfG123457")), NOT_OF_BODY),
    "keyed with the key": (callback(signature=hexadecimal(CALLBACK, secret=b"key-0123")), NOT_OF_BODY),
    "keyed with nothing": (callback(signature=hexadecimal(CALLBACK, secret=b"")), NOT_OF_BODY),
    "signature of a request": (callback(signature=hexadecimal(b"{}")), NOT_OF_BODY),
    "a request": (callback(b"{}"), "id: missing"),
    "other status": (callback(body=CALLBACK.replace(b"confirmed", b"cancelled")), NOT_OF_BODY),
    "other id": (callback(body=CALLBACK.replace(b"7", b"8")), NOT_OF_BODY),
    "written anew": (callback(body=json.dumps(json.loads(CALLBACK)).encode()), NOT_OF_BODY),
    "line break after": (callback(body=CALLBACK + b"\n"), NOT_OF_BODY),
    "blank before": (callback(body=b" " + CALLBACK), NOT_OF_BODY),
    "mark before": (callback(body=b"\xef\xbb\xbf" + CALLBACK), NOT_OF_BODY),
    "cut body": (callback(body=CALLBACK[:-1]), NOT_OF_BODY),
    "no body": (callback(body=b""), NOT_OF_BODY),
    "twice": (callback(body=CALLBACK * 2), NOT_OF_BODY),
    "headers of the other scheme": ((webhook()[0], CALLBACK), "X-Processing-Key: missing"),
}  # fmt: skip
WEBHOOKS = {
    **{f"signed, {name}": (webhook(body), reason) for name, (body, reason) in MALFORMED.items()
       if not name.startswith("status")},
    "signed, event number": (webhook(b'{"event":7}'), "event: expected a string, got a number"),
    "signed, status of two lines": (webhook(b'{"data":{"status":"a\\nb"}}'), "status: a label with characters"),
    "signed, inner status": (webhook(b'{"data":{"transaction":{"status":""}}}'), "status: an empty label"),
    "no id": (webhook(drop=[ID]), "webhook-id: missing"),
    "no timestamp": (webhook(drop=[TIMESTAMP]), "webhook-timestamp: missing"),
    "no signature": (webhook(drop=[SIGNATURES]), "webhook-signature: missing"),
    "nothing": (webhook(drop=[ID, TIMESTAMP, SIGNATURES]), "webhook-id: missing"),
    "id twice": (webhook(WEBHOOK, (ID, b"msg_2b")), "webhook-id: repeated"),
    "id in both cases": (webhook(WEBHOOK, (b"Webhook-Id", b"msg_2c")), "webhook-id: repeated"),
    "timestamp twice": (webhook(WEBHOOK, (TIMESTAMP, b"%d" % NOW)), "webhook-timestamp: repeated"),
    "signature twice": (webhook(WEBHOOK, (SIGNATURES, b"v1a," + GOOD)), "webhook-signature: repeated"),
    "other id": (webhook(event_id=b"msg_2c"), NOT_SIGNED),
    "upper id": (webhook(event_id=b"MSG_2B"), NOT_SIGNED),
    "empty id": (webhook(signed_id=b""), "webhook-id: not 1 to 255 visible"),
    "long id": (webhook(signed_id=b"m" * 256), "webhook-id: not 1 to 255 visible"),
    "huge id": (webhook(signed_id=b"m" * 2_049), "webhook-id: longer than 2048"),
    "id of two words": (webhook(signed_id=b"msg 2b"), "webhook-id: not 1 to 255 visible"),
    "id with a brace": (webhook(signed_id=b"msg{2b"), "webhook-id: not 1 to 255 visible"),
    "id not ascii": (webhook(signed_id="m\u00e9".encode()), "webhook-id: not of printable ASCII"),
    "other time": (webhook(timestamp=b"%d" % (NOW + 1)), NOT_SIGNED),
    "fraction appended": (webhook(timestamp=b"%d.9" % NOW), "webhook-timestamp: not 1 to 15 digits"),
    "zero in front": (webhook(timestamp=b"0%d" % NOW), NOT_SIGNED),
    "plus": (webhook(timestamp=b"+%d" % NOW), "webhook-timestamp: not 1 to 15 digits"),
    "signed plus": (webhook(signed_at=b"+%d" % NOW), "webhook-timestamp: not 1 to 15 digits"),
    "minus": (webhook(signed_at=b"-%d" % NOW), "webhook-timestamp: not 1 to 15 digits"),
    "exponent": (webhook(signed_at=b"17672256e2"), "webhook-timestamp: not 1 to 15 digits"),
    "underscore": (webhook(signed_at=b"1_767_225_600"), "webhook-timestamp: not 1 to 15 digits"),
    "hexadecimal": (webhook(signed_at=b"0x6955b900"), "webhook-timestamp: not 1 to 15 digits"),
    "other digits": (webhook(signed_at="\uff11\uff17".encode()), "webhook-timestamp: not of printable ASCII"),
    "empty timestamp": (webhook(signed_at=b""), "webhook-timestamp: not 1 to 15 digits"),
    "endless timestamp": (webhook(signed_at=b"1" * 2_000), "webhook-timestamp: not 1 to 15 digits"),
    "date": (webhook(signed_at=b"2026-01-01T00:00:00Z"), "webhook-timestamp: not 1 to 15 digits"),
    "milliseconds": (webhook(signed_at=b"%d000" % NOW), "webhook-timestamp: more than 5 s ahead"),
    "old": (webhook(signed_at=b"%d" % (NOW - 301)), "webhook-timestamp: more than 300 s old"),
    "ahead": (webhook(signed_at=b"%d" % (NOW + 6)), "webhook-timestamp: more than 5 s ahead"),
    "at the epoch": (webhook(signed_at=b"0"), "webhook-timestamp: more than 300 s old"),
    "dots moved": (
        webhook(signed_id=b"msg.%d" % NOW, event_id=b"msg", body=b"%d." % NOW + WEBHOOK), "the body is not JSON"
    ),
    "empty signature": (webhook(signature=b""), NOT_A_LIST),
    "no version": (webhook(signature=GOOD), NOT_A_LIST),
    "version alone": (webhook(signature=b"v1a"), NOT_A_LIST),
    "version and comma": (webhook(signature=b"v1a,"), NOT_A_LIST),
    "upper version": (webhook(signature=b"V1A," + GOOD), NOT_A_LIST),
    "two blanks": (webhook(signature=b"v1a,%b  v1a,%b" % (GOOD, GOOD)), NOT_A_LIST),
    "not ascii": (webhook(signature="v1a,\u00e9".encode()), "webhook-signature: not of printable ASCII"),
    "commas between": (webhook(signature=b"v1a,%b,v1a,%b" % (GOOD, GOOD)), "webhook-signature: not standard base64"),
    "unknown version": (webhook(signature=b"v2a," + GOOD), "webhook-signature: none of version v1a"),
    "symmetric version": (webhook(signature=b"v1," + GOOD), "webhook-signature: none of version v1a"),
    "no padding": (webhook(signature=b"v1a," + GOOD.rstrip(b"=")), "webhook-signature: not standard base64"),
    "more padding": (webhook(signature=b"v1a," + GOOD + b"=="), "webhook-signature: not standard base64"),
    "stray bits": (webhook(signature=b"v1a," + GOOD[:-3] + b"x=="), "webhook-signature: not standard base64"),
    "url-safe": (webhook(signature=b"v1a," + base64.urlsafe_b64encode(RAW)), "webhook-signature: not standard base64"),
    "hex": (webhook(signature=b"v1a," + RAW.hex().encode()), "webhook-signature: not of 64 bytes"),
    "63 bytes": (webhook(signature=b"v1a," + base64.b64encode(RAW[:-1])), "webhook-signature: not of 64 bytes"),
    "65 bytes": (webhook(signature=b"v1a," + base64.b64encode(RAW + b"\0")), "webhook-signature: not of 64 bytes"),
    "zeros": (webhook(signature=b"v1a," + base64.b64encode(bytes(64))), NOT_SIGNED),
    "first bit": (webhook(signature=b"v1a," + base64.b64encode(bytes([RAW[0] ^ 1]) + RAW[1:])), NOT_SIGNED),
    "last bit": (webhook(signature=b"v1a," + base64.b64encode(RAW[:-1] + bytes([RAW[-1] ^ 128]))), NOT_SIGNED),
    "other key": (webhook(signature=b"v1a," + encoded(WEBHOOK, seed=bytes(32))), NOT_SIGNED),
    "other body": (webhook(signature=b"v1a," + encoded(b"{}")), NOT_SIGNED),
    "good beside malformed": (webhook(signature=b"v1a,x v1a," + GOOD), "webhook-signature: not standard base64"),
    "nine": (webhook(signature=b" ".join([b"v1a," + GOOD] * 9)), "webhook-signature: more than 8 signatures"),
    "huge": (webhook(signature=b" ".join([b"v1a," + GOOD] * 30)), "webhook-signature: longer than 2048"),
    "other status": (webhook(body=WEBHOOK.replace(b"COMPLETED", b"PENDING")), NOT_SIGNED),
    "written anew": (webhook(body=json.dumps(json.loads(WEBHOOK)).encode()), NOT_SIGNED),
    "line break after": (webhook(body=WEBHOOK + b"\n"), NOT_SIGNED),
    "mark before": (webhook(body=b"\xef\xbb\xbf" + WEBHOOK), NOT_SIGNED),
    "cut body": (webhook(body=WEBHOOK[:-1]), NOT_SIGNED),
    "no body": (webhook(body=b""), NOT_SIGNED),
    "headers of the other scheme": ((callback()[0], WEBHOOK), "webhook-id: missing"),
}  # fmt: skip
CASES = [pytest.param("shop", *case, id=f"callback: {name}") for name, case in CALLBACKS.items()]
CASES += [pytest.param("till", *case, id=f"webhook: {name}") for name, case in WEBHOOKS.items()]


@pytest.fixture
def account(shop, till):
    """Find an account by its label."""
    return {"shop": shop, "till": till}.__getitem__


def test_there_are_enough_of_them():
    """Each scheme is tried in at least forty ways, besides bodies that are malformed but signed."""
    assert len(CALLBACKS) - len(MALFORMED) >= 40
    assert len(WEBHOOKS) - len(MALFORMED) >= 40


@pytest.mark.parametrize(
    ("label", "untouched"), [("shop", callback()), ("till", webhook())], ids=["callback", "webhook"]
)
def test_the_same_delivery_untouched_is_accepted(account, label, untouched):
    """What is refused below is refused for what was changed."""
    assert account(label).verify_webhook(*untouched).settled


@pytest.mark.parametrize(("label", "delivery", "reason"), CASES)
def test_it_is_refused_for_the_right_reason(account, label, delivery, reason):
    """The message says what is wrong, for the log."""
    with pytest.raises(WebhookVerificationError) as caught:
        account(label).verify_webhook(*delivery)

    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(("label", "delivery", "reason"), CASES)
def test_no_receiver_tells_the_sender_why(servers, caplog, label, delivery, reason):
    """Each answers as it does to an empty request; the reason is in the log, and nothing of the delivery is."""
    for framework in ("aiohttp", "starlette", "fastapi"):
        caplog.clear()
        refusal = servers.exchange(framework, f"/webhooks/{label}")
        answer = servers.exchange(framework, f"/webhooks/{label}", *delivery)

        assert answer == refusal
        assert answer.startswith(b"HTTP/1.1 400 ")
        (_, line) = [record.getMessage() for record in caplog.records if record.name == "balancekit.webhooks"]
        assert line.startswith(f"refused a webhook for {label}: {reason}")
        assert not any(value.decode("latin-1") in line for _, value in delivery[0] if len(value) > 10)
    assert servers.inbox.events == []


@pytest.mark.parametrize(("label", "delivery", "reason"), CASES)
def test_nothing_of_it_is_in_the_error(everything_said_by, account, label, delivery, reason):
    """Error trackers collect the variables of every frame, and a signature may be a good one."""
    provider = account(label)
    with pytest.raises(WebhookVerificationError) as caught:
        provider.verify_webhook(*delivery)

    said = everything_said_by(caught.value)
    headers, body = delivery
    secrets = ["AbCdEfG123456", "key-0123", HEX.decode(), hexadecimal(body).decode()]
    secrets += [value.decode("latin-1") for _, value in headers if len(value) > 10]
    assert not any(secret in said for secret in secrets)
    assert len(body) < 8 or body.decode("latin-1") not in said
    assert caught.value.__cause__ is caught.value.__context__ is None
