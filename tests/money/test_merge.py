"""Merging by currency: the laws, the types of assets, looking up, and what a result lacks."""

import pickle
import traceback
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext

import attrs
import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AccountBalances,
    AccountFailure,
    AmbiguousCurrencyError,
    AssetType,
    AuthenticationError,
    Balance,
    BalancekitError,
    IncompleteError,
    MergedBalances,
    ServiceUnavailableError,
    TransportError,
    merge,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCALE = 18


def _failure(account):
    return AccountFailure(account, "fake", ServiceUnavailableError("503", account=account, provider="fake"))


@st.composite
def _snapshots(draw):
    labels = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6))
    units = st.integers(-(10**60), 10**60)
    held = st.lists(st.tuples(st.sampled_from(["BTC", "MNT", "USD"]), units, st.sampled_from(AssetType)), max_size=5)
    return [
        AccountBalances(
            label,
            "fake",
            tuple(
                Balance(code, Decimal(f"{amount}E-{SCALE}"), asset_type, label, "fake", code)
                for code, amount, asset_type in draw(held)
            ),
            NOW,
        )
        for label in labels
    ]


def _units(amount):
    return int(amount.scaleb(SCALE)) if amount.is_zero() else int(f"{amount:f}".replace(".", ""))


@given(_snapshots(), st.randoms())
def test_merging_is_commutative(snapshots, random):
    """The order in which accounts are read changes nothing, not even the order of anything."""
    shuffled = list(snapshots)
    random.shuffle(shuffled)

    assert merge(shuffled) == merge(snapshots)
    assert repr(merge(shuffled)) == repr(merge(snapshots))


@given(_snapshots(), st.integers(0, 6), st.integers(0, 6))
def test_merging_is_associative(snapshots, first, second):
    """Parts merged on several machines and merged again are the whole, however they were cut."""
    low, high = sorted((first, second))
    a, b, c = merge(snapshots[:low]), merge(snapshots[low:high]), merge(snapshots[high:])

    assert (a | b) | c == a | (b | c) == merge(snapshots)
    assert b | a == a | b


@given(_snapshots())
def test_totals_equal_sums_of_integers(snapshots):
    """Every unit that any account holds is in exactly one total, even where the caller rounds."""
    with localcontext(prec=5):
        merged = merge(snapshots)
    expected: dict[str, int] = {}
    for snapshot in snapshots:
        for balance in snapshot.balances:
            expected[balance.currency] = expected.get(balance.currency, 0) + _units(balance.amount)

    got: dict[str, int] = {}
    for total in merged:
        got[total.currency] = got.get(total.currency, 0) + _units(total.amount)

    assert got == expected


@given(_snapshots())
def test_crypto_is_never_added_to_fiat(snapshots):
    """No total holds balances of both known types."""
    for total in merge(snapshots):
        known = {balance.asset_type for balance in total.balances} - {AssetType.UNKNOWN}

        assert len(known) <= 1
        assert known <= {total.asset_type}


def test_sixty_digits_are_added_exactly_where_the_caller_rounds(make_snapshot):
    """A caller's decimal context of five digits costs no digit of a total."""
    long = "123456789012345678901234567890123456789012.345678901234567891"
    snapshots = [make_snapshot("a", ("BTC", long)), make_snapshot("b", ("BTC", long))]

    with localcontext(prec=5):
        total = merge(snapshots).amount("BTC")

    assert str(total) == "246913578024691357802469135780246913578024.691357802469135782"


def test_a_total_keeps_the_balances_it_was_summed_from(make_snapshot):
    """Each account's part of a total can be found in it."""
    merged = merge([make_snapshot("b", ("BTC", "2")), make_snapshot("a", ("BTC", "1"), ("EUR", "5", "fiat"))])

    assert [(balance.account, balance.amount) for balance in merged["BTC"].balances] == [("a", 1), ("b", 2)]


def test_one_code_on_several_chains_is_one_currency(make_balance):
    """Chains are kept on the balances and do not divide the total."""
    held = [make_balance("USDC", "1", chain="ethereum"), make_balance("USDC", "2", chain="solana")]

    total = merge([AccountBalances("shop", "fake", held, NOW)])["USDC"]

    assert total.amount == 3
    assert [balance.chain for balance in total.balances] == ["ethereum", "solana"]


def test_the_same_currency_twice_in_one_account_is_counted_twice(make_snapshot):
    """Two lines of one code are two balances, and none of them is dropped."""
    merged = merge([make_snapshot("shop", ("BTC", "0.1"), ("BTC", "0.2"))])

    assert merged.amount("BTC") == Decimal("0.3")


