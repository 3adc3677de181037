"""The client as its callers see it: fetch, stream, sessions, loops and its end. Time is virtual."""

import asyncio
import gc
from datetime import UTC, datetime
from types import SimpleNamespace

import aiohttp
import pytest

from balancekit import (
    AggregateClient,
    ConfigError,
    IncompleteError,
    ReportedBalances,
)
from balancekit.client import runtime
from tests.support.providers import Scripted


def test_strict_raises_with_what_was_read(fetch):
    """All or nothing, and yet nothing is lost."""
    with pytest.raises(IncompleteError, match="1 of 2 accounts could not be read: bad") as caught:
        fetch([Scripted("bad", ValueError()), Scripted("shop")], strict=True)

    assert caught.value.partial.amount("BTC", partial=True) == 1


def test_strict_passes_a_complete_result(fetch):
    """Nothing is raised where nothing is missing."""
    assert fetch([Scripted("shop")], strict=True).merged.complete


def test_chosen_accounts_are_read_alone(fetch):
    """Only the accounts that are asked for get a request, and each only one."""
    a, b = Scripted("a"), Scripted("b")

    done = fetch([a, b], ["b", "b"])

    assert [snapshot.account for snapshot in done.merged.accounts] == ["b"]
    assert (a.calls, b.calls) == (0, 1)


@pytest.mark.parametrize(("accounts", "reason"), [(["c"], "no account is labelled 'c'"), ("ab", "expected a list")])
def test_an_account_that_is_not_there_is_an_error(fetch, accounts, reason):
    """A misspelt label is not an account that holds nothing."""
    with pytest.raises(ConfigError, match=reason):
        fetch([Scripted("a")], accounts)


def test_no_accounts_hold_nothing(fetch):
    """An empty client gives an empty result."""
    assert fetch([]).merged.totals == ()


def test_results_are_equal_whatever_the_order_of_responses(fetch):
    """The result tells nothing of the race."""
    first = fetch([Scripted("a", 0.1), Scripted("b", 0.2), Scripted("c", ValueError())]).merged
    second = fetch([Scripted("c", ValueError()), Scripted("b", 0.1), Scripted("a", 0.2)]).merged

    assert first.totals == second.totals
    assert [snapshot.account for snapshot in first.accounts] == [snapshot.account for snapshot in second.accounts]
    assert first.failures == second.failures


def test_aliases_are_applied(fetch):
    """The client hands its aliases to the merge."""
    assert fetch([Scripted("a")], aliases={"btc": "XBT"}).merged.amount("XBT") == 1


def test_a_stream_gives_each_outcome_as_it_arrives(run_virtually):
    """Nobody waits for the slowest to see the first."""

    async def main():
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with AggregateClient([Scripted("slow", 2), Scripted("fast", 1), Scripted("bad", ValueError())]) as client:
            return [(outcome.account, round(loop.time() - started, 3)) async for outcome in client.stream()]

    assert run_virtually(main()) == [("bad", 0), ("fast", 1), ("slow", 2)]


def test_concurrent_fetches_do_not_disturb_each_other(run_virtually):
    """Nothing about a call is kept on the client."""

    async def main():
        async with AggregateClient([Scripted("a", 1, 0.5), Scripted("b")]) as client:
            return await asyncio.gather(client.fetch(), client.fetch(["a"]))

    both, one = run_virtually(main())

    assert (both.amount("BTC"), one.amount("BTC")) == (2, 1)


async def test_a_lent_session_is_used_and_left_open():
    """A session is closed by the code that opened it."""
    async with aiohttp.ClientSession() as session:
        shop = Scripted("shop")

        async with AggregateClient([shop], session=session) as client:
            await client.fetch()

        # In its place, an adapter is given one over its connections.
        assert shop.session.closed is session.closed is False


async def test_a_lent_session_that_is_closed_is_a_clear_error():
    """A dead session is found before a request is made with it."""
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(RuntimeError, match="the session lent to this client is closed"):
        await AggregateClient([Scripted("a")], session=session).fetch()


async def test_a_closed_client_is_not_used():
    """After close every use is a clear error and opens nothing; closing twice is fine."""
    shop = Scripted("shop")
    client = AggregateClient([shop])
    await client.aclose()
    await client.aclose()

    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.fetch()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.stream()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.__aenter__()
    assert shop.calls == 0
    assert repr(client) == "AggregateClient(1 accounts, closed)"


