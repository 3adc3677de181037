"""What one call has learnt is used by the next: cooldowns of origins and of accounts. Time is virtual."""

import asyncio
import traceback
from itertools import pairwise

import pytest

from balancekit import (
    AuthenticationError,
    IncompleteError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    ServiceUnavailableError,
    TransportError,
)
from tests.support.providers import Bank, QuickTill, Scripted, outage

pytestmark = pytest.mark.filterwarnings("error")


def too_many(account="shop", retry_after=60.0):
    """Make the error of a 429."""
    return RateLimitedError("429", account=account, provider="scripted", status=429, retry_after=retry_after)


class Shop(Scripted):
    """A scripted provider that keeps when its requests were sent, in seconds from the first of all."""

    sent: list

    async def fetch_balances(self, session):
        """Play the next step."""
        self.sent.append(asyncio.get_running_loop().time())
        return await super().fetch_balances(session)


def shops(*scripts):
    """Make accounts at one origin that share a list of the moments at which requests were sent."""
    made = [Shop(f"shop{number}", *script) for number, script in enumerate(scripts)]
    sent = []
    for shop in made:
        shop.sent = sent
    return made


def since_first(sent):
    """Return the moments of requests, in seconds from the first."""
    return [moment - sent[0] for moment in sent]


async def complete_state(client):
    """Wait until a watch shows everything read."""
    async with client.watch() as states:
        while not (merged := await anext(states)).complete:
            pass
    return merged


CALLS = {
    "fetch": lambda client: client.fetch(),
    "fetch with max_age": lambda client: client.fetch(max_age=60),
    "fetch of another account": lambda client: client.fetch(["shop1"]),
    "fetch with stale_while_revalidate": lambda client: client.fetch(stale_while_revalidate=600),
    "stream": lambda client: drain(client.stream()),
    "stream with max_age": lambda client: drain(client.stream(max_age=60)),
}


async def drain(outcomes):
    """Take all outcomes."""
    return [outcome async for outcome in outcomes]


@pytest.mark.parametrize("name", CALLS)
def test_no_request_goes_to_an_origin_before_the_time_that_its_429_asked_for(with_client, name):
    """Whatever is called, for whichever account at the origin, and however often."""
    accounts = shops([too_many()], [])

    async def steps(client, *_):
        await client.fetch(["shop0"])
        for _ in range(12):
            await CALLS[name](client)
            await asyncio.sleep(5)

    with_client(steps, *accounts, deadline=2.0)

    assert not [moment for moment in since_first(accounts[0].sent) if 0 < moment < 60]


def test_a_watch_sends_no_request_during_a_cooldown(with_client):
    """It reads the account again when the cooldown is over, not before, invalidated or not."""
    accounts = shops([too_many()], [])

    async def steps(client, *_):
        watching = asyncio.create_task(complete_state(client))
        for _ in range(5):
            await asyncio.sleep(5)
            await client.invalidate("shop0")
            await client.invalidate("shop1")
        return await watching

    assert with_client(steps, *accounts).amount("BTC") == 2
    assert [moment for moment in since_first(accounts[0].sent) if 0 < moment < 60] == []


def test_retries_that_wait_already_wait_for_the_cooldown_too(with_client):
    """A 503 was to be repeated after a moment, when another account at the origin was sent a 429."""

    async def refuse_after_a_turn():
        await asyncio.sleep(0)
        raise too_many("shop1", 5.0)

    accounts = shops([outage("shop0")], [refuse_after_a_turn], [0.0])

    merged = with_client(lambda client, *_: client.fetch(), *accounts)

    assert merged.complete
    assert [round(moment) for moment in since_first(accounts[0].sent)] == [0, 0, 0, 5, 5]


def test_a_call_whose_deadline_lies_beyond_the_cooldown_waits_for_it(with_client):
    """It sends its request afterwards, and no caller fails who had the time."""
    accounts = shops([too_many(retry_after=5.0)], [])

    async def steps(client, *_):
        await client.fetch(["shop0"], deadline=1)
        return await client.fetch(["shop1"])

    assert with_client(steps, *accounts).complete
    assert since_first(accounts[0].sent)[1] == pytest.approx(5.0)


def test_a_call_that_cannot_wait_fails_at_once_with_the_seconds_that_are_left(with_client):
    """No request is sent, and no time is spent."""
    accounts = shops([too_many()], [])

    async def steps(client, *_):
        await client.fetch(["shop0"])
        await asyncio.sleep(20)
        started = asyncio.get_running_loop().time()
        merged = await client.fetch(["shop1"])
        return merged.failures[0].error, asyncio.get_running_loop().time() - started

    error, took = with_client(steps, *accounts)

    assert isinstance(error, RateLimitedError)
    assert (error.retry_after, took) == (pytest.approx(40), 0)


def test_calls_that_wait_for_a_slot_when_the_429_comes_fail_at_once(with_client):
    """The other forty-nine accounts are neither sent a request nor kept waiting for their deadline."""
    accounts = shops([too_many()], *[[]] * 49)

    async def steps(client, *_):
        started = asyncio.get_running_loop().time()
        merged = await client.fetch()
        return merged.failures, asyncio.get_running_loop().time() - started

    failures, took = with_client(steps, *accounts, concurrency=1)

    assert (len(accounts[0].sent), took) == (1, 0)
    assert {failure.error.retry_after for failure in failures} == {60}


