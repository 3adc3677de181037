"""The value of a result in one currency: exact, by rates that are given, and what has none is listed."""

import pickle
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AccountBalances,
    AccountFailure,
    AssetType,
    Balance,
    ConfigError,
    Rate,
    RateSource,
    ServiceUnavailableError,
    merge,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CRYPTO, FIAT, UNKNOWN = AssetType.CRYPTO, AssetType.FIAT, AssetType.UNKNOWN


def result(*held, failures=(), stale=False):
    """Return the result of one account with rows of code, amount and type."""
    balances = [Balance(code, Decimal(amount), kind, "shop", "fake", code) for code, amount, kind in held]
    return merge([AccountBalances("shop", "fake", balances, NOW, stale)], failures)


DOWN = AccountFailure("till", "fake", ServiceUnavailableError("503", account="till", provider="fake"))
HELD = result(("BTC", "1.5", CRYPTO), ("DOGE", "100", CRYPTO), ("EUR", "20.00", FIAT))

amounts = st.integers(-(10**60), 10**60).map(lambda units: Decimal(f"{units}E-18"))
rates = st.integers(1, 10**40).map(lambda units: Decimal(f"{units}E-20"))
held = st.dictionaries(st.sampled_from(["BTC", "DOGE", "ETH", "EUR", "USD"]), amounts)


@given(held, st.dictionaries(st.sampled_from(["BTC", "DOGE", "ETH", "USD"]), rates))
def test_values_are_those_of_fractions(amounts, table):
    """Amount and values are the exact products and their sum, whatever the caller's decimal context is."""
    merged = result(*((code, amount, FIAT if code in {"EUR", "USD"} else CRYPTO) for code, amount in amounts.items()))

    with localcontext(prec=3):
        valuation = merged.value_in("EUR", table)

    expected = {
        code: Fraction(amount) * Fraction(table.get(code, 1))
        for code, amount in amounts.items()
        if code in table or code == "EUR"
    }
    assert {line.currency: Fraction(line.value) for line in valuation.valued} == expected
    assert Fraction(valuation.amount) == sum(expected.values())
    assert {total.currency for total in valuation.not_valued} == amounts.keys() - expected.keys()
    assert valuation.complete == (not valuation.not_valued)


@given(
    held, st.dictionaries(st.sampled_from(["BTC", "DOGE", "ETH", "USD"]), st.tuples(rates, rates)), st.integers(0, 8)
)
def test_each_value_is_rounded_once(amounts, table, places):
    """With `places`, each line is the exact quotient rounded half to even, and the amount is their exact sum."""
    merged = result(*((code, amount, FIAT if code in {"EUR", "USD"} else CRYPTO) for code, amount in amounts.items()))
    table = {code: Rate(code, "EUR", rate, per=per, source="test") for code, (rate, per) in table.items()}

    valuation = merged.value_in("EUR", table, places=places)

    for line in valuation.valued:
        exact = Fraction(line.amount) * Fraction(line.rate) / Fraction(line.per)
        assert Fraction(line.value) == Fraction(round(exact * 10**places), 10**places)
        assert line.value.as_tuple().exponent == -places
    assert Fraction(valuation.amount) == sum(Fraction(line.value) for line in valuation.valued)


def test_rounding_is_by_the_caller_alone():
    """A product has all its digits, and with `places` so many decimals, the half to the even one."""
    table = {"BTC": "0.35", "DOGE": "0.0000123456789"}

    assert [line.plain for line in HELD.value_in("EUR", table).valued] == ["0.525", "0.0012345678900", "20.00"]
    assert [line.plain for line in HELD.value_in("EUR", table, places=2).valued] == ["0.52", "0.00", "20.00"]
    assert HELD.value_in("EUR", table, places=2).plain == "20.52"


