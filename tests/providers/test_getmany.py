"""The getMany (Blacksheep) API."""

import base64
import json
from contextlib import suppress
from decimal import Decimal

import aiohttp
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
    MalformedResponseError,
    ProviderTimeoutError,
    RateLimitedError,
    Response,
    Secret,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)
from balancekit.money.exact_json import ShapeError
from balancekit.providers.getmany import signing_string

URL = "https://api.blacksheep.money/account.balance.getMany"
CANARY = "canary-3f9a"
KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NONCE = "AAECAwQFBgcICQoLDA0ODw=="
NOW = 1_767_225_600
SIGNATURE = "qXW2N3+VTMLOsvj9rbUobN10oss7pB+T65upzVhboqesZzn/JsexNYxApe6uraL6YYNFLRURa8yPv3OksFr9DA=="
AMOUNT = {"value": "1500000000", "code": "AUD", "decimals": 6}
LINE = {"id": "b-1", "balance": AMOUNT}

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PUBLIC = PRIVATE.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
PKCS8, BARE = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
GOOD = AMOUNT | {"chain": "base"}
AMOUNTS = st.fixed_dictionaries({}, optional={name: VALUES | st.just(good) for name, good in GOOD.items()})
LINES = st.fixed_dictionaries({}, optional={"id": VALUES, "balance": VALUES | AMOUNTS})
ANSWERS = st.fixed_dictionaries({"data": VALUES | st.lists(VALUES | LINES)})
BODIES = st.binary() | ANSWERS.map(json.dumps).map(str.encode)


@pytest.fixture
def provider():
    """Make an account with the key of the vector."""
    return GetManyProvider("shop", key_id="key_0123", signing_key=KEY)


