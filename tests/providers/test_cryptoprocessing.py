"""The Cryptoprocessing v2 API."""

import json
from contextlib import suppress
from decimal import Decimal

import aiohttp
import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AssetType,
    AuthenticationError,
    BadRequestError,
    Balance,
    ConfigError,
    CryptoprocessingProvider,
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
from balancekit.webhooks.hmac_sha512 import hex_signature, keyed_hash

URL = "https://app.cryptoprocessing.com/api/v2/accounts/list"
CANARY = "canary-3f9a"
SECRET = "AbCdEfG123456"
EMPTY_BODY_SIGNATURE = (
    "89ff570683bfcd9e2c8911332e07e3ff196ca50f91faef98126fb0eb76df90d7"
    "ccddc4372a99ba67ec072fd3aac5d0b7eac44652e2b29ce36dbcf5ee50b6fa05"
)
PUBLISHED_SIGNATURE = (
    "03c25fcf7cd35e7d995e402cd5d51edd72d48e1471e865907967809a0c189ba5"
    "5b90815f20e2bb10f82c7a9e9d865546fda58989c2ae9e8e2ff7bc29195fa1ec"
)
LINE = {"currency": "BTC", "type": "crypto", "balance": "0.04"}

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
LINES = st.fixed_dictionaries({}, optional={name: VALUES | st.just(good) for name, good in LINE.items()})
ANSWERS = st.fixed_dictionaries({"data": VALUES | st.lists(VALUES | LINES)})
BODIES = st.binary() | ANSWERS.map(json.dumps).map(str.encode)


@pytest.fixture
def provider():
    """Make an account with the published secret."""
    return CryptoprocessingProvider("shop", key="key-0123", secret=SECRET)


def answer(*lines):
    """Write a body with these lines."""
    return Response(200, body=json.dumps({"data": lines}).encode())


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (b'{"currency":"BTC","foreign_id":"123456"}', PUBLISHED_SIGNATURE),
        (b"{}", EMPTY_BODY_SIGNATURE),
    ],
    ids=["published", "ours"],
)
def test_the_signature_is_that_of_the_vectors(body, signature):
    """HMAC-SHA512 of the exact bytes, in lower-case hex."""
    assert hex_signature(keyed_hash(Secret(SECRET)), body) == signature


def test_the_request_is_exactly_this(provider):
    """Method, URL, headers and body, and nothing besides."""
    request = provider.build_request(now=0, nonce="n")

    assert (request.method, request.url, request.body) == ("POST", URL, b"{}")
    assert dict(request.headers) == {
        "Content-Type": "application/json",
        "X-Processing-Key": "key-0123",
        "X-Processing-Signature": EMPTY_BODY_SIGNATURE,
    }


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (CryptoprocessingProvider.PRODUCTION, URL),
        (CryptoprocessingProvider.SANDBOX, "https://app.sandbox.cryptoprocessing.com/api/v2/accounts/list"),
        ("https://pay.brand.example/v2/", "https://pay.brand.example/v2/accounts/list"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/accounts/list"),
    ],
    ids=["production", "sandbox", "brand", "loopback"],
)
def test_the_base_url_is_a_parameter(base_url, url):
    """The same API is served under the hosts of other brands."""
    provider = CryptoprocessingProvider("shop", key="k", secret="s", base_url=base_url)

    assert provider.build_request(now=0, nonce="n").url == url


