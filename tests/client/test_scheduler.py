"""Fan-out: concurrency, deadlines, cancellation and isolation. Time is virtual and providers are scripted."""

import asyncio
import contextlib
import sys
import weakref
from contextlib import aclosing

import pytest

from balancekit import (
    AccountBalances,
    AggregateClient,
    ProviderError,
    ProviderTimeoutError,
    RetryPolicy,
    ServiceUnavailableError,
)
from tests.support.providers import Bank, Running, Scripted, outage


def test_many_accounts_take_the_time_of_the_slowest(fetch):
    """Fifty accounts of 200 ms each are read in 200 ms."""
    done = fetch([Scripted(f"a{number}", 0.2) for number in range(50)])

    assert done.took == pytest.approx(0.2)
    assert done.merged.complete
    assert done.merged.amount("BTC") == 50


def test_no_more_accounts_are_read_at_once_than_allowed(fetch):
    """The limit holds, and every account gets its turn."""
    running = Running()

    done = fetch([Scripted(f"a{number}", 1, running=running) for number in range(10)], concurrency=3)

    assert running.most == 3
    assert done.took == pytest.approx(4)
    assert len(done.merged.accounts) == 10


def test_the_deadline_ends_a_fetch_with_what_has_arrived(fetch):
    """Ninety accounts respond, ten never do: ninety snapshots and ten timeouts, at the deadline."""
    never = [Scripted(f"never{number}", 9e9) for number in range(10)]

    done = fetch([*never, *(Scripted(f"a{number}", 0.1) for number in range(90))], deadline=1.0)

    assert done.took == pytest.approx(1.0, abs=0.06)
    assert len(done.merged.accounts) == 90
    assert {type(failure.error) for failure in done.merged.failures} == {ProviderTimeoutError}
    assert "before the deadline of 1 s" in str(done.merged.failures[0].error)


def test_an_account_that_never_got_its_turn_is_a_timeout(fetch):
    """With one worker and a slow account before it, an account is named as not read, not left out."""
    waiting = Scripted("waiting")

    done = fetch([Scripted("slow", 9e9), waiting], concurrency=1, deadline=1.0, timeout=5.0)

    assert [failure.account for failure in done.merged.failures] == ["slow", "waiting"]
    assert waiting.calls == 0
    assert "no request sent before the deadline of 1 s" in str(done.merged.failures[1].error)


class BareError(ProviderError):
    """An error of somebody's own that leaves out the constructor."""

    def __init__(self):
        Exception.__init__(self, "bare")


class UnshowableError(OSError):
    """An error that cannot even be shown."""

    def __str__(self):
        raise RuntimeError


async def cancel_itself():
    """Cancel the task that the provider runs in, and let it happen."""
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "make_bad",
    [
        lambda: Scripted("bad", cancel_itself),
        lambda: Scripted("bad", GeneratorExit()),
        lambda: Scripted("bad", BareError()),
        lambda: Scripted("bad", UnshowableError()),
        lambda: Scripted("bad", ServiceUnavailableError("503", account="bad", provider="scripted", retry_after="5")),
    ],
    ids=["cancels itself", "GeneratorExit", "bare error", "unshowable error", "odd retry_after"],
)
def test_a_provider_that_breaks_its_worker_costs_the_others_nothing(fetch, make_bad):
    """Even where one account's adapter ends the task that it runs in, the next account is read."""
    done = fetch([make_bad(), Scripted("healthy")], concurrency=1, deadline=5.0)

    assert [snapshot.account for snapshot in done.merged.accounts] == ["healthy"]
    assert [failure.account for failure in done.merged.failures] == ["bad"]
    assert done.took < 1


def test_first_attempts_come_before_second_ones(fetch):
    """Accounts of a host that hangs do not keep the others from their turn by being tried again and again."""
    hanging = [Scripted(f"hanging{number}", 9e9, 9e9, 9e9) for number in range(2)]

    done = fetch([*hanging, Scripted("healthy")], concurrency=2, timeout=0.2, deadline=0.6)

    assert [snapshot.account for snapshot in done.merged.accounts] == ["healthy"]


def test_an_account_that_waits_to_be_tried_again_keeps_nobody_waiting(fetch):
    """A wait that a provider asks for takes no worker away from the others."""
    done = fetch([Scripted("busy", outage("busy", retry_after=5.0)), Scripted("shop", 0.1)], concurrency=1)

    assert done.merged.complete
    assert done.took == pytest.approx(5.0, abs=0.2)


