"""Amounts in smallest units, by a provider's own table of decimals."""

import pickle
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from balancekit import HttpProvider, MalformedResponseError, MinorUnits, Request, Response
from balancekit.money.exact_json import JsonNumber

UNITS = MinorUnits({"USD": 2, "jpy": 0, "BTC": 8, "CLP": 2})


@pytest.mark.parametrize(
    ("code", "units", "amount"),
    [
        ("USD", 1050, "10.50"),
        ("usd", "-7", "-0.07"),
        ("JPY", 1050, "1050"),
        ("BTC", "100000000", "1.00000000"),
        ("CLP", 100, "1.00"),
        ("USD", "-0", "0.00"),
    ],
)
def test_units_become_an_amount_at_the_scale_of_the_table(code, units, amount):
    """The table decides, also where ISO 4217 says otherwise; codes are in any case."""
    assert str(UNITS.amount(code, units)) == amount


@given(st.integers(-(10**99), 10**99), st.integers(0, 100))
def test_an_amount_is_exact(units, places):
    """Nothing is rounded, whatever the caller's context is."""
    with localcontext(prec=3):
        amount = MinorUnits({"X": places}).amount("X", units)

    assert Fraction(amount) == Fraction(units, 10**places)


@pytest.mark.parametrize("code", ["EUR", "u\u017fd", "KRW"])
def test_a_currency_that_is_not_in_the_table_is_refused(code):
    """The message has the code: nothing is guessed."""
    with pytest.raises(ValueError, match=f"^{code}: not in the table of decimals"):
        UNITS.amount(code, 100)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(None, "null"), (7, "a number"), (JsonNumber("1.5"), "a number"), ("", "empty"), ("USD\n", "printable")],
    ids=repr,
)
def test_what_is_no_code_is_refused(code, reason):
    """A response may hold anything."""
    with pytest.raises(ValueError, match=f"^currency: .*{reason}"):
        UNITS.amount(code, 100)


@pytest.mark.parametrize(
    "units",
    [10.5, 10.0, True, None, "10.50", "1e3", "1_000", " 7", "٣", "", [], Decimal(7), JsonNumber("1e3")],
    ids=repr,
)
def test_what_is_no_whole_number_of_units_is_refused(units):
    """A float has been rounded already, and a fraction of the smallest unit is none."""
    with pytest.raises(ValueError, match=r"^amount of USD: "):
        UNITS.amount("USD", units)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"USD": 2.0}, "decimals of USD: expected a whole number"),
        ({"USD": True}, "decimals of USD: expected a whole number"),
        ({"USD": "2"}, "decimals of USD: expected a whole number"),
        ({"USD": -1}, "decimals of USD: expected a whole number"),
        ({"USD": 101}, "decimals of USD: expected a whole number"),
        ({"USD": 2, "usd": 0}, "decimals of usd: given twice"),
        ({"": 2}, "empty"),
    ],
    ids=str,
)
def test_a_table_that_cannot_be_right_is_refused(table, reason):
    """It is refused where it is made, before any response."""
    with pytest.raises(ValueError, match=reason):
        MinorUnits(table)


def test_a_table_is_copied():
    """What is done to the dict later changes no amount; the copy can be sent to another process."""
    table = {"USD": 2}
    units = MinorUnits(table)

    table["USD"] = 0

    assert pickle.loads(pickle.dumps(units)) == units == MinorUnits({"usd": 2})
    assert hash(units) == hash(MinorUnits({"usd": 2}))


class Till(HttpProvider):
    """An adapter of an API that sends cents."""

    provider = "till"

    def build_request(self, *, now, nonce):
        """Ask for the balances."""
        return Request("GET", self.base_url)

    def read_response(self, response):
        """Read them."""
        return [
            self.balance(
                row["currency"],
                UNITS.amount(row["currency"], row["amount"]),
                available=UNITS.amount(row["currency"], row["available"]),
            )
            for row in response.json()
        ]


def test_an_adapter_gives_amounts_in_units_of_the_currency():
    """Its rows hold smallest units, its balances do not."""
    body = b'[{"currency": "usd", "amount": 1050, "available": 999}]'

    (balance,) = Till("shop", base_url="https://till.example").read_response(Response(200, {}, body))

    assert (balance.plain, str(balance.available), balance.currency) == ("10.50", "9.99", "USD")


async def test_the_error_of_an_adapter_has_the_code(monkeypatch):
    """Its user reads which currency has to be added to the table."""

    async def respond(session, request):
        return Response(200, {}, b'[{"currency": "isk", "amount": 1050, "available": 999}]')

    monkeypatch.setattr("balancekit.providers.base.send", respond)

    with pytest.raises(MalformedResponseError, match=r"isk: not in the table of decimals"):
        await Till("shop", base_url="https://till.example").fetch_balances(None)
