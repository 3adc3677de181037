"""Balances, snapshots, failures and totals: what they accept, and how they compare."""

import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import attrs
import pytest

from balancekit import (
    AccountBalances,
    AccountFailure,
    AssetType,
    Balance,
    CurrencyTotal,
    ProviderError,
    RateLimitedError,
)
from balancekit.money.balances import construct_balances

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_currency_is_in_upper_case_and_the_code_as_sent(make_balance):
    """The key of the merge is normal, and what the provider sent is kept."""
    balance = make_balance("usdc.e", "1")

    assert (balance.currency, balance.code) == ("USDC.E", "usdc.e")


def test_the_amount_keeps_its_scale(make_balance):
    """A balance shows the digits that were reported, zeros at the end included."""
    assert str(make_balance("USD", "250.000000").amount) == "250.000000"


def test_minus_zero_becomes_zero(make_balance):
    """A balance made by hand has no minus nothing either."""
    assert not make_balance("USD", "-0.00").amount.is_signed()


@pytest.mark.parametrize("amount", [1.5, "1.5", 1, None, True], ids=repr)
def test_an_amount_is_a_decimal(amount):
    """Only a Decimal is an amount; a float would have been rounded already."""
    with pytest.raises(TypeError, match="must be a Decimal"):
        Balance("USD", amount, AssetType.FIAT, "shop", "fake", "USD")


def test_an_unchecked_balance_is_a_balance_like_any_other():
    """A balance made without checks equals one from the constructor, in class, fields and copies."""
    made = Balance("USDC", Decimal("1.50"), AssetType.CRYPTO, "shop", "fake", "usdc", "base", "b-1")

    (balance,) = construct_balances(
        "shop", "fake", [("USDC", Decimal("1.50"), AssetType.CRYPTO, "usdc", "base", "b-1")]
    )

    assert type(balance) is Balance
    assert (balance, hash(balance), repr(balance)) == (made, hash(made), repr(made))
    assert pickle.loads(pickle.dumps(balance)) == attrs.evolve(balance) == made
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        balance.amount = Decimal(2)


def test_unchecked_balances_belong_to_an_account_with_a_valid_label():
    """The account and the provider are checked even where the fields are not."""
    with pytest.raises(ValueError, match="label"):
        construct_balances("sh\nop", "fake", ())
    with pytest.raises(ValueError, match="label"):
        construct_balances("shop", "", ())


@pytest.mark.parametrize("field", ["currency", "amount", "account"])
def test_values_are_frozen(make_balance, field):
    """Nobody changes an amount after it was read."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(make_balance("USD", "1"), field, "x")


def test_values_have_no_other_attributes(make_balance):
    """A misspelt attribute is an error, not a new one."""
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(make_balance("USD", "1"), "amout", Decimal(2))


def test_a_chain_must_be_printable(make_balance):
    """The name of a chain reaches screens as a code does."""
    with pytest.raises(ValueError, match="not printable"):
        make_balance("USDC", "1", chain="ether\x00eum")


def test_moments_are_in_utc():
    """A moment with any offset is kept as the same moment in UTC."""
    there = timezone(timedelta(hours=2))

    snapshot = AccountBalances("shop", "fake", (), datetime(2026, 1, 1, 2, tzinfo=there))

    assert snapshot.fetched_at == NOW
    assert snapshot.fetched_at.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused():
    """A moment without a time zone could be any of twenty-four."""
    with pytest.raises(ValueError, match="time zone"):
        AccountBalances("shop", "fake", (), datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_balances_become_a_tuple(make_balance):
    """A list that is changed later does not change the snapshot."""
    held = [make_balance("BTC", "1")]

    snapshot = AccountBalances("shop", "fake", held, NOW)
    held.clear()

    assert len(snapshot.balances) == 1


@pytest.mark.parametrize("change", [{"account": "till"}, {"provider": "other"}], ids=["account", "provider"])
def test_a_balance_of_another_account_is_refused(make_balance, change):
    """A snapshot cannot hold what belongs elsewhere."""
    ours = make_balance("BTC", "1")
    with pytest.raises(ValueError, match=r"balances\[1\] belongs to another account than 'shop'"):
        AccountBalances("shop", "fake", (ours, attrs.evolve(ours, **change)), NOW)


def test_what_is_no_balance_is_refused():
    """A provider's row is named by its place if it is no Balance."""
    with pytest.raises(TypeError, match=r"balances\[0\] must be a Balance, not dict"):
        AccountBalances("shop", "fake", [{}], NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account", None),
        ("provider", 5),
        ("code", "\x1b[2J"),
        ("asset_type", "gold"),
        ("currency", ""),
        ("reference", 7),
    ],
)
def test_a_balance_cannot_be_wrong(make_balance, field, value):
    """Every field is checked, so that code that is given a balance need not check it."""
    with pytest.raises((TypeError, ValueError)):
        attrs.evolve(make_balance("BTC", "1"), **{field: value})


def test_a_snapshot_and_a_failure_cannot_be_wrong(make_snapshot):
    """A label can be shown, a flag is a bool, and an error one of the tree."""
    with pytest.raises(ValueError, match="label"):
        make_snapshot("sh\x1bop")
    with pytest.raises(TypeError, match="a label must be a string, not int"):
        make_snapshot(7)
    with pytest.raises(TypeError):
        make_snapshot("shop", stale="yes")
    with pytest.raises(TypeError):
        AccountFailure("shop", "fake", ValueError("no"))


def _failure(**facts):
    return AccountFailure("shop", "fake", RateLimitedError("429", account="shop", provider="fake", **facts))


def test_failures_are_equal_if_their_errors_say_the_same():
    """Two results compare equal by content, although exceptions never do."""
    assert _failure(retry_after=1.0) == _failure(retry_after=1.0)
    assert hash(_failure(retry_after=1.0)) == hash(_failure(retry_after=1.0))


def test_failures_differ_if_a_fact_does():
    """Class, message and every fact of the error count."""
    other = AccountFailure("shop", "fake", ProviderError("429", account="shop", provider="fake"))

    assert _failure(retry_after=1.0) != _failure(retry_after=2.0)
    assert _failure() != other


def test_results_pickle(make_snapshot):
    """Snapshots and failures travel between processes unchanged."""
    snapshot = make_snapshot("shop", ("BTC", "0.10"))
    failure = attrs.evolve(_failure(code="x"), last_known=snapshot)

    assert pickle.loads(pickle.dumps((snapshot, failure))) == (snapshot, failure)


@pytest.mark.parametrize(
    ("amount", "kind"), [(0.1, TypeError), ("1", TypeError), (Decimal("NaN"), ValueError), (Decimal("Inf"), ValueError)]
)
def test_a_total_is_a_finite_decimal(amount, kind):
    """A total made by hand cannot be a float either."""
    with pytest.raises(kind, match="an amount must be"):
        CurrencyTotal("BTC", AssetType.CRYPTO, amount, ())
