"""Accounts that come and go while the client is used: nothing of one that was removed is shown, kept or waited for."""

import asyncio

import pytest

from balancekit import AccountFailure, ConfigError, NotReadError, ProviderError
from balancekit.stores import MemoryStore
from tests.support.clock import LoopClock
from tests.support.providers import QuickTill, Scripted, Till, bitcoin
from tests.support.watching import Seen


class Keyed(QuickTill):
    """A till whose balance is told by its credentials."""

    def __init__(self, account="till", *, key="old", takes=0.1, held="1"):
        super().__init__(account, takes=takes, held=held)
        self.fingerprint = f"{account} {key}"


class TestAdd:
    """What is added is an account like those that were there from the start."""

    def test_it_is_read_with_the_others(self, with_client):
        """By a call that asks for all, also if the result for such callers was known before."""

        async def steps(client, till):
            before = await client.fetch(max_age=60)
            await client.add(QuickTill("other", held="2"))
            after = await client.fetch(max_age=60)
            return before.amount("BTC"), after.amount("BTC"), client.accounts

        assert with_client(steps, QuickTill()) == (1, 3, ("till", "other"))

    def test_a_result_from_before_it_is_not_given_to_later_callers(self, with_client):
        """A fetch that was under way does not know of it; the next one with an age does."""

        async def steps(client, till):
            fetching = asyncio.create_task(client.fetch(max_age=60))
            await asyncio.sleep(0.05)
            await client.add(QuickTill("other", held="2"))
            before = await fetching
            after = await client.fetch(max_age=60)
            return before.amount("BTC"), after.amount("BTC")

        assert with_client(steps, QuickTill()) == (1, 3)

    @pytest.mark.parametrize(
        ("provider", "reason"),
        [
            (QuickTill(), "a second account is labelled 'till'"),
            (Keyed("other", key="same"), "'other' would be counted twice: .* as 'till'"),
            ("till", "str is no BalanceProvider: it lacks account, provider, fetch_balances"),
            (QuickTill, "type is no BalanceProvider: it lacks account"),
            (None, "NoneType is no BalanceProvider"),
            (QuickTill(""), "provider: "),
        ],
        ids=["label", "credentials", "text", "class", "None", "empty label"],
    )
    def test_what_cannot_be_added_changes_nothing(self, with_client, provider, reason):
        """The error says what is wrong, and the accounts are those of before."""
        till = QuickTill()
        if isinstance(provider, Keyed):
            till.fingerprint = provider.fingerprint

        async def steps(client, till):
            with pytest.raises(ConfigError, match=reason):
                await client.add(provider)
            return client.accounts, (await client.fetch()).amount("BTC")

        assert with_client(steps, till) == (("till",), 1)

    def test_a_watch_of_all_follows(self, with_client):
        """It shows the account as soon as it is read."""

        async def steps(client, till):
            async with client.watch() as states:
                first = await anext(states)
                await client.add(QuickTill("other", held="2"))
                later = await anext(states)
                while not later.complete:
                    later = await anext(states)
            return first.amount("BTC"), later.amount("BTC")

        assert with_client(steps, QuickTill()) == (1, 3)

    def test_one_that_cannot_be_shared_is_logged(self, with_client, caplog):
        """As it is if a client begins with it; its label tells nobody else's account from it."""

        async def steps(client, till):
            await client.add(Scripted("nameless"))

        with_client(steps, QuickTill(), store=MemoryStore(clock=LoopClock()))

        assert [record.getMessage() for record in caplog.records] == [
            "not shared through the store, since nothing distinguishes it from other accounts: nameless"
        ]


