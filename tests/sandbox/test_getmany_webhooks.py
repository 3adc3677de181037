"""The webhooks of getMany as a receiver sees them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancekit.sandbox import Holding, Sandbox
from balancekit.sandbox.getmany_webhooks import encode_public_key, sign_webhook

HOUR = 3600.0


def test_the_vector_of_the_specification_comes_out():
    """Known parts give the known public key and signature."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    body = b'{"type":"transaction.updated","data":{"id":"tx_1","status":"COMPLETED"}}'

    assert encode_public_key(key) == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert sign_webhook(key, "msg_2b", "1767225600", body) == (
        "v1a,bQt6wiYN5iRcg17aI0f4X8zkn9HqbHwLpmBir9+2S/+i18utQTYSi6rXKrE157fCi9KF5qxDwOJ4F4nB6poQBw=="
    )


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "gateway"])
def test_each_account_has_a_webhook_key_of_its_own(signed):
    """The settings have the public key, 32 bytes in base64, of a pair that no other account has."""
    sandbox = Sandbox(port=1)

    keys = [sandbox.add_getmany(label, signed=signed).settings["webhook_key"] for label in ("one", "two")]

    assert [len(base64.b64decode(key, validate=True)) for key in keys] == [32, 32]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(("given", "value"), [("0.25", "250000"), ("-12.50", "-12500000")], ids=["in", "out"])
async def test_a_settlement_is_a_completed_transaction(sandbox, add, receiver, given, value):
    """The webhook has the amount in the smallest unit, negative if it leaves the account."""
    add("getmany", [Holding("USDC", "12.5", decimals=6, chain="solana")])

    await sandbox.settle("shop", "USDC", given)

    document = receiver.documents[0]
    assert receiver.values_of("Content-Type") == ["application/json"]
    assert (document["type"], document["data"]["status"]) == ("transaction.updated", "COMPLETED")
    assert document["data"]["amount"] == {"value": value, "code": "USDC", "decimals": 6, "chain": "solana"}


@pytest.mark.parametrize(
    ("given", "event_type", "sent"),
    [(None, "transaction.created", "PENDING"), ("FAILED", "transaction.updated", "FAILED")],
    ids=["pending", "given"],
)
async def test_an_announcement_has_the_provider_s_status(sandbox, add, receiver, given, event_type, sent):
    """A pending transaction is created; one with another status is updated."""
    add("getmany")

    delivery = await sandbox.announce("shop", "BTC", "2", status=given)

    document = receiver.documents[0]
    assert (document["type"], document["data"]["status"], delivery.status) == (event_type, sent, sent)


async def test_every_event_has_its_own_id(sandbox, add, receiver):
    """Two events of one transaction are not duplicates of each other."""
    add("getmany")

    announced = await sandbox.announce("shop", "BTC", "1")
    await sandbox.settle("shop", "BTC", "1", transaction=announced.transaction)

    assert len(set(receiver.values_of("webhook-id"))) == 2


async def test_the_provider_gives_up_after_ten_attempts(sandbox, add, receiver, sleep):
    """The waits between the attempts are those of the specification's example."""
    add("getmany")
    receiver.statuses = [500] * 20

    delivery = await sandbox.settle("shop", "BTC", "1")

    assert await delivery.done() is False
    assert sleep.seconds == [5.0, 300.0, *(HOUR * n for n in (0.5, 2, 5, 10, 14, 20, 24))]
    assert len(delivery.attempts) == len(receiver.received) == 10
