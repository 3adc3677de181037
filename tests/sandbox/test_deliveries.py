"""The delivery of webhooks: attempts, retries, duplicates, and the log of them."""

import asyncio

import pytest

from balancekit import GetManyProvider
from balancekit.sandbox import Holding, Sandbox
from tests.support.loopback_origin import LoopbackOrigin

NOW = 1767225600
PROVIDERS = ("cryptoprocessing", "getmany")


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_retries_end_with_the_first_success(sandbox, add, receiver, sleep, status):
    """Any 2xx status accepts a delivery; a redirect does not, and is not followed."""
    add("cryptoprocessing")
    receiver.statuses = [503, 302, 399, status, 500]

    delivery = await sandbox.settle("shop", "BTC", "1")

    assert await delivery.done() is True
    assert [attempt.status for attempt in delivery.attempts] == [503, 302, 399, status]
    assert [path for path, _, _ in receiver.received] == ["/shop"] * 4
    assert sleep.seconds == [60.0, 300.0, 900.0]


async def test_a_retry_is_the_same_event_signed_anew(receiver, clock):
    """The id stays, the timestamp is that of the attempt, and each attempt is genuine when it arrives."""

    async def sleep(seconds):
        clock.now += seconds

    async with Sandbox(clock=clock, sleep=sleep) as sandbox:
        account = sandbox.add_getmany("till", webhook_url=receiver.url)
        receiver.statuses = [500, 500]

        delivery = await sandbox.settle(account, "BTC", "1")
        await delivery.done()

        times = [NOW, NOW + 5, NOW + 305]
        adapter = GetManyProvider("till", **account.settings)
        events = {
            adapter.verify_webhook(headers, body, now=time)
            for time, (_, headers, body) in zip(times, receiver.received, strict=True)
        }
        assert [attempt.at for attempt in delivery.attempts] == times
        assert receiver.values_of("webhook-timestamp") == [str(time) for time in times]
        assert len(events) == 1


async def test_an_attempt_has_what_was_sent(sandbox, add, receiver):
    """Its headers and its body are those that arrived."""
    add("getmany")

    delivery = await sandbox.settle("shop", "BTC", "1")

    (attempt,), (_, headers, body) = delivery.attempts, receiver.received[0]
    assert attempt.body == body
    assert {name: headers[name] for name in attempt.headers} == dict(attempt.headers)
    assert (attempt.at, attempt.status, attempt.error, attempt.accepted) == (NOW, 200, None, True)


async def test_a_refused_connection_is_the_error_of_the_attempt(sandbox, add, sleep):
    """A receiver that is down is tried again like one that rejects."""
    add("cryptoprocessing").webhook_url = "http://127.0.0.1:1/"
    sleep.held = True

    delivery = await sandbox.settle("shop", "BTC", "1")

    assert [(one.status, one.accepted, one.error.partition(":")[0]) for one in delivery.attempts] == [
        (None, False, "ClientConnectorError")
    ]


async def test_a_receiver_that_sends_the_key_back_shows_it_nowhere(sandbox, add, sleep, same_keys):
    """The error of the attempt has neither it nor the signature."""
    account = add("cryptoprocessing")
    origin = LoopbackOrigin()
    await origin.start()
    account.webhook_url, sleep.held = origin.url, True
    origin.response = f"HTTP/1.1 403 No\r\nbad key {account.settings['key']}\r\n\r\n".encode()

    delivery = await sandbox.settle("shop", "BTC", "1")

    await origin.stop()
    (attempt,) = delivery.attempts
    assert attempt.error.startswith("ClientResponseError: the response is no HTTP: ")
    assert account.settings["key"][:6] not in attempt.error


async def test_an_attempt_ends_with_its_timeout(receiver, sleep):
    """A receiver that hangs does not delay the next attempt beyond that."""
    async with Sandbox(sleep=sleep, webhook_timeout=0.02) as sandbox:
        sandbox.add_getmany("till", webhook_url=receiver.url)
        receiver.responding.clear()
        sleep.held = True

        delivery = await sandbox.settle("till", "BTC", "1")

        assert [attempt.error.partition(":")[0] for attempt in delivery.attempts] == ["TimeoutError"]


