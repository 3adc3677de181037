"""What a client does with deliveries of webhooks."""

import asyncio

import pytest

from balancekit import (
    AggregateClient,
    WebhookEvent,
    WebhookVerificationError,
)
from tests.support.providers import QuickTill, Scripted
from tests.support.watching import Seen


def test_a_settled_event_invalidates(with_quick_till):
    """What a webhook says is not believed but looked up."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        till.held = "3"
        event = await client.handle_webhook("till", {}, b"event-1")
        await asyncio.sleep(1)
        return event, seen.amounts, till.requests

    event, amounts, requests = with_quick_till(steps)

    assert event == WebhookEvent("till", "till", "event-1", "payment", None, settled=True)
    assert (amounts, requests) == ([1, 3], 2)


def test_an_event_that_comes_twice_is_acted_on_once(with_quick_till):
    """Both deliveries get the same response, and the account is read once."""

    async def steps(client, till):
        seen = Seen(client)
        await asyncio.sleep(1)
        first = await client.handle_webhook("till", {}, b"event-1")
        await asyncio.sleep(1)
        second = await client.handle_webhook("till", {}, b"event-1")
        await asyncio.sleep(1)
        return first == second, len(seen.states), till.requests

    assert with_quick_till(steps) == (True, 2, 2)


def test_two_bodies_of_one_id_are_two_events(with_quick_till):
    """A status without a name of its own may come again, and every time the balances may have changed."""

    async def steps(client, till):
        till.event_id = "same"
        await client.fetch()
        await client.handle_webhook("till", {}, b"first")
        await client.fetch(max_age=60)
        await client.handle_webhook("till", {}, b"second")
        await client.fetch(max_age=60)
        return till.requests

    assert with_quick_till(steps) == 3


def test_events_of_two_accounts_may_have_one_id(with_quick_till):
    """Ids are unique at a provider's account, and nowhere else."""

    async def steps(client, shop, kiosk):
        await client.fetch()
        await client.handle_webhook("shop", {}, b"1")
        await client.handle_webhook("kiosk", {}, b"1")
        await client.fetch(max_age=60)
        return shop.requests, kiosk.requests

    assert with_quick_till(steps, QuickTill("shop"), QuickTill("kiosk")) == (2, 2)


def test_an_event_that_is_not_settled_changes_nothing(with_quick_till):
    """A payment that has been announced has not been made."""

    async def steps(client, till):
        await client.fetch()
        event = await client.handle_webhook("till", "pending", b"1")
        await client.fetch(max_age=60)
        return event.settled, till.requests

    assert with_quick_till(steps) == (False, 1)


@pytest.mark.parametrize("raised", [WebhookVerificationError("forged"), ValueError("sk_live")], ids=repr)
def test_a_delivery_that_is_refused_changes_nothing(with_quick_till, raised):
    """Whatever verifying it raises is one kind of error, without what was said."""

    async def steps(client, till):
        await client.fetch()
        with pytest.raises(WebhookVerificationError) as refused:
            await client.handle_webhook("till", raised, b"1")
        await client.fetch(max_age=60)
        return till.requests, "sk_live" in f"{refused.value!r} {refused.value.__context__!r}"

    assert with_quick_till(steps) == (1, False)


def test_a_delivery_for_nobody_is_refused_like_a_forged_one(with_quick_till):
    """Who knocks learns nothing of which accounts there are."""

    async def steps(client, *_):
        for account in ("deaf", "nobody"):
            with pytest.raises(WebhookVerificationError, match="no account of that label takes webhooks"):
                await client.handle_webhook(account, {}, b"1")

    with_quick_till(steps, QuickTill(), Scripted("deaf"))


@pytest.mark.parametrize("label", [None, 5, ["till"], b"till"], ids=repr)
def test_a_delivery_for_a_label_that_is_no_text_is_refused(with_quick_till, everything_shown_by, label):
    """A receiver of one's own may pass anything; the headers, which may hold the account's key, are in no frame."""

    async def steps(client, *_):
        with pytest.raises(WebhookVerificationError, match="no account of that label") as refused:
            await client.handle_webhook(label, {"X-Processing-Key": "sk_live_canary"}, b"1")
        return everything_shown_by(refused.value)

    assert "sk_live_canary" not in with_quick_till(steps, QuickTill())


def test_a_closed_client_takes_no_delivery(run_virtually):
    """The sender is to try again later, so that is another error than that of a rejected delivery."""

    async def main():
        client = AggregateClient([QuickTill()])
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.handle_webhook("till", {}, b"1")
        with pytest.raises(RuntimeError, match="closed"):
            client.watch()
        with pytest.raises(RuntimeError, match="closed"):
            await client.invalidate("till")

    run_virtually(main())


def test_a_refused_delivery_is_in_no_frame_of_its_error(with_quick_till, everything_shown_by):
    """The headers may hold the account's key, and error trackers collect what frames hold."""

    async def steps(client, till):
        with pytest.raises(WebhookVerificationError) as caught:
            await client.handle_webhook("till", WebhookVerificationError("refused"), b"canary")
        return everything_shown_by(caught.value)

    assert "canary" not in with_quick_till(steps)