def answer(*amounts):
    """Write a body with a line for each amount."""
    return Response(200, body=json.dumps({"data": [{"balance": amount} for amount in amounts]}).encode())


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
    ],
    ids=["base64", "hidden", "base64 in lines", "pem", "pem with blank lines", "pem of windows"],
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
    shown = key[8:] if isinstance(key, str) and len(key) > 8 else CANARY

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


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("key_id", ""), ("key_id", "key 1"), ("key_id", "key\n"), ("key_id", "k\u00e9y"), ("key_id", 7),
        ("base_url", "http://x.example"), ("base_url", "x.example"), ("base_url", "https://x.example/?a"),
        ("base_url", None), ("base_url", f"https://user:{CANARY}@x.example"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_setting_that_cannot_work_is_named_and_not_shown(setting, value, everything_shown_by):
    """The message names account and setting, and neither it nor the traceback's variables show a secret."""
    settings = {"key_id": "key_0123", "signing_key": KEY} | {setting: value}

    with pytest.raises(ConfigError, match=rf"^account 'shop': {setting}: ") as caught:
        GetManyProvider("shop", **settings)

    said = everything_shown_by(caught.value)
    assert KEY not in said
    assert CANARY not in said


def test_credentials_that_were_exchanged_give_no_secret_away(everything_shown_by):
    """Taking the key for its id is an easy mistake, and the key is as secret then."""
    with pytest.raises(ConfigError, match=r"^account 'shop': signing_key: ") as caught:
        GetManyProvider("shop", key_id=KEY, signing_key="key_0123")

    assert KEY not in everything_shown_by(caught.value)


def test_an_account_shows_no_secret(provider):
    """Neither the provider nor its parts nor its request show the key or a signature."""
    shown = repr([provider, vars(provider), provider.build_request(now=NOW, nonce=NONCE)])

    assert KEY not in shown
    assert SIGNATURE not in shown


def test_the_signing_key_may_be_held_by_reference_only():
    """A configuration file names where the key is, not the key."""
    assert GetManyProvider.secret_settings == {"signing_key"}


def test_the_answer_of_the_providers_page_is_read(provider, read_sample):
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
        ("0", 6, "0.000000"),
        ("-0", 2, "0.00"),
        ("-1", 2, "-0.01"),
        ("+7", 0, "7"),
        ("1", 18, "0.000000000000000001"),
        ("9" * 100, 100, "0." + "9" * 100),
        (250_000_000, 6, "250.000000"),
        (123456789012345678901234567890, 0, "123456789012345678901234567890"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_smallest_units_are_scaled_exactly(provider, value, decimals, amount):
    """The decimals are always those of the answer."""
    (balance,) = provider.read_response(answer({"value": value, "code": "USDC", "decimals": decimals}))

    assert format(balance.amount, "f") == amount


def test_an_account_without_balances_is_empty(provider, read_sample):
    """The API leaves zeros out, so an empty list is an answer."""
    assert provider.read_response(read_sample("getmany", "empty")) == ()


@pytest.mark.parametrize("name", AMOUNT)
def test_a_missing_field_is_named_by_its_path(provider, name):
    """Nothing is guessed for what is not there."""
    amount = {other: value for other, value in AMOUNT.items() if other != name}

    with pytest.raises(ShapeError, match=rf"^data\[1\]\.balance\.{name}: missing$"):
        provider.read_response(answer(AMOUNT, amount))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("value", True, "expected a decimal string, got a boolean"),
        ("value", 1.5, "not a whole number of smallest units"),
        ("decimals", 101, "expected a whole number from 0 to 100"),
        ("decimals", 6.0, "expected a whole number from 0 to 100"),
        ("code", 1.5, "expected a string, got a number"),
        ("code", "", "an empty code"),
        ("chain", {}, "expected a string, got an object"),
        ("chain", "X" * 33, "a code longer than 32 characters"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_field_that_cannot_be_read_is_named_by_its_path(provider, name, value, reason):
    """The message says where and what is wrong."""
    with pytest.raises(ShapeError) as caught:
        provider.read_response(answer(AMOUNT, AMOUNT | {name: value}))

    assert str(caught.value) == f"data[1].balance.{name}: {reason}"


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"value": "", "code": "", "decimals": -1, "chain": ""}, "balance.value"),
        ({"code": "", "decimals": -1, "chain": ""}, "balance.code"),
        ({"decimals": -1, "chain": ""}, "balance.decimals"),
        ({"chain": ""}, "balance.chain"),
    ],
    ids=["value", "code", "decimals", "chain"],
)
def test_the_first_of_several_faults_is_named(provider, wrong, path):
    """The first line counts, and in it the fields in their order."""
    lines = [{"id": 7, "balance": AMOUNT | wrong}, {}]

    with pytest.raises(ShapeError) as caught:
        provider.read_response(Response(200, body=json.dumps({"data": lines}).encode()))

    assert str(caught.value).startswith(f"data[0].{path}: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "data: missing"),
        ('{"data": "x"}', "data: expected a list, got a string"),
        ('{"data": [{}]}', "data[0].balance: missing"),
        ('{"data": [{"balance": "1"}]}', "data[0].balance: expected an object, got a string"),
        ('{"data": [7]}', "data[0]: expected an object, got a number"),
        ("error code: 1015", "the body is not JSON"),
    ],
)
def test_a_body_of_another_shape_is_refused(provider, body, message):
    """What is no list of balances is never an empty account."""
    with pytest.raises(ShapeError) as caught:
        provider.read_response(Response(200, body=body.encode()))

    assert str(caught.value) == message


def test_an_id_of_the_wrong_type_is_named_by_its_path(provider):
    """The provider's ids are strings."""
    with pytest.raises(ShapeError, match=r"^data\[0\]\.id: expected a string, got a number$"):
        provider.read_response(Response(200, body=json.dumps({"data": [LINE | {"id": 7}]}).encode()))


@given(BODIES)
def test_any_body_gives_balances_or_a_shape_error(body):
    """Nothing else comes of a 200, whatever is in it."""
    with suppress(ShapeError):
        balances = GetManyProvider("shop").read_response(Response(200, body=body))

        assert isinstance(balances, tuple)
        assert all(isinstance(balance, Balance) for balance in balances)


def test_a_field_that_is_not_read_fails_nothing_whatever_it_is_called(provider):
    """A provider may add what not every decoder takes."""
    amount = AMOUNT | {"\ud800": "\ud800", "new": None}

    assert provider.read_response(answer(amount)) == provider.read_response(answer(AMOUNT))