def test_calls_that_wait_to_try_again_when_the_429_comes_fail_at_once(with_client):
    """A retry that the deadline does not allow any more is not waited for."""

    async def refuse_after_a_moment():
        await asyncio.sleep(1)
        raise too_many("shop1")

    accounts = shops([outage("shop0", retry_after=20.0)], [refuse_after_a_moment])

    async def steps(client, *_):
        started = asyncio.get_running_loop().time()
        merged = await client.fetch()
        return merged.failures, asyncio.get_running_loop().time() - started

    failures, took = with_client(steps, *accounts)

    assert took == pytest.approx(1)
    assert [type(failure.error) for failure in failures] == [RateLimitedError] * 2


def test_a_429_that_does_not_say_when_doubles_up_to_a_minute(with_client):
    """One second at first; and again one second after a success."""
    accounts = shops([too_many(retry_after=None)] * 9 + [0.0, too_many(retry_after=None)])

    async def steps(client, *_):
        while accounts[0].script:
            await client.fetch(deadline=100)
        await client.fetch()

    with_client(steps, *accounts, attempts=1, deadline=100.0)

    sent = accounts[0].sent
    gaps = [round(later - earlier) for earlier, later in pairwise(sent)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60, 0, 1]


@pytest.mark.parametrize("retry_after", [0.0, -5.0, float("nan")])
def test_a_429_that_asks_for_no_wait_is_as_one_that_does_not_say_when(with_client, retry_after):
    """It is never repeated at once."""
    accounts = shops([too_many(retry_after=retry_after)] * 3)

    with_client(lambda client, *_: client.fetch(), *accounts, attempts=3)

    assert [int(moment) for moment in since_first(accounts[0].sent)] == [0, 1, 3]


def test_refusals_of_requests_that_were_sent_together_are_one(with_client):
    """Ten accounts that are sent a 429 at the same time do not double the cooldown ten times."""
    accounts = shops(*[[too_many(retry_after=None)]] * 10)

    async def steps(client, *_):
        await client.fetch(deadline=0.5)
        return (await client.fetch(deadline=0.5)).failures[0].error.retry_after

    assert with_client(steps, *accounts) == pytest.approx(1.0)


def test_a_longer_cooldown_is_not_shortened(with_client):
    """A 429 with a short wait, which arrives later, does not end a longer one."""

    async def refuse_late():
        await asyncio.sleep(1)
        raise too_many("shop1", 2.0)

    accounts = shops([too_many()], [refuse_late])

    async def steps(client, *_):
        await client.fetch()
        return client.status()["shop0"].next_attempt - client.status()["shop0"].last_failure

    assert with_client(steps, *accounts).total_seconds() == pytest.approx(60)


def test_an_origin_in_a_cooldown_delays_no_other(with_client):
    """Accounts elsewhere are read in their own time."""
    limited, free = Shop("limited", too_many()), Bank("free", takes=0.1)
    limited.sent = []

    async def steps(client, *_):
        await client.fetch(["limited"])
        started = asyncio.get_running_loop().time()
        merged = await client.fetch()
        return merged, asyncio.get_running_loop().time() - started

    merged, took = with_client(steps, limited, free)

    assert [snapshot.account for snapshot in merged.accounts] == ["free"]
    assert took == pytest.approx(0.1)


def test_an_account_that_failed_is_not_asked_again_at_once(with_client):
    """Callers with `max_age` are given the failure, how old it is, when to come back, and the last balances."""
    shop = Scripted("shop", 0.0, outage("shop"))

    async def steps(client, _):
        await client.fetch(max_age=60)
        await client.fetch()
        await asyncio.sleep(0.75)
        return await client.fetch(max_age=0.5)

    (failure,) = with_client(steps, shop, attempts=1).failures

    assert shop.calls == 2
    assert "(1 s ago)" in str(failure.error)
    assert 0.2 < failure.error.retry_after < 0.5
    assert failure.last_known.stale


def test_a_caller_who_accepts_no_earlier_snapshot_asks_at_once(with_client):
    """Except during a 429, whoever insists on the present balances is given them."""
    shop = Scripted("shop", outage("shop"))

    async def steps(client, _):
        await client.fetch()
        return await client.fetch()

    assert with_client(steps, shop, attempts=1).complete
    assert shop.calls == 2


def requests_in(with_client, seconds, error):
    """Return when requests are sent for an account that fails, with a caller ten times a second."""
    shop = Shop("shop", *[error] * 1000)
    shop.sent = []

    async def steps(client, _):
        for _ in range(seconds * 10):
            await client.fetch(max_age=1)
            await asyncio.sleep(0.1)

    with_client(steps, shop, attempts=1)
    return since_first(shop.sent)


