"""A store that is down, slow or wrong costs nobody an answer, and nothing stale is taken for fresh meanwhile."""

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from balancekit import (
    AccountBalances,
    AggregateClient,
    ConfigError,
    CryptoprocessingProvider,
    GetManyProvider,
    RateLimit,
)
from balancekit.stores import MemoryStore
from tests.support.providers import Till

SIGNING_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


class Flaky(MemoryStore):
    """A store that can be made to fail, or never to answer, at every call."""

    fault = None

    def __init__(self):
        super().__init__(clock=lambda: 0.0, monotonic=asyncio.get_running_loop().time)

    async def fail(self):
        """Do what is the matter."""
        if isinstance(self.fault, float):
            await asyncio.sleep(self.fault)
        elif self.fault == "hangs":
            await asyncio.sleep(9e9)
        elif self.fault is not None:
            raise self.fault

    async def changes(self):
        """Give changes until one cannot be given."""
        async for change in super().changes():
            await self.fail()
            yield change


def _failing(name):
    method = getattr(MemoryStore, name)

    async def call(self, *args, **kwargs):
        await self.fail()
        return await method(self, *args, **kwargs)

    return call


for _name in ("get", "put", "invalidate", "lease", "release", "seen", "remember", "acquire_permit", "release_permit"):
    setattr(Flaky, _name, _failing(_name))


FAULTS = {
    "refuses": ConnectionError("redis://user:hunter2@host"),
    "raises anything": ZeroDivisionError(),
    "times out": TimeoutError(),
    "hangs": "hangs",
}


@pytest.fixture
def with_clients(run_virtually):
    """Run a test's steps with a store and two clients that share it, each with a provider of its own."""

    def run(steps, **settings):
        async def main():
            store, tills = Flaky(), (Till(), Till())
            async with (
                AggregateClient([tills[0]], store=store, **settings) as here,
                AggregateClient([tills[1]], store=store, **settings) as there,
            ):
                result = await steps(store, here, there)
            for _ in range(9):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result, [till.requests for till in tills]

        return run_virtually(main())

    return run


def test_a_snapshot_of_another_client_is_used(with_clients):
    """What one replica has read, the other need not."""

    async def steps(store, here, there):
        return await here.fetch(max_age=30) == await there.fetch(max_age=30)

    assert with_clients(steps) == (True, [1, 0])


def test_clients_that_ask_at_the_same_time_make_one_request(with_clients):
    """One of them has the lease, and the others wait for its answer."""

    async def steps(store, here, there):
        results = await asyncio.gather(*(client.fetch(max_age=30) for client in (here, there) * 100))
        return {merged.amount("BTC") for merged in results}

    result, requests = with_clients(steps)

    assert (result, sum(requests)) == ({1}, 1)


def test_a_caller_that_takes_nothing_earlier_waits_for_no_other_client(with_clients):
    """A lease keeps nobody from asking who wants an answer of his own."""

    async def steps(store, here, there):
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(here.fetch(max_age=30), there.fetch())
        return loop.time() - started

    took, requests = with_clients(steps)

    assert took == pytest.approx(1.0)
    assert requests == [1, 1]


def test_the_lease_of_one_that_died_delays_by_no_more_than_the_lease(with_clients):
    """A lease that is never given back runs out."""

    async def steps(store, here, there):
        loop = asyncio.get_running_loop()
        await store.lease("till@till", "dead", seconds=4.0)
        started = loop.time()
        merged = await here.fetch(max_age=30)
        return merged.complete, loop.time() - started

    (complete, took), requests = with_clients(steps)

    assert complete
    assert took <= 4.0 + 1.0 + 1.1
    assert sum(requests) == 1


def test_waiting_for_another_client_ends_at_the_deadline(with_clients):
    """Whoever waits in vain for another's answer is told so."""

    async def steps(store, here, there):
        await store.lease("till@till", "busy", seconds=60.0)
        return str((await here.fetch(max_age=30)).failures[0].error)

    said, requests = with_clients(steps, deadline=3.0)

    assert "another process has not read it before the deadline of 3 s" in said
    assert sum(requests) == 0


