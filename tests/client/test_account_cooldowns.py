"""The cooldown of an account that failed: how long it is, what ends it, and what is known in it. Time is virtual."""

import asyncio
import traceback
from itertools import pairwise

import pytest

from balancekit import (
    AuthenticationError,
    IncompleteError,
    MalformedResponseError,
    ProviderError,
    ServiceUnavailableError,
    TransportError,
)
from tests.support.providers import QuickTill, Scripted, outage
from tests.support.shops import Shop, shops, since_first, too_many


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