def test_the_cooldown_of_an_account_doubles_up_to_a_minute(with_client):
    """With up to a fifth more, so that accounts that failed together do not come back together."""
    sent = requests_in(with_client, 200, outage("shop"))
    gaps = [later - earlier for earlier, later in pairwise(sent)]

    doubled = [1, 2, 4, 8, 16, 32, 60]
    assert [least for least, gap in zip(doubled, gaps, strict=False) if least <= gap <= least * 1.2 + 0.2] == doubled


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (AuthenticationError("401", account="shop", provider="scripted"), 60),
        (outage("shop", retry_after=25.0), 25),
        (MalformedResponseError("data", account="shop", provider="scripted"), 1),
        (TransportError("reset", account="shop", provider="scripted"), 1),
        (ValueError("odd"), 1),
    ],
    ids=["rejected key", "503 with Retry-After", "malformed", "transport", "the adapter raised"],
)
def test_how_long_a_cooldown_is_depends_on_the_failure(with_client, error, seconds):
    """A rejected key is left alone for a minute, and an account that says when to come back until then."""
    sent = requests_in(with_client, seconds + 15, error)

    assert seconds <= sent[1] <= seconds * 1.2 + 0.2


@pytest.mark.parametrize("end", ["success", "invalidation", "webhook"])
def test_what_ends_a_cooldown(with_client, end):
    """The account is read again at once."""
    till = QuickTill()
    till.broken = True

    async def steps(client, till):
        await client.fetch(max_age=60)
        till.broken = False
        if end == "success":
            await client.fetch()
        elif end == "invalidation":
            await client.invalidate("till")
        else:
            await client.handle_webhook("till", {}, b"event")
        return await client.fetch(max_age=60)

    assert with_client(steps, till, settle_delay=0).complete


def test_a_second_caller_of_an_account_that_hangs_is_answered_at_once(with_client):
    """The first has waited for its deadline, the others have not."""
    hung = Scripted("hung", *[9e9] * 99)

    async def steps(client, _):
        loop, took = asyncio.get_running_loop(), []
        for _ in range(5):
            started = loop.time()
            merged = await client.fetch(max_age=60, deadline=3)
            took.append(loop.time() - started)
            assert not merged.complete
        return took

    took = with_client(steps, hung)

    assert took == [pytest.approx(3, abs=0.1), 0, 0, 0, 0]


def test_each_caller_gets_an_error_of_its_own(with_client):
    """A thousand handlers that raise what they were given do not make its traceback a thousand frames long."""
    till = QuickTill()
    till.broken = True

    async def handler(client):
        try:
            await client.fetch(max_age=60, strict=True)
        except IncompleteError as incomplete:
            try:
                raise incomplete.exceptions[0]
            except ProviderError as error:
                error.add_note("seen")
                return error

    async def steps(client, _):
        errors = await asyncio.gather(*(handler(client) for _ in range(500)))
        errors += [await handler(client) for _ in range(500)]
        merged = client.latest()
        errors.append(merged.failures[0].error)
        return errors

    errors = with_client(steps, till)

    assert len({id(error) for error in errors}) == 1001
    assert max(len(traceback.extract_tb(error.__traceback__)) for error in errors) == 1
    assert {len(error.__notes__) for error in errors[:-1]} == {1}


def test_a_failure_of_an_earlier_request_than_a_success_says_nothing(with_client):
    """A request that hung, while a later one was answered, does not put the account into a cooldown."""

    async def fail_late():
        await asyncio.sleep(5)
        raise outage("shop")

    shop = Scripted("shop", fail_late, 0.0)

    async def steps(client, _):
        slow = asyncio.create_task(client.fetch())
        await asyncio.sleep(1)
        await client.fetch()
        await slow
        return client.status()["shop"], await client.fetch(max_age=60)

    status, merged = with_client(steps, shop, attempts=1)

    assert (status.up, status.next_attempt) == (True, None)
    assert merged.complete


def test_the_status_says_when_an_account_is_asked_again(with_client):
    """The end of its own cooldown, or that of its origin if that is later."""
    accounts = shops(
        [ServiceUnavailableError("503", account="shop0", provider="scripted", retry_after=7)], [too_many()]
    )

    async def steps(client, *_):
        now = client.status()["shop0"]
        await client.fetch(["shop0"], max_age=1)
        first = client.status()["shop0"]
        await client.fetch(["shop1"], max_age=1)
        return now, first, client.status()["shop0"]

    now, first, second = with_client(steps, *accounts, attempts=1)

    assert now.next_attempt is None
    assert (first.next_attempt - first.last_failure).total_seconds() == pytest.approx(7)
    assert (second.next_attempt - second.last_failure).total_seconds() == pytest.approx(60)


def test_callers_who_are_given_the_same_failure_share_what_was_merged(with_client):
    """A thousand callers of a thousand accounts, one of which is down, have the totals merged once."""
    healthy, down = QuickTill("healthy"), QuickTill("down")
    down.broken = True

    async def steps(client, *_):
        return await asyncio.gather(*(client.fetch(max_age=60) for _ in range(10)))

    results = with_client(steps, healthy, down)

    assert len({id(merged.totals) for merged in results}) == 1
    assert len({id(merged.failures[0].error) for merged in results}) == 10
