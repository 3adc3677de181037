"""Every answer is read as its wire shape says: what is accepted, what comes of it, and what is said of the rest."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from balancekit import AssetType, Balance, CryptoprocessingProvider, GetManyProvider, Response
from balancekit.http.fields import MAX_BALANCES, ShapeError, structure
from balancekit.money.amounts import from_units
from balancekit.money.currencies import ISO_4217_CODES
from balancekit.money.exact_json import JsonNumber
from balancekit.providers import cryptoprocessing, getmany

SHOP = CryptoprocessingProvider("shop", key="a-public-key", secret="a-secret")
TILL = GetManyProvider("till")

AMOUNTS = st.sampled_from(["0.04", "10000", "-0.00", "+1", ".5", "1e-7", "1" * 101, "NaN", "1_0", " 1", "\uff11", ""])
CODES_SENT = st.sampled_from(["BTC", "usdc", "EUR", "ÿUSD", "X" * 33, " BTC", "B\x00", "1.5", ""])
NUMBERS = st.integers(-(10**101), 10**101) | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(float)
ODD = st.none() | st.booleans() | NUMBERS | st.text(max_size=3) | st.just([]) | st.just({}) | st.just(["BTC"])
CRYPTO_LINE = {
    "currency": CODES_SENT | ODD,
    "type": st.sampled_from(["crypto", "fiat", "gold"]) | ODD,
    "balance": AMOUNTS | NUMBERS | ODD,
}
AMOUNT = {"value": AMOUNTS | NUMBERS | ODD, "code": CODES_SENT | ODD, "decimals": st.integers(-1, 101) | ODD}
OPTIONAL = {"id": st.text(max_size=3) | ODD, "metadata": ODD}
GETMANY_LINE = {"balance": st.fixed_dictionaries(AMOUNT, optional={"chain": CODES_SENT | ODD}) | ODD}


def answers(required, optional):
    """Make answers of lines that fit, nearly fit and do not fit at all."""
    line = st.fixed_dictionaries(required, optional=optional) | st.fixed_dictionaries({}, optional=required) | ODD
    return st.fixed_dictionaries({"data": st.lists(line, max_size=3) | ODD}) | ODD


def crypto_as_promised(answer):
    """Make the balances of an answer from its shape, each checked anew."""
    for line in structure(answer, cryptoprocessing._Answer).data:
        asset_type = AssetType(line.type) if line.type in {"crypto", "fiat"} else AssetType.UNKNOWN
        code = line.currency
        yield Balance(code, line.balance, asset_type, "shop", "cryptoprocessing", code)


def getmany_as_promised(answer):
    """Make the balances of an answer from its shape, each checked anew."""
    for line in structure(answer, getmany._Answer).data:
        held = line.balance
        fiat = AssetType.FIAT if held.code.upper() in ISO_4217_CODES else AssetType.UNKNOWN
        asset_type = fiat if held.chain is None else AssetType.CRYPTO
        amount = from_units(held.value, held.decimals)
        yield Balance(held.code, amount, asset_type, "till", "getmany", held.code, held.chain, line.id)


def check(provider, as_promised, answer):
    """Compare what an adapter reads, or why it refuses, with the shape."""
    response = Response(200, body=json.dumps(answer).encode())
    expected, refused = (), None
    try:
        expected = tuple(as_promised(response.json()))
    except ShapeError as error:
        refused = str(error)

    if refused is None:
        balances = provider.read_response(response)
        assert (balances, repr(balances)) == (expected, repr(expected))
    else:
        with pytest.raises(ShapeError) as caught:
            provider.read_response(response)
        assert str(caught.value) == refused


@given(answers(CRYPTO_LINE, {}))
def test_any_cryptoprocessing_answer_is_read_as_promised(answer):
    """What fits the shape is read, digit by digit, and what does not is refused by its path."""
    check(SHOP, crypto_as_promised, answer)


@given(answers(GETMANY_LINE, OPTIONAL))
def test_any_getmany_answer_is_read_as_promised(answer):
    """What fits the shape is read, digit by digit, and what does not is refused by its path."""
    check(TILL, getmany_as_promised, answer)


@pytest.mark.parametrize(
    ("provider", "line", "field"),
    [
        (SHOP, {"currency": "1.5", "type": "fiat", "balance": "1"}, "currency"),
        (TILL, {"balance": {"code": "1.5", "value": "1", "decimals": 0}}, "balance.code"),
    ],
    ids=["cryptoprocessing", "getmany"],
)
def test_a_code_that_was_let_in_does_not_let_in_a_number(provider, line, field):
    """Codes are remembered once they are checked, and a number is as equal to its text as can be."""
    (balance,) = provider.read_response(Response(200, body=json.dumps({"data": [line]}).encode()))
    number = json.dumps({"data": [line]}).replace('"1.5"', "1.5").encode()

    assert balance.code == JsonNumber("1.5")
    with pytest.raises(ShapeError, match=rf"^data\[0\]\.{field}: expected a string, got a number$"):
        provider.read_response(Response(200, body=number))


@pytest.mark.parametrize(
    ("provider", "line"),
    [
        (SHOP, b'{"currency":"BTC","type":"crypto","balance":"1"}'),
        (TILL, b'{"balance":{"value":"1","code":"BTC","decimals":0}}'),
    ],
    ids=["cryptoprocessing", "getmany"],
)
def test_more_lines_than_any_account_has_are_refused(provider, line):
    """A list as long as the bound is read; of a longer one nothing is."""
    lines = [line] * MAX_BALANCES
    balances = provider.read_response(Response(200, body=b'{"data":[%b]}' % b",".join(lines)))
    assert sum(balance.amount for balance in balances) == Decimal(MAX_BALANCES)

    with pytest.raises(ShapeError, match=rf"^data: more than {MAX_BALANCES} entries$"):
        provider.read_response(Response(200, body=b'{"data":[%b]}' % b",".join([*lines, line])))


@pytest.mark.parametrize("name", ['"\\ud800"', '"new"'], ids=["half of a character", "unknown"])
@pytest.mark.parametrize(
    ("provider", "line"),
    [
        (SHOP, '{"currency":"BTC","type":"crypto","balance":"1.50",%s:"\\ud800"}'),
        (TILL, '{"balance":{"value":"150","code":"BTC","decimals":2,%s:1},"id":"a"}'),
    ],
    ids=["cryptoprocessing", "getmany"],
)
def test_a_field_that_is_not_read_fails_nothing_whatever_it_is_called(provider, line, name):
    """A provider may add what not every decoder takes."""
    body = f'{{"data":[{line % name}],{name}:1}}'.encode()

    (balance,) = provider.read_response(Response(200, body=body))

    assert str(balance.amount) == "1.50"