@given(amounts, rates, rates)
def test_a_quotient_has_eighteen_decimals(amount, rate, per):
    """Where a rate has to be divided by, the value has 18 decimals unless the caller says how many."""
    source = {"BTC": Rate("BTC", "EUR", rate, per=per, source="test")}

    (line,) = result(("BTC", amount, CRYPTO)).value_in("EUR", source).valued

    exact = Fraction(amount) * Fraction(rate) / Fraction(per)
    assert Fraction(line.value) == (exact if per == 1 else Fraction(round(exact * 10**18), 10**18))


def test_a_currency_without_a_rate_is_listed():
    """It is neither 0 nor 1: it is in `not_valued`, and the valuation is not complete."""
    valuation = HELD.value_in("EUR", {"BTC": "60000"})

    assert valuation.plain == "90020.00"
    assert [(line.currency, line.plain) for line in valuation.valued] == [("BTC", "90000.0"), ("EUR", "20.00")]
    assert valuation.not_valued == (HELD["DOGE"],)
    assert not valuation.complete
    assert HELD.value_in("EUR", {"BTC": "60000", "DOGE": 1}).complete


@pytest.mark.parametrize("key", ["BTC", "btc", ("BTC", CRYPTO), ("btc", "crypto")], ids=repr)
@pytest.mark.parametrize("rate", ["60000", 60000, Decimal(60000), Rate("BTC", "EUR", 60000, source="x")], ids=repr)
def test_rates_are_keyed_by_code_or_by_code_and_type(key, rate):
    """A rate is text, a whole number, a Decimal or a Rate."""
    assert result(("BTC", "2", CRYPTO)).value_in("eur", {key: rate}).amount == 120000


@pytest.mark.parametrize(
    ("key", "rate", "problem"),
    [
        ("BTC", 60000.5, "rates['BTC']: a float has lost digits: write it as text"),
        ("BTC", float("nan"), "rates['BTC']: a float has lost digits: write it as text"),
        ("BTC", Decimal("NaN"), "rates['BTC']: an amount must be finite"),
        ("BTC", Decimal("Infinity"), "rates['BTC']: an amount must be finite"),
        ("BTC", "NaN", "rates['BTC']: not a plain decimal number"),
        ("BTC", "1_000", "rates['BTC']: not a plain decimal number"),
        ("BTC", "60.000,00", "rates['BTC']: not a plain decimal number"),
        ("BTC", "1e101", "rates['BTC']: an exponent beyond 100"),
        ("BTC", True, "rates['BTC']: expected a decimal string, got a boolean"),
        ("BTC", None, "rates['BTC']: expected a decimal string, got null"),
        ("BTC", 0, "rates['BTC']: a rate must be above 0"),
        ("BTC", "-0", "rates['BTC']: a rate must be above 0"),
        ("BTC", "-1", "rates['BTC']: a rate must be above 0"),
        ("EUR", "1", "rates['EUR']: EUR is what everything is valued in, so its rate is 1: leave it out"),
        (("eur", FIAT), "2", "rates[('eur', <AssetType.FIAT: 'fiat'>)]: EUR is what everything is valued in, "),
        ("EUR/USD", "1.1", "rates['EUR/USD']: expected a code such as 'BTC', or a code and its type"),
        (("EUR", "USD"), "1.1", "rates[('EUR', 'USD')]: expected a code such as 'BTC', or a code and its type"),
        ("", "1", "rates['']: an empty code"),
        (1, "1", "rates[1]: expected a code such as 'BTC'"),
        ("BTC", Rate("BTC", "USD", 1, source="x"), "rates['BTC']: a rate of BTC in USD, not of BTC in EUR"),
        ("BTC", Rate("ETH", "EUR", 1, source="x"), "rates['BTC']: a rate of ETH in EUR, not of BTC in EUR"),
    ],
)
def test_a_rate_that_cannot_be_right_is_refused(key, rate, problem):
    """It is a ConfigError that says which, whether or not the currency is held."""
    for merged in (HELD, merge([])):
        with pytest.raises(ConfigError) as caught:
            merged.value_in("EUR", {key: rate})

        assert str(caught.value).startswith(problem)


def test_a_rate_given_twice_is_refused():
    """Two spellings of one code would leave it to chance which one counts."""
    with pytest.raises(ConfigError, match=r"rates\['btc'\]: BTC has another rate already"):
        HELD.value_in("EUR", {"BTC": 1, "btc": 2})