def test_an_invalidation_reaches_the_other_client(with_clients):
    """A webhook that one replica receives makes the others' snapshots unfit, and wakes their watches."""

    async def steps(store, here, there):
        seen = []

        async def watch():
            seen.extend([merged.amount("BTC") async for merged in there.watch()])

        watching = asyncio.create_task(watch())
        await asyncio.sleep(2)
        await here.invalidate("till")
        await asyncio.sleep(2)
        await there.aclose()
        await watching
        return seen

    assert with_clients(steps) == ([1, 2], [0, 2])


def test_a_watch_that_has_just_begun_reads_once(with_clients):
    """That changes are told from now on is no change."""

    async def steps(store, here, there):
        async def watch():
            return [merged.amount("BTC") async for merged in here.watch()]

        watching = asyncio.create_task(watch())
        await asyncio.sleep(1.01)
        # What is looked at without a store is read.
        store.fault = ConnectionError()
        await asyncio.sleep(2)
        await here.aclose()
        return await watching

    assert with_clients(steps) == ([1], [1, 0])


def test_a_watch_that_cannot_listen_yet_ends_with_the_client(with_clients):
    """A store that does not answer does not turn the end into an error."""

    async def steps(store, here, there):
        async def watch():
            return [merged async for merged in here.watch()]

        store.fault = "hangs"
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.2)
        await here.aclose()
        return await watching

    assert with_clients(steps) == ([], [0, 0])


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_call_answers_without_the_store(with_clients, fault):
    """The providers are read, each time, and in time."""

    async def steps(store, here, there):
        await here.fetch(max_age=30)
        store.fault = fault
        loop = asyncio.get_running_loop()
        started = loop.time()
        results = [await here.fetch(max_age=30) for _ in range(3)]
        return [merged.amount("BTC") for merged in results], loop.time() - started

    (amounts, took), requests = with_clients(steps)

    assert (amounts, requests) == ([2, 3, 4], [4, 0])
    assert took <= 3 * (1.0 + 2 * 0.5)


def test_a_busy_process_does_not_take_the_store_for_lost(with_clients, caplog):
    """An answer that came while nobody had the time to look is an answer."""

    async def steps(store, here, there):
        await there.fetch(max_age=30)
        store.fault = 0.1
        fetching = asyncio.create_task(here.fetch(max_age=30))
        await asyncio.sleep(0.05)
        # Something else keeps the loop for three seconds.
        asyncio.get_running_loop().now += 3
        return (await fetching).amount("BTC")

    assert with_clients(steps) == (1, [0, 1])
    assert not caplog.records


def test_callers_at_the_same_time_share_a_request_without_the_store_too(with_clients):
    """An outage of the store is not passed on to the provider."""

    async def steps(store, here, there):
        store.fault = ConnectionError()
        results = await asyncio.gather(*(here.fetch(max_age=30) for _ in range(100)))
        return {merged.amount("BTC") for merged in results}

    assert with_clients(steps) == ({1}, [1, 0])


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_log_tells_once_that_the_store_is_gone_and_once_that_it_is_back(with_clients, fault, caplog):
    """One line each, without the address, which may hold a password."""
    caplog.set_level(logging.INFO, "balancekit.stores")

    async def steps(store, here, there):
        await here.fetch(max_age=30)
        store.fault = fault
        for _ in range(3):
            await here.fetch(max_age=30)
        store.fault = None
        await asyncio.sleep(2)
        await here.fetch(max_age=30)
        return await here.fetch(max_age=30)

    with_clients(steps)

    gone, back = (record.getMessage() for record in caplog.records if record.name == "balancekit.stores.fail_open")
    assert gone.startswith("the store is out of reach (")
    assert "hunter2" not in caplog.text
    assert back == "the store is back"


def test_a_store_that_is_back_is_used_again(with_clients):
    """By itself, after a second."""

    async def steps(store, here, there):
        store.fault = ConnectionError()
        await here.fetch(max_age=30)
        store.fault = None
        await asyncio.sleep(1)
        await here.fetch(max_age=30)
        return (await there.fetch(max_age=30)).amount("BTC")

    assert with_clients(steps) == (2, [2, 0])


def test_an_invalidation_during_an_outage_is_not_lost(with_clients):
    """The store learns of it before it is asked for anything else."""

    async def steps(store, here, there):
        await here.fetch(max_age=30)
        store.fault = ConnectionError()
        await here.invalidate("till")
        store.fault = None
        await asyncio.sleep(1)
        return (await here.fetch(max_age=30)).amount("BTC"), (await there.fetch(max_age=30)).amount("BTC")

    assert with_clients(steps) == ((2, 2), [2, 0])


