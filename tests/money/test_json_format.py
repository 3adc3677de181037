"""The format of results as JSON: what is written, and what is read."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AccountBalances,
    AccountFailure,
    AssetType,
    Balance,
    BalancekitError,
    ConfigError,
    MergedBalances,
    ProviderError,
    RateLimitedError,
    merge,
)
from balancekit.money import json_format, serialization
from tests.support.strategies import results, views

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNTS = st.builds("{}{}e{}".format, st.sampled_from(["", "-"]), st.integers(0, 10**99), st.integers(-100, 100)).map(
    Decimal
)


@pytest.fixture
def merged(make_snapshot):
    """Merge two accounts and a failure that has every fact and what was last known."""
    error = RateLimitedError(
        "429 too_many", account="c", provider="fake", status=429, code="too_many", hint="Wait", retry_after=2.5
    )
    failure = AccountFailure("c", "fake", error, make_snapshot("c", ("BTC", "9")))
    return merge([make_snapshot("a", ("BTC", "0.10")), make_snapshot("b", ("EUR", "0.00000000", "fiat"))], [failure])


def test_a_result_comes_back_equal(merged):
    """What is written can be read, failures and scales included."""
    copy = MergedBalances.from_json(merged.to_json())

    assert copy == merged
    assert str(copy.amount("BTC", partial=True)) == "0.10"
    assert MergedBalances.from_dict(merged.to_dict()) == merged


@given(st.lists(AMOUNTS, min_size=1, max_size=4))
def test_every_amount_comes_back_exactly(amounts):
    """Amounts of any size are written and read without losing a digit, even where the caller rounds."""
    held = tuple(Balance("BTC", amount, AssetType.CRYPTO, "shop", "fake", "BTC") for amount in amounts)
    merged = merge([AccountBalances("shop", "fake", held, NOW)])

    with localcontext(prec=5):
        assert MergedBalances.from_json(merged.to_json()) == merged


@given(results())
def test_every_result_and_every_view_of_it_comes_back_equal(merged):
    """Parts, moments, types, failures and what was chosen; and each total is as old as it was."""
    for view in views(merged):
        read = MergedBalances.from_json(view.to_json())

        assert read == view
        assert [(total.as_of, total.stale) for total in read] == [(total.as_of, total.stale) for total in view]


def test_the_dict_has_what_a_reader_without_the_library_needs(merged):
    """Amounts are strings in plain notation; what follows from the rest is spelt out."""
    written = merged.to_dict()

    assert written["complete"] is False
    assert written["as_of"] == "2026-01-01T00:00:00+00:00"
    assert [(total["currency"], total["amount"]) for total in written["totals"]] == [
        ("BTC", "0.10"),
        ("EUR", "0.00000000"),
    ]
    assert written["failures"][0]["error"]["type"] == "RateLimitedError"


def test_the_format_names_itself_and_its_version(merged):
    """A reader knows before anything else what it reads."""
    assert list(merged.to_dict().items())[:2] == [("format", "balancekit.balances"), ("version", 1)]


class Text(str):
    """A string of a class of its own."""

    __slots__ = ()


def _of_plain_types(value):
    match value:
        case dict():
            return type(value) is dict and all(type(key) is str and _of_plain_types(one) for key, one in value.items())
        case list():
            return type(value) is list and all(map(_of_plain_types, value))
        case _:
            return type(value) in {str, int, float, bool, type(None)}


def test_the_dict_is_of_plain_types(make_balance):
    """Any encoder can be given it, such as one of YAML, which knows no members of enumerations."""
    error = RateLimitedError(
        Text("429"), account=Text("c"), provider=Text("fake"), status=HTTPStatus.TOO_MANY_REQUESTS, code=Text("odd")
    )
    held = Balance(Text("btc"), Decimal(1), AssetType.CRYPTO, Text("shop"), Text("fake"), Text("btc"), Text("base"))
    snapshot = AccountBalances(Text("shop"), Text("fake"), (held,), NOW)

    written = merge([snapshot], [AccountFailure(Text("c"), Text("fake"), error)]).to_dict()

    assert _of_plain_types(written)
    assert json.loads(json.dumps(written)) == written


def test_a_balance_is_written_once(make_snapshot):
    """Totals do not repeat their balances, and a failure not the snapshot that stands in for it."""
    stale = make_snapshot("b", ("USDC", "8125"), stale=True)
    error = ProviderError("odd", account="b", provider="fake")
    merged = merge([make_snapshot("a", ("BTC", "7250")), stale], [AccountFailure("b", "fake", error, stale)])

    text = merged.to_json()

    assert (text.count("7250"), text.count("8125")) == (2, 2)
    assert (text.count('"a"'), MergedBalances.from_json(text)) == (1, merged)


def test_a_snapshot_with_aliases_or_in_a_view_is_written_once(make_snapshot):
    """A failure has the snapshot that stands in for it as the result shows it, and nothing that a view leaves out."""
    stale = make_snapshot("b", ("USDCE", "8125"), ("BTC", "7250"), stale=True)
    failure = AccountFailure("b", "fake", ProviderError("odd", account="b", provider="fake"), stale)
    merged = merge([stale], [failure], aliases={"USDCE": "USDC"})

    for result in (merged, merged.only("USDC")):
        assert result.to_json().count("8125") == 2
        assert result.failures[0].last_known == result.accounts[0]
        assert MergedBalances.from_json(result.to_json()) == result
    assert "7250" not in merged.only("USDC").to_json()


def test_three_hundred_accounts_of_ten_currencies_are_small(make_snapshot):
    """Somebody who keeps a result each minute has room for it."""
    held = [(f"CODE{number}", f"{number}123456.12345678") for number in range(10)]
    merged = merge(make_snapshot(f"merchant-account-{number:03}", *held) for number in range(300))

    assert len(merged.to_json().encode()) < 450_000


def test_the_parts_of_a_balance_and_the_moment_of_its_provider_come_back(make_balance):
    """They are in the total, too, where every balance has the part."""
    held = make_balance("USD", "5.00", "fiat", available=Decimal("3.10"), pending=Decimal("1e-8"))
    merged = merge([AccountBalances("shop", "fake", (held,), NOW, reported_at=NOW - timedelta(hours=1))])

    written = merged.to_dict()

    parts = {"available": "3.10", "pending": "0.00000001"}
    assert parts.items() <= written["accounts"][0]["balances"][0].items()
    assert parts.items() <= written["totals"][0].items()
    assert written["accounts"][0]["reported_at"] == written["as_of"] == "2025-12-31T23:00:00+00:00"
    assert MergedBalances.from_dict(written) == merged


def test_what_is_not_reported_is_left_out(merged):
    """No reader can take a missing part for a zero."""
    assert merged.to_dict()["accounts"][0]["balances"] == [
        {"currency": "BTC", "asset_type": "crypto", "amount": "0.10", "code": "BTC"}
    ]


def test_a_total_that_was_read_is_as_old_as_its_accounts(make_snapshot):
    """Its age does not get lost on the way."""
    merged = merge([make_snapshot("a", ("BTC", "1"), stale=True), make_snapshot("b", ("EUR", "1", "fiat"))])

    read = MergedBalances.from_json(merged.to_json())

    assert [(total.as_of, total.stale) for total in read] == [(NOW, True), (NOW, False)]


WITHOUT_VERSION = Path(__file__).parents[1] / "samples" / "results" / "without-version.json"


def test_a_result_from_before_the_format_had_a_version_is_read():
    """What was kept then is worth as much as before."""
    read = MergedBalances.from_json(WITHOUT_VERSION.read_bytes())

    assert [(total.currency, total.plain, len(total.balances)) for total in read] == [
        ("BTC", "0.10000000", 1),
        ("EUR", "-12.50", 2),
        ("USDC", "250.000000000000000000000000000001", 2),
    ]
    assert [(one.account, one.stale) for one in read.accounts] == [("shop", False), ("till", True)]
    gone, new, till = read.failures
    assert (till.last_known, till.error.retry_after) == (read.accounts[1], 2.5)
    assert (gone.last_known.balances[0].amount, type(new.error)) == (Decimal(7), ConfigError)
    assert MergedBalances.from_json(read.to_json()) == read


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda total: total.update(balances=total["balances"] * 2), "not those of the accounts"),
        (lambda total: total.update(balances=[]), "not those of the accounts"),
        (lambda total: total.update(amount="0.2"), "do not add up"),
    ],
    ids=["doubled", "a balance less", "sum"],
)
def test_a_forged_total_from_before_the_format_had_a_version_is_refused(change, reason):
    """Its totals repeat their balances, which must be those of the accounts."""
    data = json.loads(WITHOUT_VERSION.read_bytes())
    change(data["totals"][0])

    with pytest.raises(ValueError, match=f"not a merged result: the balances of BTC .*{reason}"):
        MergedBalances.from_dict(data)


def test_an_empty_result_comes_back():
    """Nothing is written and read as nothing."""
    assert MergedBalances.from_json(merge([]).to_json()) == merge([])


def test_a_view_without_zeros_comes_back_as_the_view(merged):
    """What was hidden when the result was written stays hidden."""
    assert MergedBalances.from_json(merged.nonzero().to_json()) == merged.nonzero()


def test_an_error_of_the_writers_own_class_keeps_its_facts():
    """A class that the reader does not know is read as ProviderError."""

    class MyBankError(ProviderError):
        """Something only my bank does."""

    failure = AccountFailure("shop", "mybank", MyBankError("odd", account="shop", provider="mybank", code="odd"))

    (read,) = MergedBalances.from_json(merge([], [failure]).to_json()).failures

    assert type(read.error) is ProviderError
    assert (str(read.error), read.error.code) == ("shop (mybank): odd", "odd")


@pytest.mark.parametrize("kind", [BalancekitError, ConfigError])
def test_an_error_without_facts_keeps_its_class(kind):
    """An adapter may fail with any error of the tree."""
    merged = merge([], [AccountFailure("shop", "fake", kind("cannot work"))])

    assert MergedBalances.from_json(merged.to_json()) == merged


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data["totals"][0].update(amount=0.1), "amount"),
        (lambda data: data["totals"][0].update(amount="NaN"), "amount"),
        (lambda data: data["totals"][0].pop("amount"), "amount"),
        (lambda data: data["totals"][0].update(currency=5), "currency"),
        (lambda data: data["totals"][0].update(asset_type="gold"), "asset_type"),
        (lambda data: data["accounts"][0].update(fetched_at="yesterday"), "fetched_at"),
        (lambda data: data["accounts"][0].update(stale="no"), "stale"),
        (lambda data: data["accounts"][0]["balances"][0].update(amount=True), "amount"),
        (lambda data: data["totals"][0].update(amount="0.2"), "do not add up"),
        (lambda data: data["totals"].append(data["totals"][0]), "not those of the accounts"),
        (lambda data: data.update(accounts=[]), "not those of the accounts"),
        (lambda data: data["accounts"].append(data["accounts"][0]), "would be counted twice"),
        (lambda data: data["totals"].pop(0), "the total of BTC is missing"),
        (lambda data: data.update(totals=[]), "the total of BTC is missing"),
        (lambda data: data["totals"][0].update(amount="0"), "do not add up to its total"),
        (lambda data: data["totals"][0].update(available="0.10"), "do not add up to its total"),
        (lambda data: data["accounts"][0]["balances"][0].update(amount="1e2"), "do not add up to its total"),
        (lambda data: data["accounts"][0]["balances"][0].update(account="b"), "belongs to another account"),
        (lambda data: data["accounts"][0]["balances"][0].update(pending=0.5), r"balances\[0\]\.pending"),
        (lambda data: data["accounts"][0].update(reported_at="2026-01-01T00:00:00"), "time zone"),
        (lambda data: data["accounts"][0].update(account="a\nBTC 1000"), "not printable"),
        (lambda data: data["accounts"][0].pop("account"), r"accounts\[0\]\.account: missing"),
        (lambda data: data["failures"][0].update(last_known=None, last_known_in_accounts=True), "of 'c' is missing"),
        (lambda data: data.update(chosen_currencies=["BTC", "EUR", "BTC"]), "BTC is asked for twice"),
        (lambda data: data.update(chosen_currencies=["EUR"]), "a total of a currency that was not chosen"),
        (lambda data: data.update(chosen_currencies="BTC"), "chosen_currencies: .*expected a list"),
        (lambda data: data.update(chosen_accounts=["a"]), "an account that was not chosen"),
        (lambda data: data.update(chosen_accounts=["a", "b", "c", 5]), r"chosen_accounts"),
        (lambda data: data.update(format="balancekit.rates"), "format: expected 'balancekit.balances'"),
        (lambda data: data.pop("format"), "format: expected 'balancekit.balances'"),
        (lambda data: data.pop("version"), "version: expected a whole number"),
        (lambda data: data.update(version=True), "version: expected a whole number"),
        (lambda data: data.update(version="1"), "version: expected a whole number"),
        (lambda data: data.update(version=0), "version: expected a whole number"),
        (lambda data: data.update(version=2), "version: 2 is later than 1"),
        (lambda data: data["totals"][0].update(currency="ETH"), "of another currency"),
        (lambda data: data["totals"][0].update(asset_type="fiat"), "of another currency or type"),
        (lambda data: data["failures"][0]["error"].update(type="IncompleteError", retryable="yes"), "retryable"),
        (lambda data: data["failures"][0].update(error=None), "error"),
        (
            lambda data: data["failures"][0]["error"].update(retry_after=float("nan")),
            "retry_after: not a finite number",
        ),
        (lambda data: data["failures"][0]["error"].update(account="shop\nBTC 1000"), "not printable"),
    ],
    ids=[
        "float",
        "nan",
        "missing",
        "code",
        "type",
        "moment",
        "stale",
        "bool",
        "sum",
        "total twice",
        "no accounts",
        "account twice",
        "no total",
        "no totals",
        "zero",
        "available",
        "balance",
        "owner",
        "pending",
        "no zone",
        "label",
        "no label",
        "no last snapshot",
        "currency twice",
        "another currency",
        "text",
        "another account",
        "no label",
        "format",
        "no format",
        "no version",
        "version a bool",
        "version a text",
        "no such version",
        "later version",
        "renamed",
        "retyped",
        "retryable",
        "error",
        "nan seconds",
        "two lines",
    ],
)
def test_what_is_no_result_is_refused(merged, change, reason):
    """A damaged or forged result is a ValueError that names the place, never a wrong number."""
    data = merged.to_dict()
    change(data)

    with pytest.raises(ValueError, match=rf"not a merged result: .*{reason}"):
        MergedBalances.from_dict(data)


def test_a_value_in_a_failure_is_named_by_its_whole_path(merged):
    """The path leads through the failure and its error to the value."""
    data = merged.to_dict()
    data["failures"][0]["error"]["status"] = "429"

    with pytest.raises(
        ValueError, match=r"^not a merged result: failures\[0\]\.error\.status: expected a number, got a str"
    ):
        MergedBalances.from_dict(data)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "5", "null", '{"totals": 5}', "[" * 100_000])
def test_text_that_is_no_result_is_refused(text):
    """Any other text is a ValueError."""
    with pytest.raises(ValueError, match=r"not a merged result|Expecting value"):
        MergedBalances.from_json(text)


def test_an_error_about_another_account_keeps_its_names():
    """A provider that wraps another may fail with an error that names the inner account."""
    error = ProviderError("odd", account="inner", provider="mybank")
    merged = merge([], [AccountFailure("outer", "wrapper", error)])

    assert MergedBalances.from_json(merged.to_json()) == merged


@pytest.mark.parametrize("kind", ["IncompleteError", "annotations", "Any", "NoSuchError"])
def test_a_class_that_is_no_error_of_an_account_is_read_as_one(merged, kind):
    """Only a class of the tree is made from a name that was read."""
    data = merged.to_dict()
    data["failures"][0]["error"]["type"] = kind

    assert type(MergedBalances.from_dict(data).failures[0].error) is ProviderError


@given(st.lists(AMOUNTS, max_size=4))
def test_a_snapshot_comes_back_exactly(amounts):
    """One account is written and read as a whole result is."""
    held = tuple(Balance("BTC", amount, AssetType.CRYPTO, "shop", "fake", "BTC") for amount in amounts)
    snapshot = AccountBalances("shop", "fake", held, NOW, stale=True)

    written = json.loads(json.dumps(json_format.write_snapshot(snapshot)))

    with localcontext(prec=5):
        assert serialization.from_dict(written, AccountBalances, "a snapshot") == snapshot


@pytest.mark.parametrize("data", [None, [], {}, {"account": "shop", "balances": {}}], ids=str)
def test_what_is_no_snapshot_is_refused(data):
    """Anything else is a ValueError that begins with what was expected."""
    with pytest.raises(ValueError, match="not a snapshot: "):
        serialization.from_dict(data, AccountBalances, "a snapshot")
