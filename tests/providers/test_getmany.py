"""The getMany (Blacksheep) API."""

import base64
import json
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from balancekit import (
    AssetType,
    AuthenticationError,
    BadRequestError,
    Balance,
    ConfigError,
    GetManyProvider,
    RateLimitedError,
    Response,
    Secret,
    ServiceUnavailableError,
)
from balancekit.money.exact_json import ShapeError
from balancekit.providers.getmany import signing_string
from balancekit.testing import ProviderContract
from tests.providers.contract import CANARY, GATEWAY_PAGE, AdapterContract
from tests.support import json_text

URL = "https://api.blacksheep.money/account.balance.getMany"
KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NONCE = "AAECAwQFBgcICQoLDA0ODw=="
NOW = 1_767_225_600
SIGNATURE = "qXW2N3+VTMLOsvj9rbUobN10oss7pB+T65upzVhboqesZzn/JsexNYxApe6uraL6YYNFLRURa8yPv3OksFr9DA=="
AMOUNT = {"value": "1500000000", "code": "AUD", "decimals": 6}
LINE = {"id": "b-1", "balance": AMOUNT}
BAD = {"value": "", "code": "", "decimals": -1, "chain": ""}

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PUBLIC = PRIVATE.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
PKCS8, BARE = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
GOOD = AMOUNT | {"chain": "base"}
AMOUNTS = st.fixed_dictionaries({}, optional={name: VALUES | st.just(good) for name, good in GOOD.items()})
LINES = st.fixed_dictionaries({}, optional={"id": VALUES, "balance": VALUES | AMOUNTS})
RESPONSES = st.fixed_dictionaries({"data": VALUES | st.lists(VALUES | LINES)})

OTHERS = st.sampled_from([None, 1, "", "balance", "a, b", b'"\\u002c"', [], ["value"], json_text.Pairs()])
AMOUNT_TEXTS = json_text.objects({name: st.just(good) for name, good in AMOUNT.items()}, more=OTHERS)
LINE_TEXTS = json_text.objects({"balance": AMOUNT_TEXTS}, more=OTHERS)


@pytest.fixture
def provider():
    """Make an account with the key of the vector."""
    return GetManyProvider("shop", key_id="key_0123", signing_key=KEY)


def response(*amounts):
    """Return a response with a line for each amount."""
    return of_lines(*({"balance": amount} for amount in amounts))


def of_lines(*lines):
    """Return a response with these lines."""
    return of_body(json.dumps({"data": lines}))


def of_body(body):
    """Return a response with this body."""
    return Response(200, body=body.encode())


def without(name):
    """Return an amount that lacks a field."""
    return {other: value for other, value in AMOUNT.items() if other != name}


class TestProviderContract(ProviderContract):
    """What every adapter does, of whichever distribution."""

    secrets = (KEY,)
    repeats_currencies = True
    signs_anew = True

    def make_provider(self, account, base_url):
        """Make an account with the key of the vector."""
        return GetManyProvider(account, key_id="key_0123", signing_key=KEY, base_url=base_url)

    def response_body(self, balances):
        """Write a line for each balance, in smallest units."""
        amounts = [
            {"value": held.plain.replace(".", ""), "code": held.code, "decimals": len(held.plain.partition(".")[2])}
            for held in balances
        ]
        return json.dumps({"data": [{"id": f"b-{n}", "balance": amount} for n, amount in enumerate(amounts)]}).encode()


class TestContract(AdapterContract):
    """What every adapter of this distribution does."""

    secrets = (KEY,)
    by_reference = frozenset({"signing_key"})
    samples = "getmany"
    bodies = RESPONSES.map(json.dumps).map(str.encode)
    bad_settings = (
        ("key_id", ""), ("key_id", "key 1"), ("key_id", "key\n"), ("key_id", "k\u00e9y"), ("key_id", 7),
        ("base_url", "https://x.example/?a"),
    )  # fmt: skip
    malformed = (
        (response(AMOUNT, without("value")), "data[1].balance.value: missing"),
        (response(AMOUNT, without("code")), "data[1].balance.code: missing"),
        (response(AMOUNT, without("decimals")), "data[1].balance.decimals: missing"),
        (response(AMOUNT | {"value": True}), "data[0].balance.value: expected a decimal string, got a boolean"),
        (response(AMOUNT | {"value": 1.5}), "data[0].balance.value: not a whole number of smallest units"),
        (response(AMOUNT | {"decimals": 101}), "data[0].balance.decimals: expected a whole number from 0 to 100"),
        (response(AMOUNT | {"decimals": 6.0}, {}), "data[0].balance.decimals: expected a whole number from 0 to 100"),
        (response(AMOUNT | {"code": 1.5}), "data[0].balance.code: expected a string, got a number"),
        (response(AMOUNT | {"code": ""}), "data[0].balance.code: an empty code"),
        (response(AMOUNT | {"chain": {}}), "data[0].balance.chain: expected a string, got an object"),
        (response(AMOUNT | {"chain": "X" * 33}), "data[0].balance.chain: a chain longer than 32 characters"),
        (of_lines(LINE | {"id": 7}), "data[0].id: expected a string, got a number"),
        (of_lines(*({**LINE, "id": f"b-{n}"} for n in (0, 1, 2, 3, 4, 3))), "data[5].id: the same as data[3].id"),
        (of_lines(LINE, LINE | {"balance": AMOUNT | {"code": "EUR"}}), "data[1].id: the same as data[0].id"),
        (of_lines({}), "data[0].balance: missing"),
        (of_lines({"balance": "1"}), "data[0].balance: expected an object, got a string"),
        (of_lines(7), "data[0]: expected an object, got a number"),
        (of_body('{"error":{"code":"X","message":"x"}}'), "data: missing"),
        (of_body('{"data": "x"}'), "data: expected a list, got a string"),
        (
            of_body('{"data":[{"balance":{"value":"1","code":"AUD","decimals":6,"value":"1000"}}]}'),
            "data[0].balance.value: given twice",
        ),
        (
            of_body(json.dumps({"data": [LINE]}).replace('"balance"', '"balance":1,"balance"')),
            "data[0].balance: given twice",
        ),
        (of_body("error code: 1015"), "the body is not JSON"),
        (of_body(""), "the body is empty"),
        # Of several faults the first line counts, and in it the fields in their order.
        (of_lines({"id": 7, "balance": BAD}, {}), "data[0].balance.value: not a whole number of smallest units"),
        (of_lines({"id": 7, "balance": BAD | {"value": "1"}}), "data[0].balance.code: an empty code"),
        (of_lines({"id": 7, "balance": AMOUNT | {"chain": ""}}), "data[0].balance.chain: an empty chain"),
    )
    documented_errors = (
        ("bad_signature", AuthenticationError, "invalid_signature", "401 invalid_signature",
         "Check key_id and signing_key"),
        ("forbidden", AuthenticationError, "FORBIDDEN", "403 FORBIDDEN: The key may not read balances",
         "Check the account's credentials"),
        ("bad_request", BadRequestError, "BAD_REQUEST", "400 BAD_REQUEST: Input is not expected",
         "Check the account's settings"),
        ("internal", ServiceUnavailableError, "INTERNAL", "500 INTERNAL: Something went wrong",
         "The provider is failing"),
        ("rate_limited", RateLimitedError, None, "429: error code: 1015", "Too many requests"),
        ("bad_gateway", ServiceUnavailableError, None, GATEWAY_PAGE, "The provider is failing"),
    )  # fmt: skip

    @staticmethod
    def make(account="shop", **changes):
        """Make an account with the key of the vector."""
        return GetManyProvider(account, **({"key_id": "key_0123", "signing_key": KEY} | changes))


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


