"""What a client's callers are shown of results that are known already."""

import asyncio
import gc
import threading
import weakref
from datetime import UTC, datetime

import pytest

from balancekit import AccountBalances, AggregateClient, Clock, ConfigError, CryptoprocessingProvider
from balancekit.client import results
from balancekit.client.account_book import AccountBook
from balancekit.client.account_state import Moment
from balancekit.client.accounts import Account
from balancekit.client.origins import Origin, Origins
from balancekit.client.results import Results
from balancekit.money import lookup
from balancekit.money.lookup import index_by_code
from balancekit.money.merge import merge_counted
from tests.support.clock import LoopClock
from tests.support.providers import Bank, QuickTill, Scripted, bitcoin, outage


class SuspendedClock(LoopClock):
    """A clock that goes on for so many seconds while the machine is suspended."""

    suspended = 0.0

    def time(self):
        """Return the time on the wall in seconds."""
        return super().time() + self.suspended


@pytest.mark.parametrize("is_suspended", [False, True], ids=["awake", "suspended"])
def test_a_result_for_later_callers_shows_no_snapshot_beyond_the_limit(with_client, is_suspended):
    """One that was counted in after a failure is left out as soon as it is older than `stale_if_error`."""
    clock = SuspendedClock()

    async def steps(client, till, other):
        await client.fetch()
        await asyncio.sleep(50)
        till.broken, till.retry_after = True, 60.0
        await client.fetch()
        options = {"max_age": 30, "stale_if_error": 60}
        before = await client.fetch(**options)
        if is_suspended:
            clock.suspended = 20.0
        else:
            await asyncio.sleep(20)
        after = await client.fetch(**options)
        return [sorted(snapshot.account for snapshot in merged.accounts) for merged in (before, after)]

    shown = with_client(steps, QuickTill(), QuickTill("other"), clock=clock)

    assert shown == [["other", "till"], ["other"]]


def test_nothing_is_kept_of_an_account_that_was_removed(with_client):
    """Its snapshot can be collected although no later call has made another result."""

    async def steps(client, till, other):
        await client.fetch()
        snapshot = weakref.ref(client.latest(["till"]).accounts[0])
        before = snapshot() is not None
        await client.remove("till")
        gc.collect()
        return before, snapshot()

    assert with_client(steps, QuickTill(), QuickTill("other")) == (True, None)


def test_a_call_that_goes_on_keeps_nothing_of_an_account_that_was_removed_meanwhile(with_client):
    """The failure that it gives holds the last snapshot, which goes with the caller's result."""

    async def steps(client, till, other):
        await client.fetch()
        fetching = asyncio.create_task(client.fetch())
        await asyncio.sleep(0.05)
        await client.remove("closing")
        failed = [failure.account for failure in (await fetching).failures]
        del fetching
        # The event loop lets go of the task that it has woken this one for.
        await asyncio.sleep(0)
        gc.collect()
        return failed, [one for one in gc.get_objects() if isinstance(one, AccountBalances) and one.account in failed]

    assert with_client(steps, QuickTill("closing"), QuickTill("other")) == (["closing"], [])


def test_a_result_of_some_accounts_says_which(with_client):
    """It is complete, and still a part of what the client has: its text, JSON and repr say so; that of all does not."""

    async def steps(client, *_):
        whole = await client.fetch()
        parts = [await client.fetch(["till"]), client.latest(["till"]), await client.fetch(["till"], max_age=60)]
        async with client.watch(["till"]) as states:
            parts.append(await anext(states))
        async with client.watch() as states:
            all_of_them = whole, client.latest(), await client.fetch(max_age=60), await anext(states)
            return [one.scope for one in all_of_them], parts

    whole, parts = with_client(steps, QuickTill(), QuickTill("other"))

    assert whole == [None] * 4
    assert [(part.complete, part.chosen_accounts) for part in parts] == [(True, ("till",))] * 4
    assert {part.to_text().splitlines()[0] for part in parts} == {"Only account till"}


