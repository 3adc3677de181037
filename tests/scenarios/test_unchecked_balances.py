"""Balances that were made around their constructor: the failure of their account alone."""

import functools
from decimal import Decimal

import pytest

from balancekit import AggregateClient, AssetType, Balance, HttpProvider, MalformedResponseError, Request, Response
from balancekit.money.balances import BalanceDraft, finish_balances
from tests.support.providers import Scripted


def forged(**fields):
    """Make a balance, and change it as unpickling could."""
    balance = Balance("USD", Decimal(1), AssetType.FIAT, "bad", "scripted", "USD")
    for name, value in fields.items():
        object.__setattr__(balance, name, value)
    return balance


class Lazy(Balance):
    """A balance that looks up its amount."""

    @property
    def amount(self):
        """Fail."""
        raise RuntimeError("no amount")

    @amount.setter
    def amount(self, value):
        """Forget it."""


WRONG = {
    "float": forged(amount=0.1), "bool": forged(amount=True), "text": forged(amount="7"), "none": forged(amount=None),
    "nan": forged(amount=Decimal("NaN")), "signaling": forged(amount=Decimal("sNaN")),
    "infinite": forged(amount=Decimal("Infinity")), "huge": forged(amount=Decimal("1e999999")),
    "available": forged(available=0.1), "pending": forged(pending=True), "code": forged(code=None),
    "currency": forged(currency=[]), "chain": forged(chain=7), "reference": forged(reference=7),
    "type": forged(asset_type="gold"), "empty": object.__new__(Balance),
    "derived": Lazy("USD", Decimal(1), AssetType.FIAT, "bad", "scripted", "USD"), "other": {"amount": 1},
}  # fmt: skip


class Bad(HttpProvider):
    """An adapter that gives what it is made with."""

    provider = "scripted"

    def __init__(self, balances):
        super().__init__("bad", base_url="http://127.0.0.1:9")
        self.balances = balances

    def build_request(self, *, now, nonce):
        """Build nothing of use."""
        return Request("GET", self.base_url)

    def read_response(self, response):
        """Give them."""
        return self.balances


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_no_constructor_has_checked_is_checked(monkeypatch, wrong):
    """A float, a bool or a NaN is in no total, and the other accounts are read."""

    async def send(session, request):
        return Response(200)

    monkeypatch.setattr("balancekit.providers.base.send", send)
    for bad in (Scripted("bad", [wrong]), Bad([wrong])):
        async with AggregateClient([bad, Scripted("good")], attempts=1) as client:
            merged = await client.fetch()

        assert [(one.account, type(one.error)) for one in merged.failures] == [("bad", MalformedResponseError)]
        assert merged.failures[0].error.message.startswith("balances[0]")
        assert merged.amount("BTC", partial=True) == 1


class Decorated(Bad):
    """An adapter whose method has the name and the module of the base class's."""

    @functools.wraps(HttpProvider.fetch_balances)
    async def fetch_balances(self, session):
        """Give them without reading anything."""
        return self.balances


async def test_a_decorated_fetch_is_checked():
    """An iterator that ends early would lose balances, and a float would be in a total."""
    for wrong in (map(next, [iter(())]), [forged(amount=0.1)]):
        async with AggregateClient([Decorated(wrong)], attempts=1) as client:
            merged = await client.fetch()

        assert type(merged.failures[0].error) is MalformedResponseError


async def test_what_is_constructed_with_other_texts_is_as_if_it_had_been_checked():
    """A currency is counted by its code in upper case."""
    draft = BalanceDraft()
    draft.currency = draft.code = "usd"
    draft.amount, draft.asset_type = Decimal(1), "fiat"
    draft.chain = draft.reference = None

    async with AggregateClient([Scripted("bad", finish_balances("bad", "scripted", [draft]))]) as client:
        merged = await client.fetch()

    assert merged["USD", AssetType.FIAT].amount == 1