async def test_an_account_without_a_receiver_settles_nothing(sandbox):
    """The error says what to do: give it one, or write the webhook that no server receives."""
    sandbox.add_getmany("shop")

    with pytest.raises(RuntimeError, match=r"'shop' has no webhook_url: set the address .* or use write_webhook"):
        await sandbox.settle("shop", "BTC", "1")

    assert sandbox.deliveries == ()


async def test_closing_ends_an_attempt(receiver, until):
    """A delivery that hangs is dropped at once, no task is left, and the caller gets it back."""
    before = asyncio.all_tasks()
    sandbox = Sandbox(webhook_timeout=3600.0)
    sandbox.add_getmany("till", webhook_url=receiver.url)
    receiver.responding.clear()
    await sandbox.start()
    settling = asyncio.create_task(sandbox.settle("till", "BTC", "1"))
    await until(lambda: receiver.received)

    await sandbox.aclose()
    delivery = await settling

    assert await delivery.done() is False
    assert [attempt.error for attempt in delivery.attempts] == ["the sandbox closed"]
    await until(lambda: asyncio.all_tasks() == before)


async def test_closing_ends_the_retries(sandbox, add, receiver, sleep, until):
    """No attempt follows, not even after the sandbox is started again."""
    add("getmany")
    receiver.statuses = [500]
    sleep.held = True
    delivery = await sandbox.settle("shop", "BTC", "1")
    await until(lambda: sleep.seconds)

    await sandbox.aclose()
    await sandbox.start()

    assert await delivery.done() is False
    assert len(delivery.attempts) == 1
    assert (await sandbox.settle("shop", "BTC", "1")).accepted


async def test_closing_before_the_first_attempt_ends_the_delivery(sandbox, add, receiver):
    """A delivery whose task has not run yet does not hang."""
    add("getmany")
    settling = asyncio.create_task(sandbox.settle("shop", "BTC", "1"))
    await asyncio.sleep(0)

    await sandbox.aclose()

    delivery = await settling
    assert (delivery.attempts, await delivery.done(), receiver.received) == ((), False, [])


async def test_a_delivery_outlives_a_cancelled_caller(sandbox, add, receiver, until):
    """A provider delivers whatever becomes of the program that caused the event."""
    add("getmany")
    receiver.responding.clear()
    settling = asyncio.create_task(sandbox.settle("shop", "BTC", "1"))
    await until(lambda: receiver.received)

    settling.cancel()
    await asyncio.wait([settling])
    receiver.responding.set()

    assert settling.cancelled()
    assert await sandbox.deliveries[0].done() is True
    assert len(receiver.received) == 1


async def test_webhooks_are_delivered_while_the_api_is_down(sandbox, add):
    """A provider whose API refuses connections still delivers."""
    add("getmany")

    async with sandbox.refusing():
        delivery = await sandbox.settle("shop", "BTC", "1")

    assert delivery.accepted


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_copies_are_the_same_event(sandbox, add, receiver, provider):
    """Duplicates are delivered at once, each until it is accepted; the account is changed once."""
    account = add(provider)
    receiver.statuses = [200, 500, 200]

    delivery = await sandbox.settle("shop", "BTC", "1", copies=3)
    await delivery.done()

    assert len({(headers.get("webhook-id"), body) for _, headers, body in receiver.received}) == 1
    assert sorted(attempt.status for attempt in delivery.attempts) == [200, 200, 200, 500]
    assert account.holdings == (Holding("BTC", "1"),)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_events_of_one_transaction_have_its_id(sandbox, add, receiver, provider):
    """A transaction keeps its id from the announcement to the settlement, and another has another."""
    add(provider)

    announced = await sandbox.announce("shop", "BTC", "1")
    await sandbox.settle("shop", "BTC", "1", transaction=announced.transaction)
    await sandbox.settle("shop", "BTC", "1")

    first, second, third = [document.get("data", document)["id"] for document in receiver.documents]
    assert first == second != third