def test_unknown_joins_the_only_known_type(make_snapshot):
    """A provider that reports MNT without its type means what all others mean."""
    merged = merge([make_snapshot("a", ("MNT", "1", "crypto")), make_snapshot("b", ("MNT", "2", "unknown"))])

    assert [(total.asset_type, total.amount) for total in merged] == [(AssetType.CRYPTO, 3)]


def test_unknown_stays_by_itself_between_two_known_types(make_snapshot):
    """Where the code is both, an unknown balance is counted as neither."""
    held = [("MNT", "1", "crypto"), ("MNT", "2", "fiat"), ("MNT", "4", "unknown")]

    merged = merge([make_snapshot("shop", *held)])

    assert {total.asset_type: int(total.amount) for total in merged} == {"crypto": 1, "fiat": 2, "unknown": 4}


def test_unknown_leaves_its_total_when_a_second_type_comes(make_snapshot):
    """What an unknown balance joins is decided anew in every merge."""
    first = merge([make_snapshot("a", ("MNT", "1", "crypto"), ("MNT", "4", "unknown"))])

    both = first | merge([make_snapshot("b", ("MNT", "2", "fiat"))])

    assert first["MNT"].amount == 5
    assert both["MNT", AssetType.CRYPTO].amount == 1


def test_an_ambiguous_code_is_not_guessed(make_snapshot):
    """A code held as both types names no total by itself; code and type do."""
    merged = merge([make_snapshot("shop", ("MNT", "1", "crypto"), ("MNT", "2", "fiat"))])

    with pytest.raises(AmbiguousCurrencyError, match=r"MNT is held as crypto and fiat: say which"):
        merged["MNT"]
    with pytest.raises(AmbiguousCurrencyError):
        merged.amount("MNT")
    assert merged["mnt", AssetType.FIAT].amount == merged.amount("MNT", AssetType.FIAT) == 2


def test_a_currency_that_is_not_held_is_a_key_error_and_an_amount_of_zero(make_snapshot):
    """A total has to be held; an amount that is not held is zero."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))])

    with pytest.raises(KeyError, match="ETH"):
        merged["ETH"]
    assert merged.amount("ETH") == 0
    assert merged.amount("BTC", AssetType.FIAT) == 0


def test_currencies_are_looked_up_in_any_case(make_snapshot):
    """Codes merge in upper case and are found in any."""
    merged = merge([make_snapshot("a", ("btc", "1")), make_snapshot("b", ("BTC", "1"))])

    assert merged["Btc"].amount == 2


def test_membership_is_by_code_by_code_and_type_or_by_total(make_snapshot):
    """`in` takes the same keys as looking up."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))])

    assert "btc" in merged
    assert ("BTC", AssetType.CRYPTO) in merged
    assert ("BTC", AssetType.FIAT) not in merged
    assert merged["BTC"] in merged
    assert "ETH" not in merged


@pytest.mark.parametrize("key", [None, 5, ("BTC",), ("BTC", "crypto", 1), b"BTC"], ids=repr)
def test_what_is_no_key_names_no_total(make_snapshot, key):
    """Looking up nonsense is a KeyError, as for any mapping."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))])

    assert key not in merged
    with pytest.raises(KeyError):
        merged[key]


def test_a_type_may_be_named_by_its_text(make_snapshot):
    """AssetType is a StrEnum, and its text is the same key."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))])

    assert merged["BTC", "crypto"].amount == 1
    assert ("BTC", "crypto") in merged


def test_totals_are_sorted_and_iterated(make_snapshot):
    """Iteration and length are those of the totals, in the order of their codes."""
    merged = merge([make_snapshot("shop", ("USD", "1", "fiat"), ("BTC", "1"), ("MNT", "1", "fiat"), ("MNT", "1"))])

    assert [total.currency for total in merged] == ["BTC", "MNT", "MNT", "USD"]
    assert len(merged) == 4


def test_zero_balances_are_kept_and_hidden_on_request(make_snapshot):
    """Nothing that was reported is dropped; a view leaves out what is zero."""
    merged = merge([make_snapshot("shop", ("BTC", "1"), ("ETH", "0.00"))])

    assert [total.currency for total in merged] == ["BTC", "ETH"]
    assert [total.currency for total in merged.nonzero()] == ["BTC"]
    assert merged.nonzero().accounts == merged.accounts