def test_credentials_may_come_hidden():
    """A secret that is hidden already makes the same request."""
    provider = CryptoprocessingProvider("shop", key=Secret("key-0123"), secret=Secret(SECRET))

    assert provider.build_request(now=0, nonce="n").headers["X-Processing-Signature"] == EMPTY_BODY_SIGNATURE


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("key", ""), ("key", f"{CANARY} x"), ("key", f"{CANARY}\n"), ("key", f"{CANARY}\u00e9"), ("key", None),
        ("key", CANARY.encode()), ("secret", ""), ("secret", f" {CANARY}"), ("secret", f"{CANARY}\n"), ("secret", None),
        ("secret", CANARY.encode()), ("secret", [CANARY]), ("secret", f"{CANARY}\udce9"), ("base_url", "http://x.example"),
        ("base_url", "x.example"), ("base_url", None), ("base_url", f"https://user:{CANARY}@x.example"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_setting_that_cannot_work_is_named_and_not_shown(setting, value, everything_shown_by):
    """The message names account and setting, and neither it nor the traceback's variables show a secret."""
    settings = {"key": f"{CANARY}-key", "secret": f"{CANARY}-secret"} | {setting: value}

    with pytest.raises(ConfigError, match=rf"^account 'shop': {setting}: ") as caught:
        CryptoprocessingProvider("shop", **settings)

    assert CANARY not in everything_shown_by(caught.value)


@pytest.mark.parametrize("account", [None, "", "a\nb"], ids=repr)
def test_a_label_that_cannot_be_shown_gives_no_secret_away(account, everything_shown_by):
    """The credentials are hidden before anything is looked at."""
    with pytest.raises(ConfigError, match=r"^account: ") as caught:
        CryptoprocessingProvider(account, key=CANARY, secret=CANARY)

    assert CANARY not in everything_shown_by(caught.value)


def test_an_account_shows_no_secret(everything_shown_by):
    """Neither the provider nor its parts nor its request show key, secret or signature."""
    provider = CryptoprocessingProvider("shop", key=f"{CANARY}-key", secret=f"{CANARY}-secret")

    shown = repr([provider, vars(provider), provider.build_request(now=0, nonce="n")])

    assert CANARY not in shown
    assert hex_signature(keyed_hash(Secret(f"{CANARY}-secret")), b"{}") not in shown


def test_the_secret_may_be_held_by_reference_only():
    """A configuration file names where the secret is, not the secret."""
    assert CryptoprocessingProvider.secret_settings == {"secret"}


def test_the_answer_of_the_providers_page_is_read(provider, read_sample):
    """The example of "List balances" gives its two balances."""
    balances = provider.read_response(read_sample("cryptoprocessing", "page"))

    assert balances == (
        Balance("BTC", Decimal("0.04"), AssetType.CRYPTO, "shop", "cryptoprocessing", "BTC"),
        Balance("EUR", Decimal(10000), AssetType.FIAT, "shop", "cryptoprocessing", "EUR"),
    )


def test_numbers_are_read_as_exactly_as_strings(provider, read_sample):
    """The provider's page once showed JSON numbers; thirty digits of one are kept."""
    balances = provider.read_response(read_sample("cryptoprocessing", "numbers"))

    assert [str(balance.amount) for balance in balances] == ["0.04", "123456789012.345678901234567890", "10000"]


def test_balances_are_kept_as_they_were_reported(provider, read_sample):
    """Scale, zeros, minus signs, case, repetitions and order stay; a type that is new is unknown."""
    balances = provider.read_response(read_sample("cryptoprocessing", "many"))

    assert [(held.currency, held.code, str(held.amount), held.asset_type.value) for held in balances] == [
        ("BTC", "BTC", "0.04000000", "crypto"),
        ("USDCE", "USDCE", "0", "crypto"),
        ("USDCE", "usdce", "12.50", "crypto"),
        ("EUR", "EUR", "-3.10", "fiat"),
        ("USDT", "USDT", "0.00", "crypto"),
        ("GOLD", "GOLD", "1", "unknown"),
    ]


def test_an_account_without_balances_is_empty(provider, read_sample):
    """An empty list is an answer."""
    assert provider.read_response(read_sample("cryptoprocessing", "empty")) == ()


@pytest.mark.parametrize("name", LINE)
def test_a_missing_field_is_named_by_its_path(provider, name):
    """Nothing is guessed for what is not there."""
    line = {other: value for other, value in LINE.items() if other != name}

    with pytest.raises(ShapeError, match=rf"^data\[1\]\.{name}: missing$"):
        provider.read_response(answer(LINE, line))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("currency", 1.5, "expected a string, got a number"),
        ("currency", "", "an empty code"),
        ("type", ["crypto"], "expected a string, got a list"),
        ("balance", True, "expected a decimal string, got a boolean"),
        ("balance", "1_000", "not a plain decimal number"),
        ("balance", 10**100, "more than 100 digits"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_field_that_cannot_be_read_is_named_by_its_path(provider, name, value, reason):
    """The message says where and what is wrong."""
    with pytest.raises(ShapeError) as caught:
        provider.read_response(answer(LINE, LINE | {name: value}))

    assert str(caught.value) == f"data[1].{name}: {reason}"


def test_the_first_of_several_faults_is_named(provider):
    """The first line counts, and in it the fields in their order."""
    with pytest.raises(ShapeError, match=r"^data\[0\]\.type: missing$"):
        provider.read_response(answer({"currency": "BTC"}, {"currency": ""}))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "data: missing"),
        ('{"data": {}}', "data: expected a list, got an object"),
        ('{"data": [[]]}', "data[0]: expected an object, got a list"),
        ("[]", "expected an object, got a list"),
        ("<html>", "the body is not JSON"),
    ],
)
def test_a_body_of_another_shape_is_refused(provider, body, message):
    """What is no list of balances is never an empty account."""
    with pytest.raises(ShapeError) as caught:
        provider.read_response(Response(200, body=body.encode()))

    assert str(caught.value) == message


def test_a_code_that_would_grow_in_upper_case_stays_as_it_is(provider):
    """A few letters of other scripts become two in upper case; only ASCII letters are changed."""
    (balance,) = provider.read_response(answer(LINE | {"currency": "\u0149" * 32}))

    assert balance.currency == "\u0149" * 32


@given(BODIES)
def test_any_body_gives_balances_or_a_shape_error(body):
    """Nothing else comes of a 200, whatever is in it."""
    with suppress(ShapeError):
        balances = CryptoprocessingProvider("shop", key="k", secret="s").read_response(Response(200, body=body))

        assert isinstance(balances, tuple)
        assert all(isinstance(balance, Balance) for balance in balances)


