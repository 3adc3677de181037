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
    TransportError,
    merge,
)
from balancekit.money import json_format, serialization
from tests.support.strategies import results, views

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNTS = st.builds("{}{}e{}".format, st.sampled_from(["", "-"]), st.integers(0, 10**99), st.integers(-100, 100)).map(
    Decimal
)


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


def test_what_a_failure_says_is_read_as_it_was_written():
    """Blanks among it, too, so that a result is equal to what was written of it."""
    error = TransportError("no  connection", account="shop", provider="fake", code="A  B", hint="look  at it")
    merged = merge([], [AccountFailure("shop", "fake", error)])

    assert MergedBalances.from_json(merged.to_json()) == merged
