"""Merging by currency: the laws, the types of assets, looking up, and what a result lacks."""

import enum
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AccountBalances,
    AccountFailure,
    AmbiguousCurrencyError,
    AssetType,
    Balance,
    MergedBalances,
    ServiceUnavailableError,
    merge,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCALE = 18


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


@pytest.mark.parametrize("known", [(), (("USDC", "1", "crypto"), ("USDC", "2", "fiat"))], ids=["alone", "beside both"])
def test_an_amount_of_a_type_is_not_known_while_some_is_of_unknown_type(make_snapshot, known):
    """It may be of that type: `amount("USDC", AssetType.CRYPTO) < 500` must not be true where 500 are held."""
    merged = merge([make_snapshot("shop", ("USDC", "500", "unknown"), *known)])

    for asset_type in (AssetType.CRYPTO, AssetType.FIAT):
        with pytest.raises(AmbiguousCurrencyError, match=f"500 USDC is of unknown type, and may be {asset_type}"):
            merged.amount("USDC", asset_type)
    assert merged.amount("USDC", AssetType.UNKNOWN) == 500


def test_a_currency_that_is_not_held_is_a_key_error_and_an_amount_of_zero(make_snapshot):
    """A total has to be held; an amount that is not held is zero."""
    merged = merge([make_snapshot("shop", ("BTC", "1"))])

    with pytest.raises(KeyError, match="ETH"):
        merged["ETH"]
    assert merged.amount("ETH") == 0
    assert merged.amount("BTC", AssetType.FIAT) == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([None], "a code must be a string, not NoneType"),
        ([5], "a code must be a string, not int"),
        ([b"BTC"], "a code must be a string, not bytes"),
        ([["BTC"]], "a code must be a string, not list"),
        ([("BTC", AssetType.CRYPTO)], "a code must be a string, not tuple"),
        ([""], "an empty code"),
        (["BTC "], "a code with blanks around it"),
        (["BTC\n"], "a code with characters that are not printable"),
        (["BTC", "coin"], "'coin' is not a valid AssetType"),
        (["BTC", AssetType], "is not a valid AssetType"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("partial", [False, True])
def test_there_is_no_amount_of_what_is_no_currency(make_snapshot, arguments, problem, partial):
    """Zero would be taken for what is held: `only` refuses the same codes."""
    merged = merge([make_snapshot("a", ("BTC", "3", "crypto"))])

    with pytest.raises((TypeError, ValueError), match=problem):
        merged.amount(*arguments, partial=partial)


def test_currencies_are_looked_up_in_any_case(make_snapshot):
    """Codes merge in upper case and are found in any."""
    merged = merge([make_snapshot("a", ("btc", "1")), make_snapshot("b", ("BTC", "1"))])

    assert merged["Btc"].amount == 2


class Currency(str, enum.Enum):  # noqa: UP042 - a StrEnum is written as its value
    """A code as a member of an enumeration, as many programs have it."""

    BITCOIN = "BTC"


def test_a_code_may_be_a_member_of_an_enumeration(make_snapshot):
    """It names what its value does, for whoever reports it and for whoever looks it up, also after it was written."""
    held = Balance(Currency.BITCOIN, Decimal(2), AssetType.CRYPTO, "b", "fake", Currency.BITCOIN)
    merged = merge([make_snapshot("a", ("btc", "1")), AccountBalances("b", "fake", [held], NOW)])

    read = MergedBalances.from_json(merged.to_json())

    assert read == merged
    assert read.amount("BTC") == read.amount(Currency.BITCOIN) == read.only(Currency.BITCOIN).amount("BTC") == 3


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


@pytest.mark.parametrize("others", [[], [("BTC", "0")]], ids=["alone", "beside an account that does not say it"])
def test_a_total_with_something_pending_is_not_zero(make_snapshot, make_balance, others):
    """Money that is on its way is not hidden, nor missed in a written view."""
    shop = AccountBalances("shop", "fake", [make_balance("BTC", "0", pending=Decimal(2))], NOW)
    merged = merge([shop, make_snapshot("till", *others)])

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


def test_the_result_is_as_old_as_its_oldest_snapshot(make_snapshot):
    """The moment of a result is that of the oldest snapshot, and None without any."""
    old = make_snapshot("a", fetched_at=NOW - timedelta(hours=1))

    assert merge([make_snapshot("b"), old]).as_of == NOW - timedelta(hours=1)
    assert merge([]).as_of is None


def test_only_results_are_merged(make_snapshot):
    """`|` with something else is a TypeError, as Python's own would be."""
    with pytest.raises(TypeError, match="unsupported operand"):
        merge([]) | {}


def test_results_pickle_and_stay_equal(make_snapshot):
    """A whole result travels to another process, failures included."""
    merged = merge(
        [make_snapshot("a", ("BTC", "1"))],
        [AccountFailure("b", "fake", ServiceUnavailableError("503", account="b", provider="fake"))],
    )

    assert pickle.loads(pickle.dumps(merged)) == merged