async def test_balances_are_fetched(provider, session, mocked, read_sample):
    """One request with signed headers and no body gives the balances."""
    mocked.post(URL, body=read_sample("getmany", "page").body)

    balances = await provider.fetch_balances(session)

    ((call,),) = mocked.requests.values()
    assert [balance.code for balance in balances] == ["AUD", "USD"]
    assert call.kwargs["data"] is None
    assert call.kwargs["headers"]["Bs-Key-Id"] == "key_0123"


@pytest.mark.parametrize(
    ("case", "kind", "code", "hint"),
    [
        ("bad_signature", AuthenticationError, "invalid_signature", "Check key_id and signing_key"),
        ("forbidden", AuthenticationError, "FORBIDDEN", "Check the account's credentials"),
        ("bad_request", BadRequestError, "BAD_REQUEST", "Check the account's settings"),
        ("internal", ServiceUnavailableError, "INTERNAL", "The provider is failing"),
        ("rate_limited", RateLimitedError, None, "Too many requests"),
        ("bad_gateway", ServiceUnavailableError, None, "The provider is failing"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.islower() else "",
)
async def test_a_documented_error_is_typed(provider, session, mocked, read_sample, case, kind, code, hint):
    """Each has its class, status, code and hint, and says whether trying again may help."""
    sample = read_sample("getmany", case)
    mocked.post(URL, status=sample.status, body=sample.body)

    with pytest.raises(kind) as caught:
        await provider.fetch_balances(session)

    error = caught.value
    assert (type(error), error.status, error.code) == (kind, sample.status, code)
    assert error.hint.startswith(hint)
    assert error.retryable is (sample.status >= 429)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("bad_signature", "401 invalid_signature"),
        ("forbidden", "403 FORBIDDEN: The key may not read balances"),
        ("rate_limited", "429: error code: 1015"),
    ],
)
async def test_an_error_says_what_the_provider_said(provider, session, mocked, read_sample, case, message):
    """Status, code and words are one line."""
    sample = read_sample("getmany", case)
    mocked.post(URL, status=sample.status, body=sample.body)

    with pytest.raises(Exception, match="shop") as caught:
        await provider.fetch_balances(session)

    assert caught.value.message == message


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "30"}, 30.0), ({}, None)], ids=["said", "not said"])
async def test_the_time_to_come_back_is_kept(provider, session, mocked, headers, seconds):
    """A proxy may say how long its limit lasts, or not."""
    mocked.post(URL, status=429, body="error code: 1015", headers=headers)

    with pytest.raises(RateLimitedError) as caught:
        await provider.fetch_balances(session)

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the body is empty"),
        ("OK", "the body is not JSON"),
        ('{"data":[{"balance":{}}]}', "data[0].balance.value: missing"),
        ('{"error":{"code":"X","message":"x"}}', "data: missing"),
    ],
)
async def test_a_200_without_balances_is_malformed(provider, session, mocked, body, message):
    """It is no empty account, and asking again would not help."""
    mocked.post(URL, body=body)

    with pytest.raises(MalformedResponseError) as caught:
        await provider.fetch_balances(session)

    assert (caught.value.message, caught.value.status, caught.value.retryable) == (message, 200, False)


async def test_a_redirect_is_refused(provider, session, mocked):
    """A signed request goes to no other host."""
    mocked.post(URL, status=307, headers={"Location": "https://evil.example"})

    with pytest.raises(UnexpectedRedirectError, match="Check base_url"):
        await provider.fetch_balances(session)

    assert len(mocked.requests) == 1


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (aiohttp.ClientConnectionError("refused"), TransportError),
        (aiohttp.ClientPayloadError("cut"), TransportError),
        (TimeoutError(), ProviderTimeoutError),
    ],
    ids=["refused", "cut", "timeout"],
)
async def test_a_connection_that_fails_is_worth_another_try(provider, session, mocked, raised, kind):
    """Reading balances changes nothing, so it may be repeated."""
    mocked.post(URL, exception=raised)

    with pytest.raises(kind, match=type(raised).__name__) as caught:
        await provider.fetch_balances(session)

    assert caught.value.retryable
    assert caught.value.status is None