def test_a_field_that_is_not_read_fails_nothing_whatever_it_is_called(provider):
    """A provider may add what not every decoder takes."""
    line = LINE | {"\ud800": "\ud800", "new": None}

    assert provider.read_response(answer(line)) == provider.read_response(answer(LINE))


async def test_balances_are_fetched(provider, session, mocked, read_sample):
    """One request with the signed headers and body gives the balances."""
    mocked.post(URL, body=read_sample("cryptoprocessing", "page").body)

    balances = await provider.fetch_balances(session)

    ((call,),) = mocked.requests.values()
    assert [balance.code for balance in balances] == ["BTC", "EUR"]
    assert call.kwargs["data"] == b"{}"
    assert call.kwargs["headers"]["X-Processing-Signature"] == EMPTY_BODY_SIGNATURE


@pytest.mark.parametrize(
    ("case", "kind", "code", "hint"),
    [
        ("bad_content_format", BadRequestError, "bad_content_format", "A proxy on the way may be changing the body"),
        ("bad_header_signature", AuthenticationError, "bad_header_signature", "Check that the secret belongs"),
        ("required_header_signature", AuthenticationError, "required_header_signature", "A proxy on the way may be"),
        ("bad_header_key", AuthenticationError, "bad_header_key", "Check the key, and that base_url is the host"),
        ("required_header_key", AuthenticationError, "required_header_key", "Check base_url: this is also"),
        ("errors_by_field", BadRequestError, None, "Check the account's settings"),
        ("rate_limited", RateLimitedError, None, "All accounts behind one IP address share one limit"),
        ("bad_gateway", ServiceUnavailableError, None, "The provider is failing"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.islower() else "",
)
async def test_a_documented_error_is_typed(provider, session, mocked, read_sample, case, kind, code, hint):
    """Each has its class, status, code and hint, and says whether trying again may help."""
    sample = read_sample("cryptoprocessing", case)
    mocked.post(URL, status=sample.status, body=sample.body)

    with pytest.raises(kind) as caught:
        await provider.fetch_balances(session)

    error = caught.value
    assert (type(error), error.status, error.code) == (kind, sample.status, code)
    assert error.hint.startswith(hint)
    assert error.retryable is (sample.status >= 429)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("bad_header_key", "403 bad_header_key: Bad key header"),
        ("errors_by_field", "400: currency: The currency field is required."),
        ("rate_limited", "429: error code: 1015"),
    ],
)
async def test_an_error_says_what_the_provider_said(provider, session, mocked, read_sample, case, message):
    """Status, code and words are one line."""
    sample = read_sample("cryptoprocessing", case)
    mocked.post(URL, status=sample.status, body=sample.body)

    with pytest.raises(Exception, match="shop") as caught:
        await provider.fetch_balances(session)

    assert caught.value.message == message


async def test_the_html_of_a_proxy_is_one_short_line(provider, session, mocked, read_sample):
    """A page of HTML does not fill a terminal."""
    sample = read_sample("cryptoprocessing", "bad_gateway")
    mocked.post(URL, status=502, body=sample.body * 100, content_type="text/html")

    with pytest.raises(ServiceUnavailableError, match="<h1>502 Bad Gateway</h1>") as caught:
        await provider.fetch_balances(session)

    assert len(caught.value.message) < 220
    assert caught.value.message.isprintable()


async def test_the_time_to_come_back_is_kept(provider, session, mocked):
    """A proxy may say how long its limit lasts."""
    mocked.post(URL, status=429, body="error code: 1015", headers={"Retry-After": "60"})

    with pytest.raises(RateLimitedError) as caught:
        await provider.fetch_balances(session)

    assert caught.value.retry_after == 60.0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the body is empty"),
        ("OK", "the body is not JSON"),
        ('{"data":[{}]}', "data[0].currency: missing"),
        ('{"error":"Bad key header","code":"bad_header_key"}', "data: missing"),
    ],
)
async def test_a_200_without_balances_is_malformed(provider, session, mocked, body, message):
    """It is no empty account, and asking again would not help."""
    mocked.post(URL, body=body)

    with pytest.raises(MalformedResponseError) as caught:
        await provider.fetch_balances(session)

    assert (caught.value.message, caught.value.status, caught.value.retryable) == (message, 200, False)


async def test_a_redirect_is_refused(provider, session, mocked):
    """The key pair goes to no other host."""
    mocked.post(URL, status=302, headers={"Location": "https://evil.example"})

    with pytest.raises(UnexpectedRedirectError, match="Check base_url") as caught:
        await provider.fetch_balances(session)

    assert len(mocked.requests) == 1
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (aiohttp.ClientConnectionError("refused"), TransportError),
        (aiohttp.ServerDisconnectedError(), TransportError),
        (TimeoutError(), ProviderTimeoutError),
    ],
    ids=["refused", "disconnected", "timeout"],
)
async def test_a_connection_that_fails_is_worth_another_try(provider, session, mocked, raised, kind):
    """Reading balances changes nothing, so it may be repeated."""
    mocked.post(URL, exception=raised)

    with pytest.raises(kind, match=type(raised).__name__) as caught:
        await provider.fetch_balances(session)

    assert caught.value.retryable
    assert caught.value.status is None
