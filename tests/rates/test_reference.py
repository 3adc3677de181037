"""The table of the European Central Bank: what is read from it, what is refused, and when the next one is due."""

import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from balancekit import AccountBalances, AssetType, Balance, ConfigError, merge
from balancekit.rates import ReferenceRates
from balancekit.rates.reference import MAX_TABLE, next_publication, parse_reference_rates
from tests.support.pages import ROOT

DAILY = (ROOT / "tests" / "samples" / "ecb" / "eurofxref-daily.xml").read_bytes()
FIAT = AssetType.FIAT


def fiat(**amounts):
    """Return the result of one account with fiat money."""
    balances = [Balance(code, Decimal(amount), FIAT, "bank", "fake", code) for code, amount in amounts.items()]
    return merge([AccountBalances("bank", "fake", balances, datetime(2026, 1, 2, tzinfo=UTC))])


def test_the_table_is_read_exactly():
    """Each rate keeps its digits; the table is of 14:15 in Frankfurt."""
    rates = parse_reference_rates(DAILY)

    assert len(rates.rates) == 5
    assert str(rates.rates["USD"]) == "1.0944"
    assert str(rates.rates["IDR"]) == "16325.50"
    assert (rates.base, rates.source, rates.as_of) == ("EUR", "ECB", datetime(2026, 7, 1, 12, 15, tzinfo=UTC))
    assert pickle.loads(pickle.dumps(rates)) == rates


def test_quotes_may_be_of_either_kind():
    """Attributes in double quotes are the same."""
    assert parse_reference_rates(DAILY.replace(b"'", b'"')) == parse_reference_rates(DAILY)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"?>", b"?>" + BOMB, "the table has a document type"),
        (b"?>", b'?><!DOCTYPE x SYSTEM "file:///etc/hosts">', "the table has a document type"),
        (b"</gesmes:Envelope>", b"", "the table is not XML: no element found"),
        (b"?>", b"?>" + b" " * MAX_TABLE, "the table is larger than 65536 bytes"),
        (b"1.0944", b"1,0944", "the rate of USD: not a plain decimal number"),
        (b"1.0944", b"NaN", "the rate of USD: not a plain decimal number"),
        (b"1.0944", b"0", "the rate of USD is not above 0"),
        (b"1.0944", b"-1.0944", "the rate of USD is not above 0"),
        (b"1.0944", b"", "the rate of USD: not a plain decimal number"),
        (b"'GBP'", b"'USD'", "the rate of USD is given twice"),
        (b"'GBP'", b"'EUR'", "a rate of no currency, or of the euro itself"),
        (b"'GBP'", b"'gbp'", "a rate of no currency, or of the euro itself"),
        (b"currency='GBP' ", b"", "a rate of no currency, or of the euro itself"),
        (b"2026-07-01", b"01.07.2026", "the table's date is not like 2026-01-31"),
        (b"2026-07-01", b"2026-02-30", "day is out of range for month|must be in range"),
        (b"time=", b"day=", "expected the rates of one day, got 5 rates of 0 days"),
        (b"http://www.ecb.int/", b"http://other.example/", "expected the rates of one day, got 0 rates of 0 days"),
        (
            b"\t\t</Cube>",
            b"\t\t</Cube><Cube time='2026-06-30'/>",
            "expected the rates of one day, got 5 rates of 2 days",
        ),
    ],
)
def test_anything_else_is_refused(old, new, problem):
    """The error says what is wrong with the table."""
    assert old in DAILY

    with pytest.raises(ValueError, match=problem):
        parse_reference_rates(DAILY.replace(old, new, 1))


@pytest.mark.parametrize("body", [b"", b"<html>", b"USD,1.0944", b"\xff\xfe"], ids=repr)
def test_what_is_no_table_is_refused(body):
    """A page of a proxy, for example."""
    with pytest.raises(ValueError, match="the table is not XML"):
        parse_reference_rates(body)


@given(st.integers(1, 10**30), st.integers(1, 10**30), st.integers(-(10**30), 10**30))
def test_values_are_those_of_fractions(dollars, pounds, held):
    """One euro's rate divides, and two rates make a cross, with one rounding."""
    table = {"USD": Decimal(f"{dollars}E-5"), "GBP": Decimal(f"{pounds}E-5")}
    rates = ReferenceRates(table, datetime(2026, 1, 1, tzinfo=UTC))
    merged = fiat(USD=f"{held}E-2")
    amount, usd, gbp = Fraction(held, 100), Fraction(dollars, 10**5), Fraction(pounds, 10**5)

    in_euro, in_pounds = merged.value_in("EUR", rates.inverted()), merged.value_in("GBP", rates.crossed())

    exact = amount / usd
    assert Fraction(in_euro.amount) == (exact if usd == 1 else Fraction(round(exact * 10**18), 10**18))
    exact = amount * gbp / usd
    assert Fraction(in_pounds.amount) == (exact if usd == 1 else Fraction(round(exact * 10**18), 10**18))


def test_rates_are_used_as_published_unless_asked():
    """From the euro as they are; to it only inverted; between others only crossed."""
    rates = parse_reference_rates(DAILY)

    assert fiat(EUR="100").value_in("USD", rates).plain == "109.4400"
    with pytest.raises(ConfigError, match=r"say what 1 EUR is in USD: use rates.inverted\(\) to value USD in EUR"):
        fiat(USD="109.44").value_in("EUR", rates)
    assert fiat(USD="109.44").value_in("EUR", rates.inverted(), places=2).plain == "100.00"
    with pytest.raises(ConfigError, match=r"are for EUR: use rates.crossed\(\) to value GBP in USD by way of it"):
        fiat(GBP="1").value_in("USD", rates.inverted())
    assert fiat(GBP="88.39", EUR="1").value_in("USD", rates.crossed(), places=4).plain == "110.5344"


def test_a_line_shows_the_rates_as_published():
    """The two published numbers, their source and their moment are in the line, not a rounded quotient."""
    (line,) = fiat(USD="1").value_in("EUR", parse_reference_rates(DAILY).inverted()).valued

    assert (line.rate, line.per, line.source) == (1, Decimal("1.0944"), "ECB")
    assert line.as_of == datetime(2026, 7, 1, 12, 15, tzinfo=UTC)


def test_only_fiat_money_is_valued():
    """A token that has the name of a currency, or a balance of unknown type, has no rate."""
    rates = parse_reference_rates(DAILY).inverted()

    assert rates.rate("USD", AssetType.CRYPTO, "EUR") is None
    assert rates.rate("USD", AssetType.UNKNOWN, "EUR") is None
    assert rates.rate("XAF", FIAT, "EUR") is None


def test_a_target_without_a_rate_is_refused():
    """Rates of another pair altogether are a ConfigError, not an empty valuation."""
    with pytest.raises(ConfigError, match="the rates of ECB have none for BTC"):
        fiat(USD="1").value_in("BTC", parse_reference_rates(DAILY).crossed())


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_the_next_table_is_due_on_a_working_day_at_four(day):
    """At 16:00 in Frankfurt, in winter and in summer, on the next day that is no Saturday or Sunday."""
    due = next_publication(day).astimezone(ZoneInfo("Europe/Berlin"))

    assert (due.hour, due.minute) == (16, 0)
    assert 1 <= (due.date() - day).days <= 3
    assert due.weekday() < 5
    assert all(day.fromordinal(between).weekday() >= 5 for between in range(day.toordinal() + 1, due.toordinal()))
