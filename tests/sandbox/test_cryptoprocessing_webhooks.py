"""The callbacks of Cryptoprocessing as a receiver sees them."""

import pytest

MINUTE = 60.0


@pytest.mark.parametrize(
    ("given", "kind", "sent"), [("0.010", "deposit", "0.010"), ("-12.50", "withdrawal", "12.50")], ids=["in", "out"]
)
async def test_a_settlement_is_a_confirmed_deposit_or_withdrawal(sandbox, add, receiver, given, kind, sent):
    """The callback has the transaction's number and the amount without a sign, at its own scale."""
    add("cryptoprocessing", {"BTC": "0.04"})

    delivery = await sandbox.settle("shop", "BTC", given)

    amount = {"currency": "BTC", "amount": sent}
    assert receiver.values_of("Content-Type") == ["application/json"]
    assert receiver.documents == [
        {
            "id": delivery.transaction,
            "type": kind,
            "status": "confirmed",
            "currency_sent": amount,
            "currency_received": amount,
        }
    ]


@pytest.mark.parametrize(
    ("given", "sent"), [(None, "not_confirmed"), ("cancelled", "cancelled")], ids=["pending", "given"]
)
async def test_an_announcement_has_the_provider_s_status(sandbox, add, receiver, given, sent):
    """A transaction that is announced is not confirmed, unless a status is given."""
    add("cryptoprocessing")

    delivery = await sandbox.announce("shop", "BTC", "2", status=given)

    assert receiver.documents[0]["status"] == delivery.status == sent


async def test_the_provider_gives_up_after_thirteen_attempts(sandbox, add, receiver, sleep):
    """The waits between the attempts are those of the documentation."""
    add("cryptoprocessing")
    receiver.statuses = [500] * 20

    delivery = await sandbox.settle("shop", "BTC", "1")

    assert await delivery.done() is False
    assert sleep.seconds == [MINUTE * n for n in (1, 5, 15, 30, 60, 90, 120, 180, 240, 240, 240, 240)]
    assert len(delivery.attempts) == len(receiver.received) == 13