def test_concurrency_holds_for_attempts_that_follow_at_once(fetch):
    """A retry without a delay takes a slot as the first attempt does."""
    running = Running()
    accounts = [Scripted(f"a{number}", outage(f"a{number}"), 1, running=running) for number in range(6)]

    done = fetch(accounts, concurrency=2, retry=RetryPolicy(2, first=0))

    assert running.most == 2
    assert done.merged.complete


def test_concurrency_holds_over_all_fetches_of_a_client(run_virtually):
    """Five callers at once do not make five times the connections, and waiting for a turn is no provider's fault."""

    async def main():
        running = Running()
        shop = Scripted("shop", *[0.3] * 5, running=running)
        async with AggregateClient([shop], concurrency=1, timeout=0.5, attempts=1) as client:
            results = await asyncio.gather(*(client.fetch() for _ in range(5)))
        return running.most, [merged.complete for merged in results]

    assert run_virtually(main()) == (1, [True] * 5)


def test_waiting_for_other_fetches_ends_at_the_deadline(run_virtually):
    """The error of an account that was still queued at the deadline says so."""

    async def main():
        shop = Scripted("shop", 20.0, 20.0)
        async with AggregateClient([shop], concurrency=1, timeout=30.0, deadline=5.0) as client:
            first = asyncio.create_task(client.fetch())
            await asyncio.sleep(0.1)
            later = await asyncio.gather(client.fetch(), client.fetch())
            await first
        return shop.calls, [str(merged.failures[0].error) for merged in later]

    calls, errors = run_virtually(main())

    assert calls == 2
    assert "no response before the deadline of 5 s" in errors[0]
    assert "no request sent before the deadline of 5 s" in errors[1]


def test_cancelling_stops_a_provider_that_turns_it_into_an_error(run_virtually):
    """After a fetch was cancelled no other account is asked, whatever the one under way makes of it."""

    async def turn_it_into_an_error():
        try:
            await asyncio.sleep(9e9)
        except asyncio.CancelledError:
            raise ValueError from None

    async def main():
        async with AggregateClient(accounts, concurrency=2) as client:
            fetching = asyncio.create_task(client.fetch())
            await asyncio.sleep(1)
            fetching.cancel()
            await asyncio.sleep(1)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    accounts = [Scripted(f"a{number}", turn_it_into_an_error) for number in range(9)]
    run_virtually(main())

    assert [account.calls for account in accounts] == [1, 1] + [0] * 7


def test_closing_ends_what_is_being_read(run_virtually):
    """A caller in the middle of a fetch learns at once that the client was closed, and keeps what has arrived."""

    async def main():
        client = AggregateClient([Scripted("shop"), Scripted("slow", 9e9)])
        fetching = asyncio.create_task(client.fetch())
        await asyncio.sleep(1)
        await client.aclose()
        return await fetching

    merged = run_virtually(main())

    assert merged.amount("BTC", partial=True) == 1
    assert "the client was closed" in str(merged.failures[0].error)


def test_a_provider_that_refuses_to_be_cancelled_does_not_hold_the_caller(run_virtually):
    """The deadline is kept even if an adapter swallows its cancellation."""

    async def ignore_cancellation():
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    async def main():
        nonlocal release
        release = asyncio.Event()
        started = asyncio.get_running_loop().time()
        async with AggregateClient(
            [Scripted("stubborn", ignore_cancellation), Scripted("shop")], deadline=1.0
        ) as client:
            merged = await client.fetch()
        took = asyncio.get_running_loop().time() - started
        release.set()
        await asyncio.sleep(1)
        return merged, took

    release = None
    merged, took = run_virtually(main())

    assert took == pytest.approx(1.05)
    assert [failure.account for failure in merged.failures] == ["stubborn"]


def test_leaving_a_stream_early_ends_every_request(run_virtually):
    """After the loop is left, nothing that it started goes on, and the client can be used again."""

    async def main():
        running = Running()
        accounts = [
            Scripted("fast", 0.1, running=running),
            *(Scripted(f"a{n}", 9e9, running=running) for n in range(9)),
        ]
        async with AggregateClient(accounts) as client:
            async with aclosing(client.stream()) as outcomes:
                async for outcome in outcomes:
                    assert outcome.account == "fast"
                    break
            assert running.now == 0
            return await client.fetch(["fast"])

    assert run_virtually(main()).complete