async def test_deliveries_can_be_held_and_sent_out_of_order(sandbox, add, receiver):
    """A held delivery has changed the account and is in the log, and waiting for it returns at once."""
    account = add("cryptoprocessing")

    first = await sandbox.announce(account, "BTC", "1", send=False)
    second = await sandbox.settle(account, "BTC", "1", transaction=first.transaction, send=False)
    assert account.holdings == (Holding("BTC", "1"),)
    assert (await first.done(), receiver.received) == (False, [])
    await second.send()
    await first.send()

    assert [document["status"] for document in receiver.documents] == ["confirmed", "not_confirmed"]
    assert sandbox.deliveries == (first, second)


async def test_a_delivery_sent_again_is_a_duplicate(sandbox, add, receiver, clock):
    """It is the same event at a later time, whether it was accepted or not."""
    add("getmany")
    delivery = await sandbox.settle("shop", "BTC", "1")
    clock.now += 600

    await delivery.send()

    assert len(set(receiver.values_of("webhook-id"))) == 1
    assert receiver.values_of("webhook-timestamp") == [str(NOW), str(NOW + 600)]
    assert len(delivery.attempts) == 2


@pytest.mark.parametrize("closed", [False, True], ids=["before", "after"])
async def test_deliveries_need_a_started_sandbox(receiver, closed):
    """Before the start and after the close nothing is changed or sent, held deliveries included."""
    sandbox = Sandbox()
    account = sandbox.add_getmany("shop", webhook_url=receiver.url)
    held = await sandbox.announce(account, "BTC", "1", send=False)
    if closed:
        await sandbox.start()
        await sandbox.aclose()

    with pytest.raises(RuntimeError, match="must be started to deliver"):
        await held.send()
    with pytest.raises(RuntimeError, match="must be started to deliver"):
        await sandbox.settle(account, "BTC", "1")

    assert (account.holdings, receiver.received) == ((), [])


async def test_a_retry_goes_to_the_account_s_present_url(receiver):
    """A receiver that has moved gets it at the new URL; without a URL nothing is sent."""
    urls = [f"{receiver.url}/new", None]

    async def move(_):
        account.webhook_url = urls.pop(0) if urls else None

    async with Sandbox(sleep=move) as sandbox:
        account = sandbox.add_getmany("till", webhook_url=f"{receiver.url}/old")
        receiver.statuses = [410, 500]

        delivery = await sandbox.settle(account, "BTC", "1")

        assert await delivery.done() is False
        assert [path for path, _, _ in receiver.received] == ["/old", "/new"]


async def test_an_error_of_the_given_sleep_is_raised(receiver):
    """The caller who waits for the end of a delivery gets it."""

    async def sleep(_):
        raise LookupError("no time")

    async with Sandbox(sleep=sleep) as sandbox:
        sandbox.add_getmany("till", webhook_url=receiver.url)
        receiver.statuses = [500]

        delivery = await sandbox.settle("till", "BTC", "1")

        with pytest.raises(LookupError, match="no time"):
            await delivery.done()


async def test_reprs_show_no_signature(sandbox, add):
    """A delivery and its attempts show their outcome, and nothing that was sent."""
    account = add("cryptoprocessing")

    delivery = await sandbox.settle(account, "BTC", "1")

    shown = repr((delivery, delivery.attempts))
    assert repr(delivery) == "<Delivery of 'confirmed' to 'shop': accepted, attempts: 1>"
    assert repr(delivery.attempts[0]) == f"Attempt(at={NOW}, status=200, error=None)"
    sent = (*account.settings.values(), delivery.attempts[0].headers["X-Processing-Signature"])
    assert not [value for value in sent if value in shown]


async def test_the_log_can_be_cleared(sandbox, add, receiver):
    """A delivery that is under way continues outside the log."""
    add("getmany")
    receiver.statuses = [500]
    delivery = await sandbox.settle("shop", "BTC", "1")

    sandbox.clear_deliveries()
    later = await sandbox.announce("shop", "BTC", "1")

    assert sandbox.deliveries == (later,)
    assert await delivery.done() is True


async def test_the_log_keeps_the_latest_deliveries(sandbox, add):
    """A sandbox that runs for days does not fill the memory."""
    add("cryptoprocessing")

    for number in range(10_002):
        await sandbox.announce("shop", "BTC", 1, transaction=number, send=False)

    assert [delivery.transaction for delivery in sandbox.deliveries] == list(range(2, 10_002))