def test_a_code_of_two_types_needs_a_rate_for_each():
    """A rate by code alone would value the one by the rate of the other."""
    both = result(("MNT", "1", CRYPTO), ("MNT", "1", FIAT))

    with pytest.raises(ConfigError, match=r"rates\['MNT'\]: MNT is held as crypto and fiat: say which, for example"):
        both.value_in("EUR", {"MNT": 1})
    assert both.value_in("EUR", {("MNT", CRYPTO): 2, ("MNT", FIAT): "0.25"}).plain == "2.25"
    assert both.value_in("EUR", {("MNT", CRYPTO): 2, "MNT": "0.25"}).plain == "2.25"
    assert both.value_in("EUR", {("MNT", CRYPTO): 2}).not_valued == (both["MNT", FIAT],)


def test_a_token_with_the_name_of_the_currency_is_not_the_currency():
    """A token named EUR is crypto: it is not counted as euros, and can have a rate."""
    both = result(("EUR", "1000000", CRYPTO), ("EUR", "5", FIAT))

    assert both.value_in("EUR", {}).plain == "5"
    assert both.value_in("EUR", {}).not_valued == (both["EUR", CRYPTO],)
    assert both.value_in("EUR", {("EUR", CRYPTO): "0.000001"}).plain == "6.000000"
    assert both.value_in(("EUR", CRYPTO), {}).plain == "1000000"


def test_a_currency_of_unknown_type_is_the_only_one_of_its_code():
    """A balance of unknown type counts as the currency that is valued in, unless another type is held too."""
    assert result(("EUR", "5", UNKNOWN)).value_in("EUR", {}).complete
    several = result(("EUR", "5", UNKNOWN), ("EUR", "1", CRYPTO), ("EUR", "2", FIAT))
    assert several.value_in("EUR", {}).plain == "2"


def test_a_result_that_lacks_an_account_has_no_complete_value():
    """The valuation has the notice of the result, and so has its text."""
    rates = {"BTC": 1}
    down, old = result(("BTC", "1", CRYPTO), failures=[DOWN]), result(("BTC", "1", CRYPTO), stale=True)

    for merged in (down, old):
        valuation = merged.value_in("EUR", rates)
        assert not valuation.complete
        assert valuation.notice == merged.notice is not None
        assert str(valuation).splitlines()[0] == "EUR 1 (INCOMPLETE)"
        assert str(valuation).splitlines()[-1] == merged.notice
        assert merged.notice in repr(valuation)


def test_the_value_of_a_view_says_what_it_is_of():
    """The value of some currencies, or of one account, cannot be taken for that of everything."""
    valuation = HELD.only("BTC").value_in("EUR", {"BTC": 1})

    assert valuation.scope == "Only BTC"
    assert str(valuation).splitlines()[-1] == "Only BTC"
    assert repr(valuation) == "<Valuation: EUR 1.5; Only BTC>"


def test_the_text_says_what_is_not_valued():
    """Printed, the amount cannot be taken for the value of everything."""
    rate = Rate("BTC", "EUR", "1", per="0.00002", source="my exchange", as_of=NOW)

    valuation = HELD.value_in("EUR", {"BTC": rate}, places=2)

    assert str(valuation).splitlines() == [
        "EUR 75020.00 (INCOMPLETE)",
        "BTC 1.5 at 1 / 0.00002 (my exchange of 2026-01-01 00:00 UTC) = EUR 75000.00",
        "EUR 20.00 = EUR 20.00",
        "NOT VALUED, without a rate: DOGE 100",
    ]
    assert repr(valuation) == "<Valuation: EUR 75020.00 (INCOMPLETE); NOT VALUED, without a rate: DOGE 100>"


