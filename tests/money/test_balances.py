"""Balances, snapshots, failures and totals: what they accept, and how they compare."""

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from fractions import Fraction

import attrs
import pytest
from hypothesis import given

from balancekit import (
    AccountBalances,
    AccountFailure,
    AssetType,
    Balance,
    CurrencyTotal,
    ProviderError,
    RateLimitedError,
    ReportedBalances,
    merge,
)
from balancekit.money.balances import BalanceDraft, finish_balances
from tests.support.strategies import results

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
    draft = BalanceDraft()
    draft.currency, draft.code, draft.amount, draft.asset_type = "USDC", "usdc", Decimal("1.50"), AssetType.CRYPTO
    draft.chain, draft.reference = "base", "b-1"

    (balance,) = finish_balances("shop", "fake", [draft])

    assert type(balance) is Balance
    assert (balance, hash(balance), repr(balance)) == (made, hash(made), repr(made))
    assert pickle.loads(pickle.dumps(balance)) == attrs.evolve(balance) == made
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        balance.amount = Decimal(2)


@pytest.mark.parametrize("part", ["available", "pending"])
@pytest.mark.parametrize("value", [1.5, "1.5", 1, True, Decimal("NaN"), Decimal("Inf"), Decimal("1e500")], ids=repr)
def test_the_parts_of_a_balance_are_amounts(make_balance, part, value):
    """What is available or pending is checked as the amount is; a float is rejected."""
    with pytest.raises((TypeError, ValueError), match=r"an amount must|places from the point"):
        make_balance("USD", "5", **{part: value})


def test_balances_differ_if_a_part_does(make_balance):
    """Nothing available is another fact than an unknown amount available."""
    known = make_balance("USD", "5", available=Decimal(0))

    assert known != make_balance("USD", "5")
    assert known == make_balance("USD", "5", available=Decimal("-0.0"))
    assert "available=Decimal('0.0')" in repr(make_balance("USD", "5", available=Decimal("-0.0")))
    assert pickle.loads(pickle.dumps(known)) == known


def test_an_amount_in_plain_text_has_no_exponent(make_balance):
    """Decimal alone would write one hundred-millionth as 1E-8."""
    assert make_balance("BTC", "1e-8").plain == "0.00000001"
    assert merge([AccountBalances("shop", "fake", (make_balance("BTC", "1E+2"),), NOW)])["BTC"].plain == "100"


def test_unchecked_balances_belong_to_an_account_with_a_valid_label():
    """The account and the provider are checked even where the fields are not."""
    with pytest.raises(ValueError, match="label"):
        finish_balances("sh\nop", "fake", ())
    with pytest.raises(ValueError, match="label"):
        finish_balances("shop", "", ())


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


@pytest.mark.parametrize(
    ("reported_at", "as_of"),
    [
        (None, NOW),
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1)),
        (NOW + timedelta(hours=1), NOW),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), NOW - timedelta(hours=1)),
    ],
    ids=["unknown", "earlier", "later", "elsewhere"],
)
def test_a_snapshot_is_as_old_as_the_older_of_its_moments(reported_at, as_of):
    """A provider may show what it held an hour ago; that its clock is ahead makes nothing younger."""
    snapshot = AccountBalances("shop", "fake", (), NOW, reported_at=reported_at)

    assert snapshot.as_of == merge([snapshot]).as_of == as_of
    assert snapshot.as_of.tzinfo is UTC
    assert snapshot.age(NOW + timedelta(seconds=30)) == (NOW - as_of).total_seconds() + 30
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001 - the point of the test
        1767225600,
        1767225600.0,
        "2026-01-01T00:00:00Z",
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
    ],
    ids=["naive", "int", "float", "text", "too early", "too late"],
)
def test_a_providers_moment_is_one_with_a_time_zone(moment):
    """Neither a number nor text is a moment, and one without a zone could be any of twenty-four."""
    with pytest.raises((TypeError, ValueError), match="a moment must"):
        AccountBalances("shop", "fake", (), NOW, reported_at=moment)
    with pytest.raises(ValueError, match="reported_at: a moment must"):
        ReportedBalances((), reported_at=moment)


def test_snapshots_differ_if_the_providers_moment_does():
    """Two readings of the same balances are equal only if both moments are."""
    assert AccountBalances("shop", "fake", (), NOW) != AccountBalances("shop", "fake", (), NOW, reported_at=NOW)


