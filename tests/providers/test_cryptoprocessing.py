"""The Cryptoprocessing v2 API."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from balancekit import (
    COINSPAID_2023,
    CRYPTOPROCESSING_2026,
    AssetType,
    AuthenticationError,
    BadRequestError,
    Balance,
    ConfigError,
    CryptoprocessingProvider,
    RateLimitedError,
    Response,
    Secret,
    ServiceUnavailableError,
)
from balancekit.money.exact_json import ShapeError
from balancekit.providers.brands import BRANDS
from balancekit.testing import ProviderContract
from balancekit.webhooks.hmac_sha512 import hex_signature, keyed_hash
from tests.providers.contract import CANARY, GATEWAY_PAGE, AdapterContract
from tests.support import json_text

URL = "https://app.cryptoprocessing.com/api/v2/accounts/list"
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
RESPONSES = st.fixed_dictionaries({"data": VALUES | st.lists(VALUES | LINES)})

OTHERS = st.sampled_from([None, 1, "", "balance", "a, b", b'"\\u002c"', [], ["value"], json_text.Pairs()])
LINE_TEXTS = json_text.objects({name: st.just(good) for name, good in LINE.items()}, more=OTHERS)


@pytest.fixture
def provider():
    """Make an account with the published secret."""
    return CryptoprocessingProvider("shop", key="key-0123", secret=SECRET)


def response(*lines):
    """Return a response with these lines."""
    return of_body(json.dumps({"data": lines}))


def of_body(body):
    """Return a response with this body."""
    return Response(200, body=body.encode())


class TestProviderContract(ProviderContract):
    """What every adapter does, of whichever distribution."""

    secrets = ("key-0123456789", SECRET, EMPTY_BODY_SIGNATURE)

    def make_provider(self, account, base_url):
        """Make an account with the published secret."""
        return CryptoprocessingProvider(account, key=self.secrets[0], secret=SECRET, base_url=base_url)

    def response_body(self, balances):
        """Write a line for each balance."""
        lines = [{"currency": held.code, "type": held.asset_type.value, "balance": held.plain} for held in balances]
        return json.dumps({"data": lines}).encode()


class TestContract(AdapterContract):
    """What every adapter of this distribution does."""

    secrets = ("key-0123", SECRET)
    by_reference = frozenset({"secret"})
    samples = "cryptoprocessing"
    bodies = RESPONSES.map(json.dumps).map(str.encode)
    bad_settings = (
        ("key", ""), ("key", f"{CANARY} x"), ("key", f"{CANARY}\n"), ("key", f"{CANARY}\u00e9"), ("key", None),
        ("key", CANARY.encode()), ("secret", ""), ("secret", f" {CANARY}"), ("secret", f"{CANARY}\n"), ("secret", None),
        ("secret", CANARY.encode()), ("secret", [CANARY]), ("secret", f"{CANARY}\udce9"),
    )  # fmt: skip
    malformed = (
        (response(LINE, {"type": "crypto", "balance": "1"}), "data[1].currency: missing"),
        (response(LINE, {"currency": "BTC", "balance": "1"}), "data[1].type: missing"),
        (response(LINE, {"currency": "BTC", "type": "crypto"}), "data[1].balance: missing"),
        (response({"currency": "BTC"}, {"currency": ""}), "data[0].type: missing"),
        (response(LINE | {"currency": 1.5}), "data[0].currency: expected a string, got a number"),
        (response(LINE | {"currency": ""}), "data[0].currency: an empty code"),
        (response(LINE | {"type": ["crypto"]}), "data[0].type: expected a string, got a list"),
        (response(LINE | {"balance": True}), "data[0].balance: expected a decimal string, got a boolean"),
        (response(LINE | {"balance": "1_000"}), "data[0].balance: not a plain decimal number"),
        (response(LINE | {"balance": 10**100}), "data[0].balance: more than 100 digits"),
        (response([]), "data[0]: expected an object, got a list"),
        (of_body('{"error":"Bad key header","code":"bad_header_key"}'), "data: missing"),
        (of_body('{"data": {}}'), "data: expected a list, got an object"),
        (of_body("[]"), "expected an object, got a list"),
        (of_body("<html>"), "the body is not JSON"),
        (of_body(""), "the body is empty"),
    )
    documented_errors = (
        ("bad_content_format", BadRequestError, "bad_content_format", "400 bad_content_format: Bad content format",
         "A proxy on the way may be changing the body"),
        ("bad_header_signature", AuthenticationError, "bad_header_signature",
         "403 bad_header_signature: Bad signature header", "Check that the secret belongs"),
        ("required_header_signature", AuthenticationError, "required_header_signature",
         "403 required_header_signature: No signature header", "A proxy on the way may be"),
        ("bad_header_key", AuthenticationError, "bad_header_key", "403 bad_header_key: Bad key header",
         "Check the key, and that base_url is the host"),
        ("required_header_key", AuthenticationError, "required_header_key",
         "403 required_header_key: No key header", "Check base_url: this is also"),
        ("errors_by_field", BadRequestError, None, "400: currency: The currency field is required.",
         "Check the account's settings"),
        ("rate_limited", RateLimitedError, None, "429: error code: 1015", "All accounts behind one IP address share"),
        ("bad_gateway", ServiceUnavailableError, None, GATEWAY_PAGE, "The provider is failing"),
    )  # fmt: skip

    @staticmethod
    def make(account="shop", **changes):
        """Make an account with the published secret."""
        return CryptoprocessingProvider(account, **({"key": "key-0123", "secret": SECRET} | changes))


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
    ("changes", "message"),
    [
        ({"secret": None}, "secret: expected text, got None"),
        ({"secret": b"s"}, "secret: expected text, got bytes"),
        ({"secret": '"s"'}, "secret: there are quotes around it; remove them"),
        ({"secret": "s\nt"}, "secret: expected one line, got 2"),
        ({"key": None}, "key: expected text, got None"),
        ({"key": "'k'"}, "key: there are quotes around it; remove them"),
    ],
)
def test_the_usual_mistakes_with_a_key_have_their_messages(changes, message):
    """An unset variable, a wrong type, quotes of an env file and two lines are named."""
    with pytest.raises(ConfigError, match=f"^account 'shop': {message}$"):
        CryptoprocessingProvider("shop", **{"key": "k", "secret": "s"} | changes)


def test_the_response_of_the_providers_page_is_read(provider, read_sample):
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


def test_a_code_that_would_grow_in_upper_case_stays_as_it_is(provider):
    """A few letters of other scripts become two in upper case; only ASCII letters are changed."""
    (balance,) = provider.read_response(response(LINE | {"currency": "\u0149" * 32}))

    assert balance.currency == "\u0149" * 32


def test_a_field_that_is_not_read_fails_nothing_whatever_it_is_called(provider):
    """A provider may add what not every decoder takes."""
    line = LINE | {"\ud800": "\ud800", "new": None}

    assert provider.read_response(response(line)) == provider.read_response(response(LINE))


@given(st.lists(LINE_TEXTS, max_size=3), st.lists(json_text.more_fields(OTHERS), max_size=2))
def test_a_key_that_is_given_twice_is_always_refused(lines, more):
    """Whatever else a response holds, no balance is read from an object that has a key twice."""
    text = json_text.write(json_text.Pairs([("data", lines), *more]))
    account = CryptoprocessingProvider("shop", key="key-0123", secret=SECRET)

    if json_text.has_duplicates(text):
        with pytest.raises(ShapeError):
            account.read_response(of_body(text))
    else:
        assert len(account.read_response(of_body(text))) == len(lines)


@pytest.mark.parametrize(
    ("settings", "base_url"),
    [
        ({"brand": "alphapo"}, "https://app.alphapo.net/api/v2"),
        ({"brand": "coinspaid"}, "https://app.cryptoprocessing.com/api/v2"),
        ({"brand": "cryptoprocessing"}, "https://app.cryptoprocessing.com/api/v2"),
        ({"brand": "alphapo", "base_url": CryptoprocessingProvider.SANDBOX}, CryptoprocessingProvider.SANDBOX),
        ({"brand": "alphapo", "base_url": CryptoprocessingProvider.PRODUCTION}, CryptoprocessingProvider.PRODUCTION),
    ],
    ids=str,
)
def test_a_brand_sets_the_base_url_unless_one_is_given(settings, base_url):
    """What somebody has written is where the credentials go, even if it is what others have by default."""
    assert CryptoprocessingProvider("shop", key="k", secret="s", **settings).base_url == base_url


def test_a_brand_has_its_table(provider):
    """Without a brand nothing is an alias, and a brand whose codes are not known changes none."""
    tables = {name: CryptoprocessingProvider("shop", key="k", secret="s", brand=name).aliases for name in BRANDS}

    assert tables == {"alphapo": {}, "coinspaid": COINSPAID_2023, "cryptoprocessing": CRYPTOPROCESSING_2026}
    assert provider.aliases == {}


@pytest.mark.parametrize("brand", [CANARY, "", 5, ["coinspaid"], {}])
def test_a_brand_that_there_is_not_is_refused(brand):
    """The error lists those that there are, and shows nothing that may be a key."""
    with pytest.raises(ConfigError) as caught:
        CryptoprocessingProvider("shop", key="k", secret="s", brand=brand)

    assert str(caught.value) == (
        "account 'shop': brand: there is no such brand; there are alphapo, coinspaid, cryptoprocessing"
    )


def test_a_brand_makes_no_other_account_of_it(provider):
    """Processes share its snapshots, whichever of them have named the brand."""
    assert provider.fingerprint == TestContract.make(brand="cryptoprocessing").fingerprint