def test_the_last_snapshot_of_a_failure_is_the_one_in_the_totals(run_virtually):
    """It has the aliases as well, for the caller who merges and for those who get the same totals."""

    async def main():
        async with AggregateClient([till := QuickTill()], aliases={"BTC": "XBT"}) as client:
            await client.fetch()
            till.broken, till.retry_after = True, 3600.0
            return [await client.fetch(max_age=0.01, stale_if_error=60) for _ in range(3)] + [client.latest()]

    for result in run_virtually(main()):
        assert [balance.currency for balance in result.failures[0].last_known.balances] == ["XBT"]
        assert result.failures[0].last_known == result.accounts[0]


async def test_the_aliases_of_an_account_are_for_its_codes_alone(sandbox):
    """The same code of another account is another currency, however the result is asked for and merged."""
    own, other = (sandbox.add_cryptoprocessing(label, {"USDTB": "1", "USDTT": "2"}) for label in ("own", "other"))
    providers = [
        CryptoprocessingProvider("own", brand="coinspaid", **own.settings),
        CryptoprocessingProvider("other", **other.settings),
    ]

    async with AggregateClient(providers) as client, client.watch() as states:
        results = [await client.fetch(), await client.fetch(max_age=60), client.latest(), await anext(states)]
        parts = [await client.fetch(["other"]), await client.fetch(["own"])]

    for merged in [*results, parts[0] | parts[1]]:
        assert {total.currency: total.plain for total in merged} == {"USDT": "3", "USDTB": "1", "USDTT": "2"}
        assert sorted(balance.code for balance in merged["USDT"].balances) == ["USDTB", "USDTT"]


async def test_the_aliases_of_a_client_come_before_those_of_an_account(sandbox):
    """So that one code of a brand's table can be kept apart."""
    shop = sandbox.add_cryptoprocessing("shop", {"USDTB": "1", "USDTE": "2"})
    provider = CryptoprocessingProvider("shop", brand="coinspaid", **shop.settings)

    async with AggregateClient([provider], aliases={"USDTB": "USDTB", "USDT": "XUSDT"}) as client:
        merged = await client.fetch()

    assert {total.currency: total.plain for total in merged} == {"USDTB": "1", "XUSDT": "2"}


async def test_the_aliases_of_an_account_come_and_go_with_it(sandbox):
    """One that is added later has its own, and one of the same label that follows it has none of them."""
    shop = sandbox.add_cryptoprocessing("shop", {"USDTE": "2"})

    async with AggregateClient([]) as client:
        held = []
        for brand in ("coinspaid", None):
            await client.add(CryptoprocessingProvider("shop", brand=brand, **shop.settings))
            held += [total.currency for total in await client.fetch()]
            await client.remove("shop")

    assert held == ["USDT", "USDTE"]


class Renaming(Bank):
    """An account with aliases of its own, which holds one bitcoin."""

    def __init__(self, aliases):
        super().__init__("till")
        self.aliases = aliases

    async def fetch_balances(self, session):
        """Respond at once."""
        return bitcoin(self, "1")


@pytest.mark.parametrize("successor_aliases", [None, {}, {"BTC": "EUR"}], ids=["none", "no aliases", "other aliases"])
@pytest.mark.parametrize("own", [{}, {"BTC": "XBT"}], ids=["no aliases", "aliases"])
def test_an_account_that_goes_while_a_call_goes_on_keeps_its_aliases_in_that(with_client, own, successor_aliases):
    """Neither that it is gone nor another of its label changes what was read: no total holds what it does not show."""

    async def steps(client, *_):
        fetching = asyncio.create_task(client.fetch())
        await asyncio.sleep(0.5)
        await client.remove("till")
        if successor_aliases is not None:
            await client.add(Renaming(successor_aliases))
        merged = await fetching
        return merged.complete, {total.currency: total.plain for total in merged}

    held = with_client(steps, Renaming(own), QuickTill("other", takes=1.0))

    assert held == (True, {"XBT": "1", "BTC": "1"} if own else {"BTC": "2"})


