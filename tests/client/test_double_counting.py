"""A balance that two accounts list is counted once, and the other account fails."""

import asyncio
from contextlib import aclosing
from decimal import Decimal

import attrs
import pytest

from balancekit import AggregateClient, GetManyProvider, MalformedResponseError, ServiceUnavailableError
from tests.support.loopback_origin import LoopbackOrigin, raw_response
from tests.support.providers import Scripted, outage


def held(account, reference, amount="1", code="BTC", chain=None):
    """Return an account that lists one balance under an id, each time that it is read."""
    provider = Scripted(account)
    (balance,) = provider.balances(amount)
    provider.balances = lambda: [attrs.evolve(balance, reference=reference, currency=code, code=code, chain=chain)]
    return provider


def slow(provider, seconds=1.0):
    """Have the account respond later than others."""
    provider.script = [seconds]
    return provider


@pytest.mark.parametrize("is_slow", [False, True], ids=["given first arrives first", "given first arrives last"])
def test_a_balance_with_the_same_id_in_two_accounts_is_counted_once(fetch, is_slow):
    """Two keys of one account are two accounts to the client: the one that is given later fails, and says why."""
    first = slow(held("shop", "b-1")) if is_slow else held("shop", "b-1")

    merged = fetch([first, held("again", "b-1"), held("other", "b-2", "0.5")]).merged

    assert merged.amount("BTC", partial=True) == Decimal("1.5")
    assert not merged.complete
    (failure,) = merged.failures
    assert (failure.account, type(failure.error), failure.error.retryable) == ("again", MalformedResponseError, False)
    assert failure.last_known is None
    assert str(failure.error) == (
        "again (scripted): the BTC balance with the id 'b-1' is in account 'shop' too, and would be counted twice. "
        "Both may be one account with two keys: remove one of them"
    )


@pytest.mark.parametrize(
    "other",
    [held("other", None), held("other", "b-2"), held("other", "b-1", code="EUR"), held("other", "b-1", chain="tron")],
    ids=["no id", "another id", "another currency", "another chain"],
)
def test_other_balances_are_counted(fetch, other):
    """A wallet may have one id for all its currencies, and some providers have none."""
    assert fetch([held("shop", "b-1"), other]).merged.complete


async def test_each_of_the_two_accounts_can_be_read_by_itself():
    """Nothing is counted twice in a result of one account; and a result that is used again is the same."""
    async with AggregateClient([held("shop", "b-1"), held("again", "b-1")]) as client:
        assert (await client.fetch(["again"])).complete
        both = await client.fetch(max_age=60)
        assert [failure.account for failure in both.failures] == ["again"]
        assert await client.fetch(max_age=60) == both


async def test_a_stale_snapshot_does_not_count_a_balance_twice_either():
    """The fresh one of two stays, although it is given later; the failure of the other is as it was."""
    shop = held("shop", "b-1")
    async with AggregateClient([shop, held("again", "b-1")], attempts=1) as client:
        await client.fetch(["shop"])
        shop.script = [outage("shop")]
        merged = await client.fetch(stale_if_error=3600)

    assert merged.amount("BTC", partial=True) == 1
    assert [snapshot.account for snapshot in merged.accounts] == ["again"]
    (failure,) = merged.failures
    assert (failure.account, type(failure.error)) == ("shop", ServiceUnavailableError)


async def test_a_stream_gives_each_account_by_itself():
    """It sums nothing, and remembers no ids, so that any number of accounts takes little memory."""
    accounts = [held("shop", "b-1"), held("again", "b-1")]
    async with AggregateClient(accounts) as client, aclosing(client.stream()) as outcomes:
        references = [outcome.balances[0].reference async for outcome in outcomes]

    assert references == ["b-1", "b-1"]


async def test_two_getmany_accounts_that_are_one_are_found():
    """Behind a gateway accounts differ by their path, and one path may have been written twice in two ways."""
    origin = LoopbackOrigin()
    origin.response = raw_response(200, b'{"data":[{"id":"b-1","balance":{"value":"15","code":"EUR","decimals":1}}]}')
    await origin.start()
    accounts = [GetManyProvider(label, base_url=f"{origin.url}/{label}") for label in ("a", "b")]

    async with AggregateClient(accounts) as client:
        merged = await client.fetch()
    await origin.stop()

    assert merged.amount("EUR", partial=True) == Decimal("1.5")
    assert [failure.account for failure in merged.failures] == ["b"]


@pytest.mark.parametrize(("reference", "counted"), [("b-1", 2), ("0123456789abcdef", 1)], ids=["short", "long"])
async def test_an_account_at_two_addresses_is_found_by_ids_that_are_unique(reference, counted):
    """Nobody gives out an id of 16 characters twice; a short one may be of one origin alone."""
    origin = LoopbackOrigin()
    body = b'{"data":[{"id":"%s","balance":{"value":"1","code":"EUR","decimals":0}}]}' % reference.encode()
    origin.response = raw_response(200, body)
    await origin.start()
    urls = origin.url, origin.url.replace("127.0.0.1", "localhost")
    accounts = [GetManyProvider(label, base_url=f"{url}/{label}") for label, url in zip("ab", urls, strict=True)]

    async with AggregateClient(accounts) as client:
        merged = await client.fetch()
    await origin.stop()

    assert merged.amount("EUR", partial=True) == counted
    assert merged.complete is (counted == 2)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
def test_an_account_that_goes_while_a_call_goes_on_is_counted_at_its_own_origin(with_client, is_replaced):
    """It still lists what the other one lists, although the id is short and the origin is not among the client's."""
    successor = held("shop", "b-9")
    successor.provider = "elsewhere"

    async def steps(client, *_):
        fetching = asyncio.create_task(client.fetch())
        await asyncio.sleep(0.5)
        await client.remove("shop")
        if is_replaced:
            await client.add(successor)
        return await fetching

    merged = with_client(steps, held("shop", "b-1"), slow(held("again", "b-1")))

    assert merged.amount("BTC", partial=True) == 1
    assert [failure.account for failure in merged.failures] == ["shop"]


async def test_a_balance_that_an_account_lists_twice_fails_that_account():
    """An adapter that reads a page twice would count it twice."""
    shop, other = held("shop", "b-1"), held("other", "b-2")
    shop.script = [shop.balances() * 2]
    async with AggregateClient([shop, other]) as client:
        merged = await client.fetch()

    assert merged.amount("BTC", partial=True) == 1
    (failure,) = merged.failures
    assert type(failure.error) is MalformedResponseError
    assert str(failure.error).startswith("shop (scripted): the BTC balance with the id 'b-1' is listed twice")
