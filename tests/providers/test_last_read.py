"""A response that is the same as the last one is not read again."""

import copy
import functools
import gc
import json
import pickle
from datetime import UTC, datetime

import pytest

from balancekit import (
    AccountBalances,
    AggregateClient,
    Balance,
    CryptoprocessingProvider,
    GetManyProvider,
    MalformedResponseError,
    Response,
)
from balancekit.http.last_read import keep_no_longer_than
from balancekit.money.exact_json import ShapeError

NOW = datetime(2026, 1, 1, tzinfo=UTC)

ENTRY = {"currency": "USDC", "type": "crypto", "balance": "12.50"}


def response(*entries, **headers):
    """Make a response of Cryptoprocessing that lists these entries."""
    return Response(200, headers, json.dumps({"data": entries}).encode())


@pytest.fixture
def shop():
    """Make an account."""
    return CryptoprocessingProvider("shop", key="key", secret="secret", base_url="https://gateway.example")


async def test_the_same_body_again_gives_the_same_balances(wire, shop):
    """Nothing is made anew, so that what was kept of the last read is kept once."""
    wire.outcome = response(ENTRY)

    first = await shop.fetch_balances(None)
    wire.outcome = response(ENTRY)

    assert await shop.fetch_balances(None) is first
    assert len(wire.requests) == 2


@pytest.mark.parametrize("balance", ["12.51", "12.5", "12.500", "-12.50"])
async def test_a_body_that_differs_in_one_character_is_read(wire, shop, balance):
    """A digit, a zero at the end or a sign is enough, and so it is on the way back."""
    for text in ("12.50", balance, "12.50"):
        wire.outcome = response({**ENTRY, "balance": text})

        (held,) = await shop.fetch_balances(None)

        assert held.plain == text


async def test_a_body_that_was_refused_is_refused_again(wire, shop):
    """Only balances are kept; what they were before does not stand in for them."""
    wire.outcome = response(ENTRY)
    before = await shop.fetch_balances(None)
    for _ in range(2):
        wire.outcome = response({**ENTRY, "balance": "lots"})
        with pytest.raises(MalformedResponseError, match="not a plain decimal"):
            await shop.fetch_balances(None)
    wire.outcome = response(ENTRY)

    assert await shop.fetch_balances(None) == before


async def test_the_same_body_from_a_cache_is_refused(wire, shop):
    """Headers count as they do for a new body."""
    wire.outcome = response(ENTRY)
    await shop.fetch_balances(None)
    wire.outcome = response(ENTRY, Age="3600")

    with pytest.raises(MalformedResponseError, match="cache"):
        await shop.fetch_balances(None)


async def test_each_account_reads_its_own_response(wire):
    """The same body in two accounts is a balance of each."""
    wire.outcome = Response(
        200, {}, b'{"data": [{"id": "1", "balance": {"code": "EUR", "value": "5", "decimals": 2}}]}'
    )
    for label in ("shop", "till", "shop"):
        account = GetManyProvider(label, base_url="https://gateway.example")

        (held,) = await account.fetch_balances(None)

        assert held.account == label


async def test_an_adapter_that_reads_by_itself_is_asked_each_time(wire):
    """It may go by more than the body, such as a header or the time."""

    class Counting(CryptoprocessingProvider):
        """Counts how often it reads."""

        read = 0

        def read_response(self, response):
            """Count, and read as the API's adapter does."""
            self.read += 1
            return super().read_response(response)

    shop = Counting("shop", key="key", secret="secret", base_url="https://gateway.example")
    for _ in range(2):
        wire.outcome = response(ENTRY)
        await shop.fetch_balances(None)

    assert shop.read == 2


class Reading(CryptoprocessingProvider):
    """Notes what it has read, and makes classes without its base class's part in it."""

    seen = ()

    @classmethod
    def __init_subclass__(cls):
        """Take nothing."""


class OwnReading(Reading):
    """Reads by itself."""

    def read_response(self, response):
        """Note that, and read as the API's adapter does."""
        self.seen = (*self.seen, response)
        return super().read_response(response)


def given_its_reading(*args, **settings):
    """Make an adapter that is given what reads when it is made already."""
    made = Reading(*args, **settings)

    def read(response):
        made.seen = (*made.seen, response)
        return CryptoprocessingProvider.read_response(made, response)

    made.read_response = read
    return made


@pytest.mark.parametrize("make", [OwnReading, given_its_reading])
async def test_an_own_read_response_is_called_each_time(wire, make):
    """Neither its class need say so, nor need it be its class's."""
    shop = make("shop", key="key", secret="secret", base_url="https://gateway.example")
    for _ in range(2):
        wire.outcome = response(ENTRY)
        await shop.fetch_balances(None)

    assert len(shop.seen) == 2


async def test_an_adapter_whose_reading_is_decorated_is_asked_each_time(wire):
    """A decorator gives what it decorates the name and the module of the API's own adapter."""

    class Limited(CryptoprocessingProvider):
        """Refuses what a header says is a part."""

        @functools.wraps(CryptoprocessingProvider.read_response)
        def read_response(self, response):
            """Read as the API's adapter does, if it is all."""
            if "X-Partial" in response.headers:
                raise ShapeError("a part")
            return super().read_response(response)

    shop = Limited("shop", key="key", secret="secret", base_url="https://gateway.example")
    wire.outcome = response(ENTRY)
    await shop.fetch_balances(None)
    wire.outcome = response(ENTRY, **{"X-Partial": "1"})

    with pytest.raises(MalformedResponseError, match="a part"):
        await shop.fetch_balances(None)


async def test_nothing_is_kept_of_what_nobody_keeps(sandbox):
    """A stream whose caller keeps nothing leaves no balances behind, however many accounts it reads."""
    shops = [GetManyProvider(label, **sandbox.add_getmany(label, {"BTC": "1"}).settings) for label in ("shop", "till")]

    def count():
        gc.collect()
        return sum(type(one) is Balance for one in gc.get_objects())

    async with AggregateClient(shops) as client:
        before = count()
        async for outcome in client.stream():
            assert outcome.balances
            del outcome

        assert count() == before


async def test_an_adapter_that_has_read_can_be_copied_and_sent(wire):
    """What was read last stays behind; the account is read as if for the first time."""
    wire.outcome = Response(200, {}, b'{"data": []}')
    shop = GetManyProvider("shop", base_url="https://gateway.example")
    keep_no_longer_than(AccountBalances("shop", "getmany", await shop.fetch_balances(None), NOW), shop)

    for another in (pickle.loads(pickle.dumps(shop)), copy.deepcopy(shop)):
        assert await another.fetch_balances(None) == ()
