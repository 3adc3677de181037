"""Clients in several threads on one store in Redis."""

import asyncio
import gc
import threading
from contextlib import ExitStack

import pytest

from balancekit.blocking import Client
from balancekit.stores import RedisStore
from tests.support.providers import QuickTill


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("is_closed", [False, True], ids=["stands still", "is closed"])
def test_it_closes_the_connections_of_an_event_loop_that(server, is_closed):
    """As that of a blocking client does, which ends before the store that it was given."""
    loop, store = asyncio.new_event_loop(), RedisStore.from_url(server.url)
    with server.client() as redis:
        before = redis.info("clients")["connected_clients"]
        loop.run_until_complete(store.seen("event"))
        if is_closed:
            loop.close()

        asyncio.run(store.aclose())

        # Of a closed loop no transport can be closed in order.
        gc.collect()
        if not is_closed:
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        assert any(redis.info("clients")["connected_clients"] <= before for _ in range(1000))


def test_each_event_loop_keeps_its_connections(server, caplog):
    """However often they take turns, few connections are opened, and nothing looks like a Redis that was restored."""
    with ExitStack() as stack, server.client() as redis:
        store = RedisStore.from_url(server.url)
        clients = [stack.enter_context(Client([QuickTill(takes=0)], store=store)) for _ in range(2)]
        before = redis.info("stats")["total_connections_received"]

        def work(client):
            for _ in range(30):
                client.fetch(max_age=60)
                client.invalidate("till")

        threads = [threading.Thread(target=work, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        opened = redis.info("stats")["total_connections_received"] - before
        # While the event loops of the clients still run.
        asyncio.run(store.aclose())

    assert opened <= 10
    assert "backup" not in caplog.text
