"""How requests to getMany are signed, and which keys are taken."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancekit import ConfigError, GetManyProvider, Secret
from balancekit.providers.getmany import signing_string
from tests.providers.contract import CANARY

URL = "https://api.blacksheep.money/account.balance.getMany"
KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NONCE = "AAECAwQFBgcICQoLDA0ODw=="
NOW = 1_767_225_600
SIGNATURE = "qXW2N3+VTMLOsvj9rbUobN10oss7pB+T65upzVhboqesZzn/JsexNYxApe6uraL6YYNFLRURa8yPv3OksFr9DA=="
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PUBLIC = PRIVATE.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
PKCS8, BARE = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


@pytest.fixture
def provider():
    """Make an account with the key of the vector."""
    return GetManyProvider("shop", key_id="key_0123", signing_key=KEY)


def written(key, encoding=DER, encryption=BARE):
    """Write a private key as PKCS#8: PEM, or DER in base64."""
    data = key.private_bytes(encoding, PKCS8, encryption)
    return data.decode() if encoding is PEM else base64.b64encode(data).decode()


def test_the_signing_string_is_that_of_the_vector():
    """Each part is preceded by its length; without a body the digest is empty."""
    text = signing_string(
        key_id="key_0123",
        timestamp=str(NOW),
        nonce=NONCE,
        method="POST",
        path="/account.balance.getMany",
        digest="",
    )

    assert text == f"8:key_0123:10:1767225600:24:{NONCE}:POST:24:/account.balance.getMany:"


def test_lengths_are_counted_in_bytes():
    """A character of two bytes in UTF-8 counts as two, and a digest ends the text."""
    text = signing_string(key_id="\u00e9", timestamp="1", nonce="", method="GET", path="/\u20ac?q", digest="a=:x:")

    assert text == "2:\u00e9:1:1:0::GET:6:/\u20ac?q:a=:x:"


def test_the_request_is_exactly_this(provider):
    """Method, URL and signed headers, no body and nothing besides."""
    request = provider.build_request(now=NOW, nonce=NONCE)

    assert (request.method, request.url, request.body) == ("POST", URL, b"")
    assert dict(request.headers) == {
        "Bs-Key-Id": "key_0123",
        "Bs-Timestamp": "1767225600",
        "Bs-Nonce": NONCE,
        "Bs-Signature": SIGNATURE,
    }


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://gate.example/bs/v1/", "/bs/v1/account.balance.getMany"),
        ("https://gate.example/a%2Fb", "/a%2Fb/account.balance.getMany"),
        ("https://gate.example/\u00e9", "/%C3%A9/account.balance.getMany"),
        ("http://127.0.0.1:8080", "/account.balance.getMany"),
    ],
    ids=["prefix", "encoded", "not ascii", "loopback"],
)
def test_the_path_that_is_sent_is_the_path_that_is_signed(base_url, path):
    """A path of the base URL is part of it, in the spelling that goes over the wire."""
    provider = GetManyProvider("shop", key_id="key_0123", signing_key=KEY, base_url=base_url)

    request = provider.build_request(now=NOW, nonce=NONCE)

    text = f"8:key_0123:10:{NOW}:24:{NONCE}:POST:{len(path)}:{path}:"
    assert request.url.endswith(path)
    PRIVATE.public_key().verify(base64.b64decode(request.headers["Bs-Signature"]), text.encode())


def test_each_request_is_signed_anew(provider):
    """Another time or another nonce is another signature."""
    calls = [(NOW, NONCE), (NOW + 1, NONCE), (NOW, "EBESExQVFhcYGRobHB0eHw==")]

    signatures = {provider.build_request(now=now, nonce=nonce).headers["Bs-Signature"] for now, nonce in calls}

    assert len(signatures) == 3