def test_a_total_with_something_pending_is_not_zero(make_snapshot, make_balance):
    """Money that is on its way is not hidden, nor missed in a written view."""
    merged = merge([AccountBalances("shop", "fake", [make_balance("BTC", "0", pending=Decimal(2))], NOW)])

    assert merged.nonzero() == merged
    written = {**merged.to_dict(), "totals": []}
    with pytest.raises(ValueError, match="the total of BTC is missing"):
        MergedBalances.from_dict(written)


def test_an_alias_is_counted_as_its_currency_and_keeps_its_code(make_snapshot):
    """The user may count two codes as one currency; the code that was sent is kept."""
    merged = merge([make_snapshot("shop", ("USDCE", "1"), ("USDC", "2"))], aliases={"USDCE": "USDC"})

    assert merged["USDC"].amount == 3
    assert [balance.code for balance in merged["USDC"].balances] == ["USDCE", "USDC"]
    assert "USDCE" not in merged


def test_aliases_match_whole_codes_only(make_snapshot):
    """A code that only begins like an alias is another currency."""
    merged = merge([make_snapshot("shop", ("USDCE", "1"), ("USDCE2", "2"))], aliases={"USDCE": "USDC"})

    assert [total.currency for total in merged] == ["USDC", "USDCE2"]


def test_nothing_is_an_alias_by_default(make_snapshot):
    """What a provider keeps apart stays apart."""
    assert len(merge([make_snapshot("shop", ("USDCE", "1"), ("USDC", "2"))])) == 2


def test_parts_merged_with_aliases_merge_again(make_snapshot):
    """Aliases applied to parts give the same whole as aliases applied to all."""
    table = {"USDCE": "USDC"}
    a, b = make_snapshot("a", ("USDCE", "1")), make_snapshot("b", ("USDC", "2"))

    assert merge([a], aliases=table) | merge([b], aliases=table) == merge([a, b], aliases=table)


def test_a_failure_makes_the_result_incomplete(make_snapshot):
    """A result that lacks an account is not complete, and names it."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [_failure("b")])

    assert merge([]).complete
    assert not merged.complete
    assert [failure.account for failure in merged.failures] == ["b"]


def test_a_stale_snapshot_makes_the_result_incomplete(make_snapshot):
    """Totals with an old part are not complete, even without a failure."""
    assert not merge([make_snapshot("a", ("BTC", "1"), stale=True)]).complete


def test_failures_raise_with_what_was_read(make_snapshot):
    """The error names the accounts that failed, and carries what was read."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [_failure("c"), _failure("b")])

    with pytest.raises(IncompleteError, match="2 of 3 accounts could not be read: b, c") as caught:
        merged.raise_for_failures()

    assert caught.value.partial is merged
    assert caught.value.exceptions == tuple(failure.error for failure in merged.failures)


def test_an_account_that_an_earlier_snapshot_stands_in_for_is_one_account(make_snapshot):
    """The message counts accounts, not what is known of them."""
    merged = merge([make_snapshot("till"), make_snapshot("shop", stale=True)], [_failure("shop")])

    with pytest.raises(IncompleteError, match="1 of 2 accounts could not be read anew: shop"):
        merged.raise_for_failures()


def test_a_stale_snapshot_raises_as_a_failure_does(make_snapshot):
    """No total that may be old is taken for what is held; the error says of which account that is."""
    merged = merge([make_snapshot("a", stale=True), make_snapshot("b")])

    with pytest.raises(IncompleteError, match="may have changed since: a") as caught:
        merged.raise_for_failures()

    assert [error.account for error in caught.value.exceptions] == ["a"]


def test_nothing_is_raised_without_failures(make_snapshot):
    """A complete result raises nothing."""
    merge([make_snapshot("a", ("BTC", "1"))]).raise_for_failures()


def test_the_result_is_as_old_as_its_oldest_snapshot(make_snapshot):
    """The moment of a result is that of the oldest snapshot, and None without any."""
    old = make_snapshot("a", fetched_at=NOW - timedelta(hours=1))

    assert merge([make_snapshot("b"), old]).as_of == NOW - timedelta(hours=1)
    assert merge([]).as_of is None