def test_reported_balances_are_not_made_by_what_may_end_early(make_balance):
    """A StopIteration in what `map` calls would leave out the balances that follow, without an error."""
    rows, codes = ["BTC", "XRP", "EUR"], ["BTC", "EUR"]

    def balance(row):
        return make_balance(next(code for code in codes if code == row), "1")

    with pytest.raises(ValueError, match="expected a list of balances, got map"):
        ReportedBalances(map(balance, rows), reported_at=NOW)
    with pytest.raises(RuntimeError):
        ReportedBalances((balance(row) for row in rows), reported_at=NOW)


def test_reported_balances_are_a_tuple_with_a_moment(make_balance):
    """An adapter returns them like any balances, and processes can exchange them."""
    there = timezone(timedelta(hours=2))
    reported = ReportedBalances([make_balance("BTC", "1")], reported_at=datetime(2026, 1, 1, 2, tzinfo=there))

    copy = pickle.loads(pickle.dumps(reported))

    assert reported == copy == (make_balance("BTC", "1"),)
    assert reported.reported_at == copy.reported_at == NOW
    assert copy.reported_at.tzinfo is UTC


def _sent(result):
    return pickle.loads(pickle.dumps(result))


def _held(account, *balances, **more):
    return AccountBalances(
        account, "fake", tuple(attrs.evolve(balance, account=account) for balance in balances), NOW, **more
    )


def test_a_total_sums_a_part_that_every_balance_has(make_balance):
    """The part of a total is exact; where one balance lacks it, the sum of the others would be too small."""
    first = make_balance("USD", "5", "fiat", available=Decimal("1.1"), pending=Decimal("1e-30"))
    second = make_balance("USD", "7", "fiat", available=Decimal(2) * 10**30)

    total = merge([_held("a", first), _held("b", second)])["USD"]

    assert total.amount == Decimal(12)
    assert total.available == Decimal("2000000000000000000000000000001.1")
    assert total.pending is None
    assert merge([_held("a", first)])["USD"].pending == Decimal("1e-30")


@given(results())
def test_the_parts_of_a_total_are_exact_sums(merged):
    """They equal those computed with fractions, whatever the caller's context is, or are unknown."""
    for total in merged:
        for part in ("available", "pending"):
            parts = [getattr(balance, part) for balance in total.balances]
            with localcontext(prec=3):
                found = getattr(total, part)
            expected = None if None in parts else sum(map(Fraction, parts))
            assert (None if found is None else Fraction(found)) == expected


def test_a_total_is_as_old_as_the_oldest_account_in_it(make_balance):
    """An account that holds none of the currency says nothing of its age."""
    btc, eur = make_balance("BTC", "1"), make_balance("EUR", "1", "fiat")
    old = NOW - timedelta(hours=1)

    merged = merge([_held("a", btc), _held("b", btc, eur, reported_at=old, stale=True)])

    assert (merged["BTC"].as_of, merged["BTC"].stale) == (old, True)
    assert (merged["EUR"].as_of, merged["EUR"].stale) == (old, True)
    merged = merge([_held("a", btc), _held("b", eur, reported_at=old, stale=True)])
    assert (merged["BTC"].as_of, merged["BTC"].stale) == (NOW, False)


def test_a_total_that_is_sent_elsewhere_takes_nothing_of_other_currencies(make_balance):
    """It keeps its age, and not what its accounts hold besides."""
    snapshot = _held("a", make_balance("BTC", "1"), make_balance("SECRETCOIN", "1"), stale=True)
    total = merge([snapshot])["BTC"]

    written = pickle.dumps(total)

    copy = pickle.loads(written)
    assert (copy, copy.as_of, copy.stale) == (total, NOW, True)
    assert copy.notice == "INCOMPLETE: 1 of 1 account may have changed since: a"
    assert b"SECRETCOIN" not in written


@pytest.mark.parametrize("send", [_sent, copy.deepcopy])
def test_each_part_of_a_total_that_was_sent_has_its_own_age(send, make_balance):
    """An old balance stays old, and a fresh one fresh, in whatever order they come."""
    old, new = _held("old", make_balance("BTC", "1"), stale=True), _held("new", make_balance("BTC", "1"))
    merged = merge([old, attrs.evolve(new, fetched_at=NOW + timedelta(days=1))])

    parts = send(merged).totals_by(lambda balance: balance.account, partial=True)

    assert {label: (total.as_of, total.stale) for label, (total,) in parts.items()} == {
        "old": (NOW, True),
        "new": (NOW + timedelta(days=1), False),
    }


def test_a_total_made_by_hand_has_no_age(make_balance):
    """Its balances alone do not say when they were read."""
    total = CurrencyTotal("BTC", AssetType.CRYPTO, Decimal(1), (make_balance("BTC", "1"),))

    assert (total.as_of, total.stale) == (None, False)
    assert pickle.loads(pickle.dumps(total)) == total