def test_cancelling_a_fetch_ends_every_request_and_leaves_the_client_usable(run_virtually):
    """A cancelled caller leaves no request behind."""

    async def main():
        running = Running()
        async with AggregateClient(
            [Scripted("a", 9e9, 0, running=running), Scripted("b", 9e9, 0, running=running)]
        ) as client:
            fetching = asyncio.create_task(client.fetch())
            await asyncio.sleep(1)
            assert running.now == 2
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert running.now == 0
            return await client.fetch()

    assert run_virtually(main()).complete


def test_a_client_keeps_nothing_of_an_outcome_that_a_stream_has_given(run_virtually):
    """Not even while the next account is read: its balances may take megabytes."""

    async def main():
        async with (
            AggregateClient([Scripted("first"), Scripted("second", 1)], concurrency=1) as client,
            aclosing(client.stream()) as outcomes,
        ):
            first = weakref.ref(await anext(outcomes))
            second = asyncio.create_task(anext(outcomes))
            await asyncio.sleep(0.5)
            kept = first()
            return kept, (await second).account

    assert run_virtually(main()) == (None, "second")


def test_a_caller_may_take_its_time_between_outcomes(run_virtually):
    """Outcomes that arrived before the deadline are given after it, too."""

    async def main():
        async with AggregateClient([Scripted("a", 0.1), Scripted("b", 0.2)], deadline=1.0) as client:
            outcomes = []
            async for outcome in client.stream():
                outcomes.append(outcome)
                await asyncio.sleep(60)
            return outcomes

    assert all(isinstance(outcome, AccountBalances) for outcome in run_virtually(main()))


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_the_interpreters_own_exceptions_pass(run_virtually, interrupt):
    """Ctrl-C ends the program, not one account."""

    async def main():
        async with AggregateClient([Scripted("a", interrupt())]) as client:
            await client.fetch()

    with pytest.raises(interrupt):
        run_virtually(main())


def test_a_request_that_ignores_its_cancellation_gives_up_its_place(run_virtually):
    """The account behind it is read, even if no other call is made."""

    async def ignore_cancellation_twice():
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1e4)
        await asyncio.sleep(1e4)

    async def main():
        stubborn = Scripted("stubborn", ignore_cancellation_twice)
        async with AggregateClient([stubborn, Scripted("healthy", 1.0)], concurrency=1) as client:
            first = asyncio.create_task(client.fetch(["stubborn"]))
            await asyncio.sleep(0.1)
            second = asyncio.create_task(client.fetch(["healthy"]))
            await asyncio.sleep(0.1)
            first.cancel()
            return (await second).complete

    assert run_virtually(main())


def test_a_cancellation_that_a_provider_leaves_behind_hits_no_other_account(fetch):
    """A provider that cancels its task and returns all the same fails no other account."""

    async def cancel_itself_and_return():
        asyncio.current_task().cancel()
        return []

    cancels_itself = Scripted("cancels-itself", cancel_itself_and_return)

    assert fetch([cancels_itself, Scripted("healthy", 1.0)], concurrency=1).merged.complete


# Tasks are never eager before.
if sys.version_info >= (3, 12):

    def test_a_loop_whose_tasks_are_eager_reads_as_any_other(run_virtually):
        """Where a task begins to run before it is known, nothing is asked twice, and nothing is left unread."""
        accounts = [Scripted(f"a{number}", 0.1) for number in range(9)]

        async def main():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            async with AggregateClient(accounts, concurrency=2) as client:
                merged = await client.fetch()
                streamed = [outcome.account async for outcome in client.stream(["a1", "a2"], max_age=60)]
                async with asyncio.timeout(0.05):
                    async with aclosing(client.watch(max_age=60)) as states:
                        watched = await anext(states)
            return merged.amount("BTC"), sorted(streamed), watched.amount("BTC")

        assert run_virtually(main()) == (9, ["a1", "a2"], 9)
        assert {account.calls for account in accounts} == {1}


def test_a_slot_that_was_reserved_for_a_removed_account_is_used_at_once(run_virtually):
    """The other origin has it without waiting for one of its own requests to end."""

    async def main():
        hung, waiting, other = (
            [Bank(f"hung-{number}", takes=9) for number in range(3)],
            Bank("waiting"),
            Scripted("other"),
        )
        async with AggregateClient([*hung, waiting, other], concurrency=4) as client:
            call = asyncio.create_task(client.fetch([account.account for account in [*hung, waiting]]))
            await asyncio.sleep(1)
            before = len(waiting.calls)
            await client.remove("other")
            await asyncio.sleep(1)
            after = len(waiting.calls)
            await call
        return before, after

    assert run_virtually(main()) == (0, 1)
