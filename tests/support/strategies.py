"""What the properties of several modules are tried on."""

from datetime import UTC, datetime
from decimal import Decimal

import attrs
from hypothesis import strategies as st

from balancekit import AccountBalances, AccountFailure, AssetType, Balance, ServiceUnavailableError, merge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
"""Any value of JSON, as Python has it; also numbers that JSON cannot write."""


def _decimal(units, places):
    return Decimal(f"{units}E-{places}")


_AMOUNTS = st.builds(_decimal, st.integers(-(10**40), 10**40), st.integers(0, 30))
_MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def _snapshots(draw, account):
    balances = st.builds(
        Balance,
        st.sampled_from(["BTC", "mnt", "USD"]),
        _AMOUNTS,
        st.sampled_from(AssetType),
        st.just(account),
        st.just("fake"),
        st.sampled_from(["BTC", "mnt", "usd"]),
        chain=st.sampled_from([None, "base"]),
        available=st.none() | _AMOUNTS,
        pending=st.none() | _AMOUNTS,
    )
    held = draw(st.lists(balances, max_size=4))
    fetched_at, reported_at = draw(_MOMENTS), draw(st.none() | _MOMENTS)
    return AccountBalances(account, "fake", held, fetched_at, draw(st.booleans()), reported_at)


@st.composite
def results(draw):
    """Return merged accounts of any balances, some of which failed, with what was last known of them or without."""
    labels = draw(st.lists(st.sampled_from("abcde"), unique=True))
    snapshots = [draw(_snapshots(label)) for label in labels]
    failures = []
    for snapshot in list(snapshots):
        error = ServiceUnavailableError("503", account=snapshot.account, provider="fake", status=503)
        match draw(st.sampled_from(["read", "stale", "missing", "unknown"])):
            case "stale":
                snapshots.remove(snapshot)
                snapshots.append(attrs.evolve(snapshot, stale=True))
                failures.append(AccountFailure(snapshot.account, "fake", error, snapshots[-1]))
            case "missing":
                snapshots.remove(snapshot)
                failures.append(AccountFailure(snapshot.account, "fake", error, snapshot))
            case "unknown":
                snapshots.remove(snapshot)
                failures.append(AccountFailure(snapshot.account, "fake", error))
    return merge(snapshots, failures)


def views(merged):
    """Return a result and what can be made of it: a part of its currencies, of its accounts, and those not zero."""
    codes = sorted({total.currency for total in merged}, reverse=True)
    labels = sorted({one.account for one in (*merged.accounts, *merged.failures)})
    return [merged, merged.nonzero(), merged.only(*codes[:2]), *(merged.of(label) for label in labels[:2])]
