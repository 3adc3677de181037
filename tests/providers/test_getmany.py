"""The getMany (Blacksheep) API."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AssetType,
    AuthenticationError,
    BadRequestError,
    Balance,
    GetManyProvider,
    RateLimitedError,
    Response,
    ServiceUnavailableError,
)
from balancekit.money.exact_json import ShapeError
from balancekit.testing import ProviderContract
from tests.providers.contract import GATEWAY_PAGE, AdapterContract
from tests.support import json_text

KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
AMOUNT = {"value": "1500000000", "code": "AUD", "decimals": 6}
LINE = {"id": "b-1", "balance": AMOUNT}
BAD = {"value": "", "code": "", "decimals": -1, "chain": ""}
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
        (of_lines(LINE | {"id": "a\x7fb"}), "data[0].id: a label with characters that are not printable"),
        (of_lines(LINE | {"id": "a\nb"}), "data[0].id: a label with characters that are not printable"),
        (
            of_body(f'{{"data":[{json.dumps(LINE)[:-1]},"id":"a\ufe0f"}}]}}'),
            "data[0].id: a label with characters that are not printable",
        ),
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
