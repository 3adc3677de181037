"""What a store returns of a wrong type. Time is virtual, but for that of a whole client."""

import pytest

from balancekit import AggregateClient
from balancekit.stores import MemoryStore
from balancekit.stores.base import Stored, StoredFailure
from tests.support.providers import Till
from tests.support.stores import CALLS


@pytest.mark.parametrize(
    "wrong",
    [
        None, "1", Stored(None), Stored(5), Stored("1", {"account": "shop"}), Stored("1", age="1"),
        Stored("1", age=10**400), Stored("1", age=float("nan")), Stored("1", failure="x"),
        Stored("1", failure=StoredFailure(None, 1, 10)),
        Stored("1", failure=StoredFailure(b"{}", 1, 10)), Stored("1", failure=StoredFailure("", 1, float("inf"))),
    ],
    ids=repr,
)  # fmt: skip
async def test_what_a_store_returns_of_a_wrong_type_is_absent_for_that_account(caplog, wrong):
    """The others are shared, and the log has one line."""

    class Odd(MemoryStore):
        async def get(self, keys):
            found = await super().get(keys)
            return [wrong if "odd" in key else one for key, one in zip(keys, found, strict=True)]

    store = Odd()
    for _ in range(3):
        shop, odd = Till("shop", takes=0.0), Till("odd", takes=0.0)
        async with AggregateClient([shop, odd], store=store) as client:
            merged = await client.fetch(max_age=60)

        assert [one.account for one in merged.accounts] == ["odd", "shop"]
    assert (shop.requests, odd.requests) == (0, 1)
    assert {record.getMessage() for record in caplog.records if "store" in record.name} == {
        "the store returns wrong types: accounts of which it does count as unknown"
    }


@pytest.mark.parametrize("wrong", [None, "1", float("nan"), float("inf"), 10**400], ids=repr)
@pytest.mark.parametrize(("method", "call"), [one[:2] for one in CALLS if one[0] in {"lease", "acquire_permit"}])
def test_what_a_store_returns_that_is_no_time_grants_leases_and_permits(with_store, method, call, wrong):
    """As if the store had failed: nobody can wait for that long."""

    async def steps(store, fail_open):
        async def lie(*_, **__):
            return wrong

        setattr(store, method, lie)
        return await call(fail_open, None), fail_open.reachable

    assert with_store(steps) == (0, False)
