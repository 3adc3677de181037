"""Results as JSON and back."""

import json
from datetime import UTC, datetime
from decimal import Decimal, localcontext

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
from balancekit.money import serialization

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
    assert str(copy.amount("BTC")) == "0.10"
    assert MergedBalances.from_dict(merged.to_dict()) == merged


@given(st.lists(AMOUNTS, min_size=1, max_size=4))
def test_every_amount_comes_back_exactly(amounts):
    """Amounts of any size are written and read without losing a digit, even where the caller rounds."""
    held = tuple(Balance("BTC", amount, AssetType.CRYPTO, "shop", "fake", "BTC") for amount in amounts)
    merged = merge([AccountBalances("shop", "fake", held, NOW)])

    with localcontext(prec=5):
        assert MergedBalances.from_json(merged.to_json()) == merged


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


def test_the_dict_is_made_of_what_json_has(merged):
    """The dict can be handed to any JSON encoder."""
    assert json.loads(json.dumps(merged.to_dict())) == merged.to_dict()


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
        (lambda data: data["totals"][0].update(amount="0.20", balances=data["totals"][0]["balances"] * 2), "not those"),
        (lambda data: data["totals"].append(data["totals"][0]), "not those of the accounts"),
        (lambda data: data.update(accounts=[]), "not those of the accounts"),
        (lambda data: data["accounts"].append(data["accounts"][0]), "would be counted twice"),
        (lambda data: data["totals"].pop(0), "the total of BTC is missing"),
        (lambda data: data.update(totals=[]), "the total of BTC is missing"),
        (lambda data: data["totals"][0].update(balances=[], amount="0"), "BTC are not those of the accounts"),
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
        "doubled",
        "total twice",
        "no accounts",
        "account twice",
        "no total",
        "no totals",
        "a balance less",
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

    written = json.loads(json.dumps(serialization.to_dict(snapshot)))

    with localcontext(prec=5):
        assert serialization.from_dict(written, AccountBalances, "a snapshot") == snapshot


@pytest.mark.parametrize("data", [None, [], {}, {"account": "shop", "balances": {}}], ids=str)
def test_what_is_no_snapshot_is_refused(data):
    """Anything else is a ValueError that begins with what was expected."""
    with pytest.raises(ValueError, match="not a snapshot: "):
        serialization.from_dict(data, AccountBalances, "a snapshot")
