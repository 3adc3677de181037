"""Results of any kind, for properties that hold of all."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from balancekit import AccountBalances, AccountFailure, AssetType, Balance, ServiceUnavailableError, merge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CODES = ["BTC", "MNT", "USD"]


@st.composite
def merged_results(draw, labels="abcde"):
    """Draw a result in which any account may be missing or stale."""
    snapshots, failures = [], []
    for label in draw(st.lists(st.sampled_from(labels), unique=True)):
        state = draw(st.sampled_from(["read", "read", "stale", "stale and failed", "missing"]))
        if state != "missing":
            held = draw(st.lists(st.tuples(st.sampled_from(CODES), AMOUNTS, st.sampled_from(AssetType)), max_size=4))
            balances = [Balance(code, amount, kind, label, "fake", code) for code, amount, kind in held]
            moment = NOW - timedelta(seconds=draw(st.integers(0, 10**6)))
            snapshots.append(AccountBalances(label, "fake", tuple(balances), moment, state.startswith("stale")))
        if state in {"missing", "stale and failed"}:
            failures.append(
                AccountFailure(label, "fake", ServiceUnavailableError("503", account=label, provider="fake"))
            )
    return merge(snapshots, failures)


AMOUNTS = st.builds(
    lambda units, places: Decimal(f"{units}E-{places}"), st.integers(-(10**40), 10**40), st.integers(0, 18)
)