class TestRemove:
    """What is removed is gone at once, for all."""

    def test_a_read_under_way_is_dropped(self, with_client):
        """Its callers get a failure that says so, at once, and what it brings is kept nowhere."""

        async def steps(client, till, other):
            loop = asyncio.get_running_loop()
            started = loop.time()
            reads = [asyncio.create_task(client.fetch(max_age=age)) for age in (0, 60)]
            await asyncio.sleep(1)
            await client.remove("till")
            merged = [await read for read in reads]
            return [str(one.failures[0].error) for one in merged], loop.time() - started, client.accounts

        errors, took, accounts = with_client(steps, Till(takes=20), QuickTill("other"))

        assert errors == ["till (till): the account was removed from the client"] * 2
        assert (took, accounts) == (1, ("other",))

    def test_a_result_from_before_it_is_not_given_to_later_callers(self, with_client):
        """A fetch that had the account already when it was removed leaves nothing of it for the next."""

        async def steps(client, quick, slow):
            fetching = asyncio.create_task(client.fetch(max_age=60))
            await asyncio.sleep(0.5)
            await client.remove("quick")
            before = await fetching
            after = await client.fetch(max_age=60)
            return [one.account for one in before.accounts], [one.account for one in after.accounts]

        assert with_client(steps, QuickTill("quick"), Till("slow")) == (["quick", "slow"], ["slow"])

    def test_an_account_that_is_queued_is_not_read(self, with_client):
        """Without a slot it had no request, and gets none."""

        async def steps(client, slow, queued):
            fetching = asyncio.create_task(client.fetch())
            await asyncio.sleep(0.5)
            await client.remove("queued")
            merged = await fetching
            return [failure.account for failure in merged.failures], queued.requests

        assert with_client(steps, Till("slow"), QuickTill("queued"), concurrency=1) == (["queued"], 0)

    def test_an_account_that_waits_for_its_next_attempt_is_not_read(self, with_client):
        """Its retry is dropped, and the call does not wait for it."""

        async def steps(client, broken):
            broken.broken = True
            fetching = asyncio.create_task(client.fetch())
            await asyncio.sleep(5)
            await client.remove("till")
            merged = await fetching
            await asyncio.sleep(100)
            return str(merged.failures[0].error), broken.requests

        class Retried(QuickTill):
            async def fetch_balances(self, session):
                self.requests += 1
                raise ProviderError("503", account=self.account, provider="till", retryable=True, retry_after=10)

        assert with_client(steps, Retried()) == (
            "till (till): the account was removed from the client",
            1,
        )

    def test_an_account_that_is_being_looked_up_is_not_read(self, with_client):
        """A store that takes a while does not make a request of it."""

        class Slow(MemoryStore):
            async def get(self, keys):
                await asyncio.sleep(0.3)
                return await super().get(keys)

        async def steps(client, till):
            fetching = asyncio.create_task(client.fetch(max_age=60))
            await asyncio.sleep(0.1)
            await client.remove("till")
            merged = await fetching
            return str(merged.failures[0].error), till.requests

        error, requests = with_client(steps, QuickTill(), store=Slow(clock=LoopClock()))

        assert "the account was removed" in error
        assert requests == 0

    def test_a_stream_gives_the_failure_in_its_turn(self, with_client):
        """Also if it is the consumer of the stream that removes the account."""

        async def steps(client, quick, slow):
            outcomes = []
            async for outcome in client.stream():
                outcomes.append((outcome.account, isinstance(outcome, AccountFailure)))
                if outcome.account == "quick":
                    await client.remove("slow")
            return outcomes

        assert with_client(steps, QuickTill("quick"), Till("slow", takes=20)) == [("quick", False), ("slow", True)]

    def test_watches_go_on_without_it(self, with_client):
        """One of all accounts, and one that asked for it by its label."""

        async def steps(client, till, other):
            async with client.watch() as all_, client.watch(["till", "other"]) as named:
                states = [await anext(all_), await anext(named)]
                await client.remove("till")
                states += [await anext(all_), await anext(named)]
            return [sorted(one.account for one in merged.accounts) for merged in states]

        states = with_client(steps, QuickTill(), QuickTill("other"))

        assert states == [["other", "till"]] * 2 + [["other"]] * 2

    def test_a_second_look_is_dropped(self, with_client):
        """What was to be looked at again after a webhook is not."""

        async def steps(client, till):
            async with client.watch() as states:
                await anext(states)
                await client.handle_webhook("till", {}, b"1")
                await asyncio.sleep(2)
                await client.remove("till")
                requests = till.requests
                await asyncio.sleep(60)
            return till.requests - requests

        assert with_client(steps, QuickTill()) == 0

    def test_a_second_look_is_not_begun_for_it(self, with_client):
        """The webhook's event was still being written to the store when the account was removed."""

        class Slow(MemoryStore):
            invalidations = 0

            async def invalidate(self, key):
                self.invalidations += 1
                await asyncio.sleep(0.3)
                await super().invalidate(key)

        store = Slow(clock=LoopClock())

        async def steps(client, till):
            handling = asyncio.create_task(client.handle_webhook("till", {}, b"1"))
            await asyncio.sleep(0.1)
            await client.remove("till")
            await handling
            await asyncio.sleep(60)
            return store.invalidations

        assert with_client(steps, QuickTill(), store=store) == 1

    @pytest.mark.parametrize("label", ["other", "", None, 5])
    def test_an_unknown_label_is_an_error(self, with_client, label):
        """Nothing is removed."""

        async def steps(client, till):
            with pytest.raises(ConfigError, match="no account is labelled"):
                await client.remove(label)
            return client.accounts

        assert with_client(steps) == ("till",)

    def test_one_whose_credentials_were_changed_meanwhile_is_removed(self, with_client):
        """What distinguishes it is what did so when it was added, and its credentials may be used again."""

        async def steps(client, till):
            till.fingerprint = "till rotated"
            await client.remove("till")
            await client.add(Keyed())
            return client.accounts

        assert with_client(steps, Keyed()) == ("till",)

    def test_a_removed_account_is_unknown_to_every_call(self, with_client):
        """As one that never was."""

        async def steps(client, till, other):
            await client.fetch()
            await client.remove("till")
            for call in (client.fetch, client.latest, client.watch, client.stream):
                with pytest.raises(ConfigError, match="no account is labelled 'till'"):
                    await call(["till"])
            with pytest.raises(ConfigError, match="no account is labelled 'till'"):
                await client.invalidate("till")
            return list(client.status()), [one.account for one in client.latest().accounts]

        assert with_client(steps, QuickTill(), QuickTill("other")) == (["other"], ["other"])