def test_the_same_snapshots_under_other_aliases_are_merged_anew():
    """An account and the one that has its label later may be given one snapshot by a store, and calls of both go on."""
    results_of = Results(AccountBook([], Origins(), Clock()), {})
    snapshot = AccountBalances("till", "bank", tuple(bitcoin(Bank("till"), "1")), datetime.now(UTC))
    held = [
        results_of.of_outcomes(
            [snapshot], {"till": Account("till", "bank", Bank("till"), Origin("bank"), aliases)}, None, 0, Moment(0, 0)
        )
        for aliases in ({}, {"BTC": "XBT"})
    ]

    assert [merged.totals[0].currency for merged in held] == ["BTC", "XBT"]


async def test_an_account_that_goes_while_another_thread_looks_keeps_its_aliases_in_that():
    """What `latest` merges is of the accounts that there were when it was called."""
    looks, is_gone = threading.Event(), threading.Event()

    class Pausing(Clock):
        def time(self):
            if threading.current_thread() is not threading.main_thread():
                looks.set()
                assert is_gone.wait(30)
            return super().time()

    async with AggregateClient([Renaming({"BTC": "XBT"}), QuickTill("other")], clock=Pausing()) as client:
        await client.fetch()
        looking = asyncio.create_task(asyncio.to_thread(client.latest))
        assert await asyncio.to_thread(looks.wait, 30)
        await client.remove("till")
        is_gone.set()
        merged = await looking

    assert merged.complete
    assert {total.currency: total.plain for total in merged} == {"XBT": "1", "BTC": "1"}


def test_aliases_of_an_account_that_lead_to_others_are_refused():
    """As those of a client are, with the label of the account."""
    provider = CryptoprocessingProvider("shop", key="k", secret="s")
    provider.aliases = {"A": "B", "B": "C"}

    with pytest.raises(ConfigError, match=r"^providers\[0\]: 'shop': aliases: the alias 'A' leads to 'B'"):
        AggregateClient([provider])


@pytest.mark.parametrize("is_broken", [False, True], ids=["all read", "one down"])
def test_ten_thousand_callers_of_unchanged_accounts_merge_nothing(with_client, monkeypatch, is_broken):
    """They share the totals; of an incomplete result each has errors of its own, and nothing else."""
    merges, indexes = [], []
    monkeypatch.setattr(
        results, "merge_counted", lambda *args, **more: merges.append(args) or merge_counted(*args, **more)
    )
    monkeypatch.setattr(lookup, "index_by_code", lambda totals: indexes.append(totals) or index_by_code(totals))

    async def steps(client, till, *_):
        till.broken, till.retry_after = is_broken, 3600.0
        await client.fetch()
        await client.fetch(max_age=60)
        merges.clear()
        states = [await client.fetch(max_age=60) for _ in range(10_000)]
        return states, {state.amount("BTC", partial=True) for state in states}

    states, amounts = with_client(steps, *(QuickTill(f"till{number}") for number in range(1000)))

    assert merges == []
    assert {id(state.totals) for state in states} == {id(states[0].totals)}
    assert amounts == {states[0]["BTC"].amount}
    assert is_broken or (len(indexes) == 1 and all(state is states[0] for state in states))


def test_watches_of_the_same_have_errors_of_their_own(with_client):
    """What one of them does with an error, as to raise it or to note for whom it was read, is not for the others."""

    async def has_note_of_another(watch):
        error = (await anext(watch)).failures[0].error
        has_note = hasattr(error, "customer")
        error.customer = "customer 1"
        return has_note

    async def steps(client, *_):
        return await asyncio.gather(*(has_note_of_another(client.watch()) for _ in range(2)))

    assert with_client(steps, Scripted("till", outage("till")), attempts=1) == [False, False]