def test_no_code_in_the_text_reorders_what_is_around_it():
    """Codes that are written from right to left are isolated, with a rate and without."""
    valuation = result(("אב", "2", CRYPTO), ("גד", "3", CRYPTO)).value_in("EUR", {"אב": "5"})

    assert str(valuation).splitlines()[1:] == [
        "\u2068אב\u2069 2 at 5 (given by the caller) = EUR 10",
        "NOT VALUED, without a rate: \u2068גד\u2069 3",
    ]
    assert pickle.loads(pickle.dumps(valuation)) == valuation


class Market:
    """A source with one rate."""

    def __init__(self, rate):
        self.the_rate = rate

    def rate(self, currency, asset_type, target):
        """Return it for the currency that it is of."""
        return self.the_rate if (currency, asset_type) == ("BTC", CRYPTO) else None


def test_rates_come_from_a_source():
    """A source is asked for each total; each line keeps the source and the moment of its rate."""
    source: RateSource = Market(Rate("BTC", "EUR", "60000", source="Market", as_of=NOW))

    valuation = HELD.value_in("EUR", source)

    assert (valuation.valued[0].source, valuation.valued[0].as_of) == ("Market", NOW)
    assert (valuation.valued[1].rate, valuation.valued[1].source) == (1, None)
    assert valuation.not_valued == (HELD["DOGE"],)


def test_the_first_source_with_a_rate_counts():
    """Several sources are asked in the order of the list."""
    sources = [Market(Rate("BTC", "EUR", 10, source="first")), {"BTC": 20, "DOGE": 1}]

    valuation = HELD.value_in("EUR", sources)

    assert [(line.currency, line.source) for line in valuation.valued] == [
        ("BTC", "first"),
        ("DOGE", "given by the caller"),
        ("EUR", None),
    ]
    assert valuation.plain == "135.00"


@pytest.mark.parametrize(
    ("rates", "problem"),
    [
        (Market(Rate("BTC", "USD", 1, source="x")), "a rate of BTC in USD, not of BTC in EUR"),
        (Market(1.5), "expected a balancekit.Rate or None, got float"),
        ("EUR", "rates: expected a mapping, a RateSource or a list of them, got str"),
        (None, "rates: expected a mapping, a RateSource or a list of them, got NoneType"),
        ([Rate("BTC", "EUR", 1, source="x")], "rates: expected a mapping, a RateSource or a list of them, got Rate"),
    ],
)
def test_a_source_that_is_none_is_refused(rates, problem):
    """A source that gives the rate of another pair, or no Rate, is a ConfigError."""
    with pytest.raises(ConfigError, match=problem):
        HELD.value_in("EUR", rates)


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate": 1.5},
        {"rate": 0},
        {"rate": 1, "per": "-1"},
        {"rate": 1, "per": "NaN"},
        {"rate": 1, "source": ""},
        {"rate": 1, "as_of": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is what is wrong
        {"rate": 1, "as_of": "2026-01-01"},
        {"rate": 1, "currency": "B TC"},
    ],
    ids=repr,
)
def test_a_rate_is_checked_when_it_is_made(arguments):
    """A Rate cannot exist with a value that could not be right."""
    with pytest.raises(ConfigError, match="Rate"):
        Rate(**{"currency": "BTC", "target": "EUR", "source": "x"} | arguments)


@pytest.mark.parametrize("target", ["E UR", b"EUR", ("EUR",), ("EUR", "money"), (None, AssetType.FIAT)], ids=repr)
def test_a_target_is_a_code_or_a_code_and_its_type(target):
    """Anything else is a ConfigError."""
    with pytest.raises(ConfigError, match="value_in: "):
        HELD.value_in(target, {})


@pytest.mark.parametrize("places", [-1, 101, 2.0, True, "2"])
def test_places_are_a_whole_number(places):
    """Anything else is a ConfigError."""
    with pytest.raises(ConfigError, match="places: expected a whole number from 0 to 100"):
        HELD.value_in("EUR", {}, places=places)


def test_a_code_with_a_slash_can_have_a_rate_if_it_is_held():
    """What looks like a pair is the code of a currency where the result has that."""
    assert result(("A/B", "2", CRYPTO)).value_in("EUR", {"A/B": 3}).plain == "6"
