"""Results as plain lines: exact amounts, and never an old one that looks fresh."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from balancekit import AccountBalances, AccountFailure, NotReadError, ServiceUnavailableError, merge

NOW = datetime(2026, 1, 1, 17, 5, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=3, minutes=3)


def _failure(account):
    return AccountFailure(account, "fake", ServiceUnavailableError("503", account=account, provider="fake"))


def test_a_complete_result_is_a_line_for_each_currency(make_snapshot):
    """Each line has every digit, in plain notation, and nothing else."""
    merged = merge([make_snapshot("a", ("BTC", "1E-8"), ("EUR", "10.50", "fiat")), make_snapshot("b", ("BTC", "2"))])

    assert merged.to_text(now=NOW) == "BTC 2.00000001\nEUR 10.50"


def test_a_result_that_is_printed_says_what_is_missing(make_snapshot):
    """`str(merged)` is `merged.to_text()`, so that no log line or f-string drops the notice."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [_failure("b")])

    assert f"{merged}" == str(merged) == merged.to_text()


def test_an_old_amount_says_how_old_it_is(make_snapshot):
    """The age is on the amount's line and on that of its account; the last line names the account."""
    fresh = make_snapshot("a", ("EUR", "5", "fiat"), fetched_at=NOW)
    old = make_snapshot("b", ("BTC", "2.5"), fetched_at=EARLIER, stale=True)

    text = merge([fresh, old], [_failure("b")]).to_text(now=NOW)

    assert text.splitlines() == [
        "BTC 2.5 (as of 14:02 UTC, 3 h old)",
        "EUR 5",
        "b: as of 14:02 UTC, 3 h old",
        "INCOMPLETE: 1 of 2 accounts could not be read anew: b",
    ]


def test_a_total_is_as_old_as_the_oldest_balance_in_it(make_snapshot):
    """A fresh part does not make it fresher, and an old zero makes it old, since there may be more by now."""
    parts = [
        make_snapshot("a", ("BTC", "1"), fetched_at=NOW),
        make_snapshot("b", ("BTC", "1"), fetched_at=NOW - timedelta(minutes=5), stale=True),
        make_snapshot("c", ("BTC", "0"), fetched_at=NOW - timedelta(minutes=90), stale=True),
    ]

    assert merge(parts).to_text(now=NOW).splitlines()[0] == "BTC 2 (as of 15:35 UTC, 90 min old)"


def test_an_account_that_is_missing_is_named(make_snapshot):
    """An earlier snapshot that is not in the totals is not shown."""
    known = make_snapshot("b", ("BTC", "7"), stale=True)
    failure = AccountFailure("b", "fake", _failure("b").error, known)

    text = merge([make_snapshot("a", ("BTC", "1"))], [failure]).to_text(now=NOW)

    assert text == "BTC 1\nb: not read\nINCOMPLETE: 1 of 2 accounts could not be read: b"


def test_why_an_account_is_lacking_is_said(make_snapshot):
    """A failure, an account that nobody has read yet, and a snapshot since which there was a change are told apart."""
    snapshots = [make_snapshot("a"), *(make_snapshot(label, fetched_at=EARLIER, stale=True) for label in "bc")]
    not_read = NotReadError("the account has not been read yet", account="d", provider="fake")
    merged = merge(snapshots, [_failure("b"), AccountFailure("d", "fake", not_read)])

    assert merged.to_text(now=NOW).splitlines()[-1] == (
        "INCOMPLETE: 1 of 4 accounts not read yet: d; 1 of 4 accounts could not be read anew: b; "
        "1 of 4 accounts may have changed since: c"
    )


@pytest.mark.parametrize(
    ("held", "failed", "expected"),
    [
        (["a"], [], "Nothing held"),
        (["a"], ["b"], "Nothing held\nb: not read\nINCOMPLETE: 1 of 2 accounts could not be read: b"),
        ([], ["b"], "b: not read\nNOTHING READ: 1 of 1 account could not be read: b"),
        ([], [], "No accounts"),
    ],
    ids=["nothing", "nothing that is known of", "nothing read", "no accounts"],
)
def test_an_empty_account_is_not_shown_as_an_unread_one(make_snapshot, held, failed, expected):
    """Nothing held, something not read, and nothing read at all have different texts."""
    assert merge(map(make_snapshot, held), map(_failure, failed)).to_text(now=NOW) == expected


def test_one_code_of_two_types_says_which(make_snapshot):
    """A code that is held as crypto and as fiat is two currencies."""
    merged = merge([make_snapshot("a", ("MNT", "1"), ("MNT", "2", "fiat"), ("BTC", "3"))])

    assert merged.to_text(now=NOW) == "BTC 3\nMNT (crypto) 1\nMNT (fiat) 2"


def test_the_text_of_a_view_is_without_what_the_view_hides(make_snapshot):
    """The text has the totals that the result has."""
    merged = merge([make_snapshot("a", ("BTC", "1"), ("ETH", "0"))])

    assert merged.to_text(now=NOW) == "BTC 1\nETH 0"
    assert merged.nonzero().to_text(now=NOW) == "BTC 1"


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(seconds=-5), "as of 17:05 UTC, 0 s old"),
        (timedelta(seconds=119), "as of 17:03 UTC, 119 s old"),
        (timedelta(seconds=120), "as of 17:03 UTC, 2 min old"),
        (timedelta(minutes=119), "as of 15:06 UTC, 119 min old"),
        (timedelta(hours=2), "as of 15:05 UTC, 2 h old"),
        (timedelta(hours=18), "as of 2025-12-31 23:05 UTC, 18 h old"),
        (timedelta(hours=47, minutes=59), "as of 2025-12-30 17:06 UTC, 47 h old"),
        (timedelta(days=2), "as of 2025-12-30 17:05 UTC, 2 days old"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_an_age_is_shown_in_the_largest_unit_of_which_it_has_two(make_snapshot, age, expected):
    """The moment has its date where that is not today's."""
    merged = merge([make_snapshot("a", fetched_at=NOW - age, stale=True)])

    assert merged.to_text(now=NOW).splitlines()[1] == f"a: {expected}"


def test_the_day_is_that_of_utc(make_snapshot):
    """The zone of the moment that is given changes nothing."""
    merged = merge([make_snapshot("a", fetched_at=NOW, stale=True)])
    far_east = NOW.astimezone(timezone(timedelta(hours=13)))

    assert merged.to_text(now=far_east) == merged.to_text(now=NOW)


def test_without_a_moment_it_is_now(make_snapshot):
    """Ages are counted from the present unless a moment is given."""
    merged = merge([make_snapshot("a", fetched_at=datetime.now(UTC) - timedelta(days=3), stale=True)])

    assert ", 3 days old\n" in merged.to_text()


@given(st.lists(st.sampled_from(["fresh", "old", "missing"]), max_size=5))
def test_nothing_but_a_complete_result_looks_complete(states):
    """The last line begins with INCOMPLETE or NOTHING READ exactly if the result is not complete."""
    moments = {"fresh": NOW, "old": EARLIER}
    accounts = [
        AccountBalances(str(number), "fake", (), moments[state], stale=state == "old")
        for number, state in enumerate(states)
        if state in moments
    ]
    failures = [_failure(str(number)) for number, state in enumerate(states) if state != "fresh"]

    merged = merge(accounts, failures)

    last = merged.to_text(now=NOW).rpartition("\n")[2]
    assert last.startswith(("INCOMPLETE: ", "NOTHING READ: ")) is not merged.complete