class TestAddAgain:
    """A label that is used again means another account, unless the credentials are the same."""

    @pytest.mark.parametrize("shares", [False, True], ids=["own store", "shared store"])
    def test_nothing_of_the_old_one_is_shown(self, with_client, shares):
        """Neither its balances, nor its failure, nor its status."""

        async def steps(client, old):
            await client.fetch(max_age=60)
            old.broken = True
            await client.fetch()
            await client.remove("till")
            await client.add(Keyed(key="new", held="5"))
            latest, status = client.latest(), client.status()["till"]
            return type(latest.failures[0].error), latest.accounts, status.up, await client.fetch(max_age=3600)

        store = MemoryStore(clock=LoopClock()) if shares else None
        error, accounts, up, merged = with_client(steps, Keyed(), store=store)

        assert (error, accounts, up) == (NotReadError, (), None)
        assert merged.amount("BTC") == 5

    def test_what_the_old_one_answers_late_is_not_shown(self, with_client):
        """Not even if its request cannot be ended."""

        class Stubborn(Keyed):
            async def fetch_balances(self, session):
                while True:
                    try:
                        await asyncio.sleep(3)
                    except asyncio.CancelledError:
                        continue
                    return bitcoin(self, "1")

        async def steps(client, old):
            fetching = asyncio.create_task(client.fetch(max_age=60))
            await asyncio.sleep(1)
            await client.remove("till")
            await client.add(Keyed(key="new", held="5", takes=1))
            first = await client.fetch(max_age=60)
            await fetching
            await asyncio.sleep(10)
            return first.amount("BTC"), client.latest().amount("BTC"), (await client.fetch(max_age=60)).amount("BTC")

        assert with_client(steps, Stubborn()) == (5, 5, 5)

    def test_a_watch_of_its_label_follows(self, with_client):
        """It shows the new account under the label that it was asked for."""

        async def steps(client, old):
            async with client.watch(["till"]) as states:
                amounts = [(await anext(states)).amount("BTC")]
                await client.remove("till")
                await anext(states)
                await client.add(Keyed(key="new", held="5"))
                while not (merged := await anext(states)).complete:
                    pass
                amounts.append(merged.amount("BTC"))
            return amounts

        assert with_client(steps, Keyed()) == [1, 5]

    @pytest.mark.parametrize("shares", [False, True], ids=["own store", "shared store"])
    def test_what_is_booked_after_an_event_of_the_old_one_is_seen(self, with_client, shares):
        """Its key was rotated between a webhook and the second look: the account is the same."""

        async def steps(client, old):
            new, seen = Keyed(key="new"), Seen(client)
            await asyncio.sleep(1)
            await client.handle_webhook("till", {}, b"1")
            await asyncio.sleep(1)
            await client.remove("till")
            await client.add(new)
            await asyncio.sleep(1)
            new.held, before = "9", seen.states[-1].amount("BTC")
            await asyncio.sleep(60)
            return before, seen.states[-1].amount("BTC")

        store = MemoryStore(clock=LoopClock()) if shares else None
        assert with_client(steps, Keyed(), store=store) == (1, 9)