def test_the_response_of_the_providers_page_is_read(provider, read_sample):
    """The example of "Listing balances" gives its two balances, at the scale that was reported."""
    balances = provider.read_response(read_sample("getmany", "page"))

    assert [str(balance.amount) for balance in balances] == ["1500.000000", "250.000000"]
    assert balances[1] == Balance(
        "USD",
        Decimal("250.000000"),
        AssetType.FIAT,
        "shop",
        "getmany",
        "USD",
        reference="0070fd82-d3a8-4339-9466-1a91d0f4491d",
    )


def test_type_and_chain_are_those_of_each_line(provider, read_sample):
    """A chain means crypto, a code of ISO 4217 without one fiat, and any other code nothing."""
    balances = provider.read_response(read_sample("getmany", "many"))

    assert [(balance.code, balance.chain, balance.asset_type.value) for balance in balances] == [
        ("USDC", "ethereum", "crypto"),
        ("USDC", "base", "crypto"),
        ("JPY", None, "fiat"),
        ("MNT", None, "fiat"),
        ("MNT", "mantle", "crypto"),
        ("eur", None, "fiat"),
        ("POINTS", None, "unknown"),
    ]


def test_amounts_and_codes_are_kept_as_they_were_reported(provider, read_sample):
    """Scale, minus signs, the case of the code and the provider's own ids stay."""
    balances = provider.read_response(read_sample("getmany", "many"))

    assert [(balance.currency, balance.reference, str(balance.amount)) for balance in balances] == [
        ("USDC", "b-1", "1.500000"),
        ("USDC", "b-2", "2.500000"),
        ("JPY", "b-3", "42"),
        ("MNT", "b-4", "0.07"),
        ("MNT", "b-5", "0.07"),
        ("EUR", "b-6", "-3.10"),
        ("POINTS", "b-7", "1"),
    ]


@pytest.mark.parametrize(
    ("value", "decimals", "amount"),
    [
        ("-0", 2, "0.00"),
        ("+7", 0, "7"),
        ("9" * 100, 100, "0." + "9" * 100),
        (123456789012345678901234567890, 0, "123456789012345678901234567890"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_smallest_units_are_scaled_exactly(provider, value, decimals, amount):
    """The decimals are always those of the response."""
    (balance,) = provider.read_response(response({"value": value, "code": "USDC", "decimals": decimals}))

    assert format(balance.amount, "f") == amount


def test_a_field_that_is_not_read_fails_nothing_whatever_it_is_called(provider):
    """A provider may add what not every decoder takes."""
    amount = AMOUNT | {"\ud800": "\ud800", "new": None}

    assert provider.read_response(response(amount)) == provider.read_response(response(AMOUNT))


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
        ({"allow_http_to": None}, "allow_http_to: expected a list of hosts"),
        ({"allow_http_to": []}, "base_url: http:// to signer would send credentials in the clear"),
    ],
)
def test_plain_http_is_for_unsigned_requests_and_named_hosts_alone(changes, message):
    """A key is never sent in the clear, whatever is allowed."""
    with pytest.raises(ConfigError, match=f"^account 'shop': {message}"):
        GetManyProvider("shop", **{"base_url": "http://signer", "allow_http_to": ["signer"]} | changes)


@given(st.lists(LINE_TEXTS, max_size=3), st.lists(json_text.more_fields(OTHERS), max_size=2))
def test_a_key_that_is_given_twice_is_always_refused(lines, more):
    """Whatever else a response holds, no balance is read from an object that has a key twice."""
    text = json_text.write(json_text.Pairs([("data", lines), *more]))
    account = GetManyProvider("shop")

    if json_text.has_duplicates(text):
        with pytest.raises(ShapeError):
            account.read_response(of_body(text))
    else:
        assert len(account.read_response(of_body(text))) == len(lines)