def test_without_credentials_the_request_goes_unsigned():
    """A gateway on the way may do the signing."""
    request = GetManyProvider("shop", base_url="http://127.0.0.1:9/bs").build_request(now=NOW, nonce=NONCE)

    assert (request.method, request.url) == ("POST", "http://127.0.0.1:9/bs/account.balance.getMany")
    assert dict(request.headers) == {}
    assert request.body == b""


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        Secret(KEY),
        f" {KEY[:20]}\n{KEY[20:]}\r\n",
        written(PRIVATE, PEM),
        f"\n{written(PRIVATE, PEM)}\n",
        written(PRIVATE, PEM).replace("\n", "\r\n"),
        written(PRIVATE, PEM).replace("\n", "\\n"),
    ],
    ids=["base64", "hidden", "base64 in lines", "pem", "pem with blank lines", "pem of windows", "pem in one line"],
)
def test_a_key_is_read_in_every_spelling(key):
    """Base64 of DER and PEM hold the same key."""
    provider = GetManyProvider("shop", key_id="key_0123", signing_key=key)

    assert provider.build_request(now=NOW, nonce=NONCE).headers["Bs-Signature"] == SIGNATURE


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        CANARY,
        f"{CANARY}\u00e9",
        f"{CANARY}\udce9",
        KEY[:-4],
        KEY[:-1],
        f"{KEY}AAAA",
        KEY.replace("BQYH", "-_YH"),
        base64.b64encode(bytes(range(32))).decode(),
        written(x25519.X25519PrivateKey.from_private_bytes(bytes(range(32)))),
        written(ec.generate_private_key(ec.SECP256R1())),
        written(PRIVATE, PEM, serialization.BestAvailableEncryption(b"x")),
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
        f"-----BEGIN {CANARY}",
        base64.b64encode(PUBLIC).decode(),
        KEY.encode(),
        7,
        [KEY],
    ],
    ids=[
        "empty", "blank", "no base64", "no ascii", "no utf-8", "cut", "bad padding", "longer", "url-safe", "raw seed",
        "x25519", "p-256", "passphrase", "broken pem", "half pem", "public", "bytes", "number", "list",
    ],
)  # fmt: skip
def test_a_malformed_key_is_named_and_not_shown(key, everything_shown_by):
    """The message says what is expected, and neither it nor the traceback's variables show a piece of the key."""
    shown = key[8:] if isinstance(key, str) and len(key) > 20 else CANARY

    with pytest.raises(ConfigError, match=r"^account 'shop': signing_key: expected the Ed25519 private key") as caught:
        GetManyProvider("shop", key_id="key_0123", signing_key=key)

    said = everything_shown_by(caught.value)
    assert not any(secret in said for secret in (shown, CANARY, KEY, KEY[20:]))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("half", "missing"),
    [({"key_id": "key_0123"}, "signing_key"), ({"signing_key": KEY}, "key_id")],
    ids=["no key", "no id"],
)
def test_half_a_credential_is_refused(half, missing, everything_shown_by):
    """The message names the half that is missing, and does not show the other."""
    with pytest.raises(ConfigError, match=rf"^account 'shop': {missing}: missing; give both") as caught:
        GetManyProvider("shop", **half)

    assert KEY not in everything_shown_by(caught.value)


def test_credentials_that_were_exchanged_give_no_secret_away(everything_shown_by):
    """Taking the key for its id is an easy mistake, and the key is as secret then."""
    with pytest.raises(ConfigError, match=r"^account 'shop': signing_key: ") as caught:
        GetManyProvider("shop", key_id=KEY, signing_key="key_0123")

    assert KEY not in everything_shown_by(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key_id": '"k"', "signing_key": KEY}, "key_id: there are quotes around it; remove them"),
        ({"key_id": b"k", "signing_key": KEY}, "key_id: expected text, got bytes"),
        ({"key_id": "k", "signing_key": f"'{KEY}'"}, "(there are quotes around it; remove them)"),
        ({"key_id": "k", "signing_key": KEY.encode()}, "(expected text, got bytes)"),
    ],
)
def test_the_usual_mistakes_with_a_key_have_their_messages(settings, message):
    """Quotes of an env file and a wrong type are named."""
    with pytest.raises(ConfigError) as caught:
        GetManyProvider("shop", **settings)

    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("base_url", ["http://signer:8080", "http://SIGNER", "http://127.0.0.1", "https://x.example"])
def test_unsigned_requests_may_go_to_a_named_host_in_the_clear(base_url):
    """A gateway that signs is often a name in a private network, and there is no key to lose."""
    provider = GetManyProvider("shop", base_url=base_url, allow_http_to=["Signer"])

    assert provider.build_request(now=NOW, nonce=NONCE).url.startswith(base_url.lower())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": "http://other"}, "base_url: http:// to other would send credentials in the clear"),
        ({"base_url": "http://signer.other"}, "base_url: http:// to signer.other would send credentials in the clear"),
        ({"base_url": "http://user:pw@signer"}, "base_url: credentials do not belong in the URL"),
        ({"key_id": "k", "signing_key": KEY}, "allow_http_to: only without key_id and signing_key"),
        ({"signing_key": KEY}, "allow_http_to: only without key_id and signing_key"),
        ({"key_id": "k"}, "allow_http_to: only without key_id and signing_key"),
        ({"allow_http_to": "signer"}, "allow_http_to: expected a list of hosts"),
        ({"allow_http_to": [7]}, "allow_http_to: expected a list of hosts"),
        ({"allow_http_to": ["signer", ""]}, "allow_http_to: expected a list of hosts"),
        ({"allow_http_to": [" "]}, "allow_http_to: expected a list of hosts"),
        ({"allow_http_to": None}, "allow_http_to: expected a list of hosts"),
        ({"allow_http_to": []}, "base_url: http:// to signer would send credentials in the clear"),
    ],
)
def test_plain_http_is_for_unsigned_requests_and_named_hosts_alone(changes, message):
    """A key is never sent in the clear, whatever is allowed."""
    with pytest.raises(ConfigError, match=f"^account 'shop': {message}"):
        GetManyProvider("shop", **{"base_url": "http://signer", "allow_http_to": ["signer"]} | changes)