def test_an_account_is_never_counted_twice(make_snapshot):
    """The same account in both parts is an error, not a larger total."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))])

    with pytest.raises(ValueError, match="account 'shop' would be counted twice"):
        merged | merged
    with pytest.raises(ValueError, match="account 'shop' would be counted twice"):
        merge(merged.accounts * 2)


UNIQUE = "7d1f3c52-5a7e-4f1b-9c55-0d8a2f1be9aa"


def _referring(make_snapshot, account, *facts):
    held = make_snapshot(account, *[("BTC", "1")] * len(facts))
    balances = [attrs.evolve(one, **fact) for one, fact in zip(held.balances, facts, strict=True)]
    return attrs.evolve(held, balances=balances)


@pytest.mark.parametrize("parts", [True, False], ids=["parts", "snapshots"])
def test_a_balance_of_two_accounts_is_not_counted_twice(make_snapshot, parts):
    """One account may have been read under two labels: ids as long as these are given out once."""
    shop, again = (_referring(make_snapshot, label, {"reference": UNIQUE}) for label in ("shop", "again"))

    with pytest.raises(ValueError, match=rf"'again': the BTC balance with the id '{UNIQUE}' is in account 'shop' too"):
        merge([shop]) | merge([again]) if parts else merge([shop, again])


def test_a_balance_that_an_account_lists_twice_is_not_counted_twice(make_snapshot):
    """However short its id is."""
    shop = _referring(make_snapshot, "shop", {"reference": "1"}, {"reference": "1"})

    with pytest.raises(ValueError, match="'shop': the BTC balance with the id '1' is listed twice"):
        merge([shop])


def test_balances_that_differ_in_provider_code_or_chain_are_two(make_snapshot):
    """As are those of short ids, which may be numbers, and those without any."""
    facts = {"reference": UNIQUE}, {"reference": UNIQUE, "code": "WBTC"}, {"reference": UNIQUE, "chain": "tron"}
    facts += {"reference": "1"}, {}, {}
    shop = _referring(make_snapshot, "shop", *facts)
    till = _referring(make_snapshot, "till", {"reference": "1"}, {"reference": UNIQUE, "chain": "eth"}, {})
    foreign = [attrs.evolve(one, provider="other", account="foreign") for one in shop.balances]

    merged = merge([shop, till, AccountBalances("foreign", "other", foreign, NOW)])

    assert merged.amount("BTC") == 2 * 6 + 3


def test_an_account_does_not_fail_twice():
    """An account that failed in both parts is one account that was read twice."""
    with pytest.raises(ValueError, match="account 'shop' failed twice"):
        merge([], [_failure("shop"), _failure("shop")])


def test_an_account_cannot_be_read_and_fail(make_snapshot):
    """A merge cannot know which of the two is true."""
    with pytest.raises(ValueError, match="account 'shop' was both read and failed"):
        merge([make_snapshot("shop")]) | merge([], [_failure("shop")])


def test_a_stale_snapshot_may_stand_in_for_a_failure(make_snapshot):
    """A snapshot that is marked as stale can be shown beside the reason why there is no newer one."""
    merged = merge([make_snapshot("shop", ("BTC", "1"), stale=True)], [_failure("shop")])

    assert merged.amount("BTC", partial=True) == 1
    assert not merged.complete


def test_only_results_are_merged(make_snapshot):
    """`|` with something else is a TypeError, as Python's own would be."""
    with pytest.raises(TypeError, match="unsupported operand"):
        merge([]) | {}


def test_results_pickle_and_stay_equal(make_snapshot):
    """A whole result travels to another process, failures included."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [_failure("b")])

    assert pickle.loads(pickle.dumps(merged)) == merged


def _group():
    wrong_key = AuthenticationError("403", account="a", provider="fake")
    lost = TransportError("reset", account="b", provider="fake")
    return IncompleteError("2 of 2", [wrong_key, lost], merge([]))


def test_a_group_split_by_type_keeps_what_was_read():
    """`except*` hands on the partial result with each part of the group."""
    group = _group()

    rejected, rest = group.split(AuthenticationError)

    assert rejected.partial is rest.partial is group.partial
    assert [type(error) for error in rest.exceptions] == [TransportError]


def test_a_group_pickles_with_what_was_read():
    """A strict fetch in a worker process loses nothing on the way to its caller."""
    group = _group()

    copy = pickle.loads(pickle.dumps(group))

    assert copy.partial == group.partial
    assert [str(error) for error in copy.exceptions] == [str(error) for error in group.exceptions]


def test_a_group_is_caught_by_the_root():
    """One except clause is enough for a caller who treats all failures alike."""
    with pytest.raises(BalancekitError, match="2 of 2"):
        raise _group()


def test_a_group_shows_all_its_errors():
    """The traceback of a group lists every account that failed."""
    text = "".join(traceback.format_exception(_group()))

    assert "a (fake): 403" in text
    assert "b (fake): reset" in text
