"""Snapshots and messages so large that they could keep others from being read."""

import secrets

import pytest

from balancekit import Clock
from balancekit.stores import Change
from balancekit.stores.fail_open import FailOpenStore
from balancekit.stores.redis.values import parse_change
from tests.support.stores import known, put


async def test_large_garbage_of_some_accounts_is_absent_for_them_alone(server, store, snapshot, caplog):
    """Others are read in time, and what stands there is replaced."""
    await put(store, snapshot)
    tills = [f"till-{number}" for number in range(12)]
    with server.client() as client:
        for till in tills:
            garbage = {"snapshot": b"x" * 9_000_000, "mark": secrets.token_hex(), "sent": 1, "read_at": "x"}
            client.hset(f"balancekit:account:{{{till}}}", mapping=garbage)
    fail_open = FailOpenStore(store, lambda _: None, Clock())

    stored = await fail_open.get(["shop", *tills])

    assert [one.snapshot for one in stored] == [snapshot, *[None] * len(tills)]
    assert fail_open.reachable
    await fail_open.put("till-0", snapshot, version=stored[1].version, age=0)
    assert (await known(store, "till-0")).valid
    assert not [record for record in caplog.records if "store" in record.getMessage()]
    await fail_open.aclose()


async def test_a_large_snapshot_is_read_by_another_replica(store, other, make_snapshot):
    """A thousand balances are many, but no garbage."""
    snapshot = make_snapshot("shop", *((f"C{number}", f"{number}.50") for number in range(1000)))
    await put(store, snapshot)

    for replica in (other, store):
        stored = await known(replica)

        assert (stored.snapshot, stored.valid) == (snapshot, True)


@pytest.mark.parametrize("filling", [" ", "[1],"])
def test_a_message_that_is_longer_than_any_is_not_parsed(filling):
    """Redis passes on 32 MB, during which nothing else would be done: it says that anything may have happened."""
    text = '{"v": 1, "key": "shop", "invalidated": false, "more": [%s1]}' % (filling * 2**16)

    assert parse_change(text) == Change(None)