def test_an_invalidation_during_an_outage_is_told_without_being_asked(with_clients):
    """A replica that only takes in webhooks tells the others when the store is back, whether or not it is used."""

    async def steps(store, here, there):
        await there.fetch(max_age=30)
        store.fault = ConnectionError()
        await here.invalidate("till")
        await asyncio.sleep(10)
        store.fault = None
        await asyncio.sleep(1)
        return (await there.fetch(max_age=30)).amount("BTC")

    assert with_clients(steps) == (2, [0, 2])


def test_a_client_that_closes_during_an_outage_leaves_nothing_behind(with_clients):
    """What it could not tell the store keeps nobody waiting."""

    async def steps(store, here, there):
        store.fault = ConnectionError()
        await here.invalidate("till")
        started = asyncio.get_running_loop().time()
        await here.aclose()
        return asyncio.get_running_loop().time() - started

    assert with_clients(steps) == (0, [0, 0])


def test_an_invalidation_survives_the_event_loop(run_virtually):
    """One that the store could not be told of in one `asyncio.run` is told in the next."""
    till, client, store = Till(), None, None

    async def first():
        nonlocal client, store
        store = Flaky()
        client = AggregateClient([till], store=store)
        await client.fetch(max_age=30)
        # The lease is given back after the answer.
        await asyncio.sleep(1)
        store.fault = ConnectionError()
        await client.invalidate("till")
        await client._owned.close()

    async def second():
        store.fault = None
        async with client:
            await client.fetch(max_age=30)

    run_virtually(first())
    run_virtually(second())

    assert till.requests == 2


def test_what_a_closed_client_could_not_tell_it_tells_the_log(with_clients, caplog):
    """After one last attempt: other replicas may take old snapshots for valid."""

    async def steps(store, here, there):
        store.fault = ConnectionError()
        await here.invalidate("till")
        await here.aclose()

    with_clients(steps)

    assert "the store does not know that 1 accounts may have changed" in caplog.text


def test_a_slow_store_is_not_waited_for_a_thousand_times(run_virtually):
    """Ten batches of a store that takes 0.4 s for each are not worth the deadline."""

    class Slow(Flaky):
        async def get(self, keys):
            await asyncio.sleep(0.4)
            return await super().get(keys)

    async def main():
        tills = [Till(f"till{number}") for number in range(1000)]
        async with AggregateClient(tills, store=Slow(), concurrency=1000, deadline=5.0) as client:
            return (await client.fetch()).complete

    assert run_virtually(main())


def test_a_read_from_before_an_invalidation_serves_nobody_after_it_without_the_store(with_clients):
    """The rule holds within the process, whatever the store is doing."""

    async def steps(store, here, there):
        store.fault = ConnectionError()
        before = asyncio.create_task(here.fetch(max_age=30))
        await asyncio.sleep(0.5)
        await here.invalidate("till")
        after = await here.fetch(max_age=30)
        return [(await before).amount("BTC"), after.amount("BTC")]

    assert with_clients(steps) == ([1, 2], [2, 0])


def test_a_limit_on_the_rate_holds_for_all_clients_together(with_clients):
    """Two replicas with a limit of three requests a minute make three in all."""

    async def steps(store, here, there):
        together = await asyncio.gather(*(client.fetch() for client in (here, there) * 3))
        return sum(merged.complete for merged in together)

    complete, requests = with_clients(steps, rate_limits={"till": RateLimit(3, per=60)}, deadline=5.0)

    assert (complete, sum(requests)) == (3, 3)


def test_an_answer_that_came_in_time_is_not_lost_on_a_store_that_hangs(with_clients):
    """The caller has it before the store does."""

    async def steps(store, here, there):
        loop = asyncio.get_running_loop()
        started = loop.time()
        fetching = asyncio.create_task(here.fetch(max_age=30))
        await asyncio.sleep(0.5)
        store.fault = "hangs"
        merged = await fetching
        return merged.complete, loop.time() - started

    (complete, took), _ = with_clients(steps, deadline=1.2)

    assert complete
    assert took == pytest.approx(1.0)


