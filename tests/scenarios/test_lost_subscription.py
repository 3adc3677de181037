"""A watch whose connection to Redis is lost for a while: what changed in that time is read, and nothing else."""

import asyncio
import threading

from balancekit import AggregateClient
from balancekit.stores import RedisStore
from tests.support.providers import QuickTill

ACCOUNTS = 100


def tills():
    """Make the providers of one process."""
    return [QuickTill(f"till{number}", takes=0.01) for number in range(ACCOUNTS)]


async def invalidate_elsewhere(url):
    """Do what another process does that a webhook has come to."""
    async with RedisStore.from_url(url) as store, AggregateClient(tills(), store=store) as client:
        await client.invalidate("till7")


async def test_after_a_lost_subscription_only_what_changed_is_read(server):
    """Of a hundred accounts, the one that another process has invalidated while this one did not listen."""
    accounts = tills()
    async with (
        RedisStore.from_url(server.url) as store,
        AggregateClient(accounts, store=store) as client,
        client.watch() as states,
        asyncio.timeout(30),
    ):
        while not (await anext(states)).complete:
            pass
        coming = asyncio.create_task(anext(states))
        # Whatever the subscription says when it begins has been looked up, too.
        await client.fetch(max_age=60)
        before, accounts[7].held = sum(till.requests for till in accounts), "5"
        with server.client() as redis:
            assert redis.client_kill_filter(_type="pubsub") == 1
        # In a thread that is waited for, so that this event loop does not listen again before.
        thread = threading.Thread(target=asyncio.run, args=(invalidate_elsewhere(server.url),))
        thread.start()
        thread.join()
        merged = await coming
        while not merged.complete or merged.amount("BTC") != ACCOUNTS + 4:
            merged = await anext(states)

    assert sum(till.requests for till in accounts) - before == 1
