"""The store in Redis after whatever happens to its server, and where something is not permitted."""

import asyncio
from contextlib import suppress

import pytest
from redis import exceptions

from balancekit import Clock, RateLimit
from balancekit.stores import RedisStore, StoreRefusedError
from balancekit.stores.fail_open import FailOpenStore
from tests.support.stores import known, put


class TestLosses:
    """What a server that forgets, stops or stalls does to a store."""

    async def test_a_redis_that_was_flushed_makes_every_snapshot_invalid(self, server, store, other, snapshot):
        """No version from before is valid again, and what was read before is the last known at best."""
        before = (await known(store)).version
        await put(store, snapshot)
        with server.client() as client:
            client.flushall()

        await other.put("shop", snapshot, version=before, age=0)

        stored = await known(store)
        assert (stored.snapshot, stored.valid) == (snapshot, False)
        assert stored.version != before

    async def test_it_works_again_after_a_restart(self, server, store, snapshot):
        """It raises while the server is down, and then works by itself, scripts and all."""
        await put(store, snapshot)
        server.stop()
        with pytest.raises(exceptions.ConnectionError):
            await store.get(["shop"])
        with pytest.raises(exceptions.ConnectionError):
            await store.invalidate("shop")

        server.start()

        assert (await known(store)).snapshot is None
        await put(store, snapshot)
        assert (await known(store)).valid

    async def test_no_call_waits_for_a_silent_server(self, short_timeouts, server, snapshot):
        """Each raises, and the store works when the server does."""
        async with RedisStore.from_url(server.url) as store:
            await put(store, snapshot)
            server.pause()
            try:
                calls = [
                    store.get(["shop"]),
                    store.put("shop", snapshot, version="1", age=0),
                    store.invalidate("shop"),
                    store.lease("shop", "me", seconds=1),
                    store.release("shop", "me"),
                    store.seen("msg_1"),
                    store.remember("msg_1", seconds=1),
                    store.acquire_permit("host", RateLimit(1, per=1), "a", hold=1),
                    store.release_permit("host", RateLimit(1, per=1), "a"),
                    anext(store.changes()),
                ]
                async with asyncio.timeout(30):
                    ended = await asyncio.gather(*calls, return_exceptions=True)
            finally:
                server.resume()

            assert {type(one) for one in ended} <= {exceptions.TimeoutError, exceptions.ConnectionError}
            assert (await known(store)).snapshot == snapshot

    async def test_a_call_that_is_cancelled_leaves_the_store_usable(self, store, snapshot):
        """Wherever it is cancelled, the next gets its own reply and no other's."""
        await put(store, snapshot)
        for steps in range(30):
            call = asyncio.ensure_future(
                store.get(["shop", "other"]) if steps % 2 else store.lease("a", "b", seconds=1)
            )
            for _ in range(steps // 2):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])

            assert [one.snapshot for one in await store.get(["shop", "none"])] == [snapshot, None]
            assert await store.seen("msg_1") is False


class TestPermissions:
    """A user of Redis who may not do everything."""

    @pytest.mark.parametrize(
        ("denied", "commands"),
        [
            (["-subscribe"], ["SUBSCRIBE"]),
            (["-publish"], ["PUBLISH"]),
            (["resetchannels"], ["PUBLISH", "SUBSCRIBE"]),
        ],
        ids=str,
    )
    async def test_what_is_not_permitted_is_reported_once(self, server, snapshot, caplog, denied, commands):
        """Without notifications everything else works, and an invalidation is not repeated for ever."""
        with server.client() as client:
            client.execute_command("ACL SETUSER", "limited", "on", ">password", "~*", "&*", "+@all", *denied)
        try:
            async with RedisStore.from_url(f"unix://limited@{server.socket}?password=password") as store:
                fail_open = FailOpenStore(store, lambda _: None, Clock())
                for _ in range(2):
                    with suppress(StoreRefusedError):
                        await anext(store.changes())
                    await fail_open.invalidate("shop")
                    await put(fail_open, snapshot)
                    assert await fail_open.lease("shop", "me", seconds=1) == 0
                    await fail_open.release("shop", "me")
                assert fail_open.reachable
                assert (await known(fail_open)).valid
                await fail_open.aclose()
        finally:
            with server.client() as client:
                client.execute_command("ACL DELUSER", "limited")

        assert sorted(record.getMessage() for record in caplog.records) == [
            f"Redis does not permit {command} on the channel balancekit:changes, "
            "so processes learn late of each other's changes"
            for command in commands
        ]