async def test_the_clients_own_session_is_closed_with_it():
    """A client that opened a session leaves none behind."""
    shop = Scripted("shop")
    client = AggregateClient([shop])
    await client.fetch()

    await client.aclose()

    assert shop.session.closed


async def test_a_client_that_is_dropped_open_warns():
    """A client that nobody closes is a leak, which its owner should hear of."""
    shop = Scripted("shop")
    client = AggregateClient([shop])
    await client.fetch()

    with pytest.warns(ResourceWarning, match="was dropped without aclose"):
        del client
    await shop.session.close()


def test_a_client_survives_its_loop():
    """One client made at the top of a module works in one `asyncio.run` after the other."""
    client = AggregateClient([Scripted("a")])

    asyncio.run(client.fetch())
    merged = asyncio.run(_fetch_and_close(client))
    gc.collect()

    assert merged.complete


def test_callers_who_come_together_in_a_second_loop_share_one_session(monkeypatch):
    """The session of the first loop is being closed while the second caller comes."""
    connectors = []

    def make(**settings):
        connectors.append(aiohttp.TCPConnector(**settings))
        return connectors[-1]

    monkeypatch.setattr(runtime, "aiohttp", SimpleNamespace(ClientSession=aiohttp.ClientSession, TCPConnector=make))
    client = AggregateClient([Scripted("a")])

    async def together(*, close):
        results = await asyncio.gather(client.fetch(), client.fetch(), client.fetch())
        if close:
            await client.aclose()
        return [merged.complete for merged in results]

    read = asyncio.run(together(close=False)) + asyncio.run(together(close=True))
    gc.collect()

    assert read == [True] * 6
    assert [connector.closed for connector in connectors] == [True, True]


async def _fetch_and_close(client):
    async with client:
        return await client.fetch()


@pytest.mark.parametrize(
    "call",
    [lambda client: client.fetch(), lambda client: client.add(Scripted("b")), lambda client: client.remove("a")],
    ids=["fetch", "add", "remove"],
)
def test_a_client_is_not_used_in_two_loops_at_once(call):
    """Sockets and timers belong to one loop; using them from another while that runs is a clear error."""
    client = AggregateClient([Scripted("a")])

    async def use_elsewhere():
        await client.fetch()
        try:
            return await asyncio.to_thread(asyncio.run, call(client))
        finally:
            await client.aclose()

    with pytest.raises(RuntimeError, match="in use in another event loop"):
        asyncio.run(use_elsewhere())
    assert client.accounts == ("a",)


async def test_a_client_with_a_lent_session_is_not_taken_from_a_loop_that_runs():
    """A watch waits in that loop although no caller does: the other loop gets the error, and the watch goes on."""
    shop = Scripted("shop")
    shop.script = [shop.balances(amount) for amount in "12"]
    async with aiohttp.ClientSession() as session, AggregateClient([shop], session=session) as client:
        watch = client.watch(min_interval=0)
        states = [await anext(watch)]
        with pytest.raises(RuntimeError, match="in use in another event loop"):
            await asyncio.to_thread(asyncio.run, client.fetch())
        await client.invalidate("shop")
        states.append(await asyncio.wait_for(anext(watch), 30))

    assert [merged.amount("BTC") for merged in states] == [1, 2]


def test_a_client_moves_to_a_loop_that_runs_when_the_other_stands_still():
    """Whether or not the other one was closed; and back again."""
    shop = Scripted("shop")
    client = AggregateClient([shop])

    with asyncio.Runner() as first, asyncio.Runner() as second:
        read = [runner.run(client.fetch()).complete for runner in (first, second, first)]
        first.run(client.aclose())

    assert (read, shop.calls) == ([True] * 3, 3)


async def test_accounts_are_listed():
    """The labels can be asked for, in the order given."""
    async with AggregateClient([Scripted("b"), Scripted("a")]) as client:
        assert client.accounts == ("b", "a")
        assert repr(client) == "AggregateClient(2 accounts)"


def test_a_snapshot_has_the_moment_that_its_provider_reports(run_virtually):
    """What was held an hour before the request is too old for a caller who accepts a minute."""
    reported_at = datetime(2026, 1, 1, tzinfo=UTC)
    provider = Scripted("shop")
    provider.script = [ReportedBalances(provider.balances(amount), reported_at=reported_at) for amount in "12"]

    async def main():
        async with AggregateClient([provider]) as client:
            first, again = await client.fetch(), await client.fetch(max_age=60)
            return first.accounts[0].reported_at, first.as_of, str(again.amount("BTC")), provider.calls

    assert run_virtually(main()) == (reported_at, reported_at, "2", 2)