@pytest.mark.parametrize(("account", "provider"), [("other", "till"), ("till", "other")])
def test_a_snapshot_of_another_account_is_not_taken(with_clients, account, provider):
    """A store may hold anything under an account's key, and money of somebody else is none of ours."""

    async def steps(store, here, there):
        foreign = AccountBalances(account, provider, (), datetime.now(UTC))
        (known,) = await store.get(["till@till"])
        await store.put("till@till", foreign, version=known.version, age=0.0)
        merged = await here.fetch(max_age=30)
        return [snapshot.account for snapshot in merged.accounts], merged.amount("BTC")

    assert with_clients(steps) == ((["till"], 1), [1, 0])


def test_accounts_of_other_keys_have_other_places_in_a_store():
    """Two services with one label at one provider do not take each other's money for their own."""
    shops = [CryptoprocessingProvider("shop", key=key, secret="s") for key in ("key-one", "key-two", "key-one")]
    tills = [GetManyProvider("shop", key_id=key, signing_key=SIGNING_KEY) for key in ("key-one", "key-two")]

    one, two, again, till, other = (
        next(iter(AggregateClient([source])._accounts.values())).key for source in (*shops, *tills)
    )

    assert one == again
    assert len({one, two, till, other}) == 4
    assert "key-one" not in one + till


def test_a_store_that_is_none_is_refused():
    """At construction."""
    with pytest.raises(ConfigError, match="store: expected a SnapshotStore, got dict"):
        AggregateClient([Till()], store={})


def test_a_store_that_is_slow_keeps_no_caller_beyond_the_deadline(with_clients):
    """The time that the store takes is a part of the caller's, and a provider that hangs keeps nobody after it."""

    async def steps(store, here, there):
        store.fault = "hangs"
        loop = asyncio.get_running_loop()
        started = loop.time()
        merged = await here.fetch()
        return loop.time() - started, len(merged.failures)

    (took, failures), _ = with_clients(steps, deadline=0.2)

    assert (took, failures) == (pytest.approx(0.2), 1)


def test_a_client_that_is_closed_while_it_asks_the_store_reads_nothing(with_clients):
    """A caller is told at once, and no request is made after the end."""

    async def steps(store, here, there):
        store.fault = "hangs"
        caller = asyncio.create_task(here.fetch())
        await asyncio.sleep(0.1)
        await here.aclose()
        return str((await caller).failures[0].error)

    told, requests = with_clients(steps)

    assert "the client was closed" in told
    assert requests == [0, 0]


def test_what_the_store_cancels_of_its_own_is_a_failure_of_the_store(with_clients):
    """It is no reason for a caller to wait for ever."""

    async def steps(store, here, there):
        store.fault = asyncio.CancelledError()
        return (await here.fetch()).complete

    assert with_clients(steps) == (True, [1, 0])


def test_a_turn_that_another_client_makes_needless_is_given_up(with_clients):
    """Whoever waited for it keeps no place under the limit, and the next request has its turn."""

    async def steps(store, here, there):
        await here.fetch()
        waiting = asyncio.create_task(here.fetch(max_age=0.5))
        await asyncio.sleep(0.1)
        async with AggregateClient([Till()], store=store) as unlimited:
            await unlimited.fetch()
        await waiting
        await asyncio.sleep(60)
        return (await here.fetch()).complete

    assert with_clients(steps, rate_limits={"till": RateLimit(1, per=5)}) == (True, [2, 0])


def test_a_lease_that_was_granted_to_nobody_is_given_back(with_clients):
    """A caller that leaves while it asks for the lease keeps no other client waiting."""

    async def steps(store, here, there):
        grant = store.lease

        async def slowly(*args, **kwargs):
            wait = await grant(*args, **kwargs)
            await asyncio.sleep(0.2)
            return wait

        store.lease = slowly
        leaving = asyncio.create_task(here.fetch(max_age=30))
        await asyncio.sleep(0.1)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await there.fetch(max_age=30)
        return loop.time() - started

    assert with_clients(steps) == (pytest.approx(1.2), [0, 1])


def test_a_slow_store_makes_no_snapshot_younger_than_it_is(with_clients):
    """How old a snapshot may be is counted back from the call, whenever the store's answer arrives."""

    async def steps(store, here, there):
        await here.fetch()
        get = store.get

        async def slowly(keys):
            known = await get(keys)
            await asyncio.sleep(0.4)
            return known

        store.get = slowly
        await asyncio.sleep(9.2)
        return (await here.fetch(max_age=10)).amount("BTC")

    assert with_clients(steps) == (2, [2, 0])
