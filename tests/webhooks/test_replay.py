"""Each event is acted on once, however often it is delivered."""

import pytest

from balancekit import WebhookEvent
from balancekit.stores import MemoryStore
from balancekit.webhooks.replay import Delivery, LatestDeliveries, act_once
from tests.support.clock import Clock

HOUR = 3600.0
ONE = Delivery("key", None)
EVENT = WebhookEvent("shop", "cryptoprocessing", "7/deposit/confirmed", "deposit", "confirmed", settled=True)


class Action:
    """An action that counts its runs, and fails while `error` is set."""

    def __init__(self):
        self.runs = 0
        self.error = None

    async def __call__(self):
        """Run once more."""
        self.runs += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def store():
    """Make a store that remembers."""
    return MemoryStore()


@pytest.fixture
def latest():
    """Know no delivery."""
    return LatestDeliveries()


@pytest.fixture
def action():
    """Make an action that succeeds."""
    return Action()


async def test_a_repeated_delivery_is_not_acted_on_again(store, latest, action):
    """The first delivery runs the action, and the second does not."""
    await act_once(store, latest, ONE, action)
    await act_once(store, latest, ONE, action)

    assert action.runs == 1


async def test_what_another_process_has_acted_on_is_not_acted_on_again(store, action):
    """As long as this one knows of no other event of its subject."""
    await act_once(store, LatestDeliveries(), Delivery("confirmed", "7"), action)
    await act_once(store, LatestDeliveries(), Delivery("confirmed", "7"), action)

    assert action.runs == 1


async def test_an_event_like_an_earlier_one_is_new_after_another_of_its_subject(store, latest, action):
    """What is confirmed after it was cancelled is not confirmed as it was before; a delivery of that again is none."""
    for key in ("confirmed", "cancelled", "confirmed", "confirmed"):
        await act_once(store, latest, Delivery(key, "7"), action)

    assert action.runs == 3


async def test_an_event_of_another_subject_makes_none_new(store, latest, action):
    """Nor does one without a subject."""
    for delivery in (Delivery("a", "7"), Delivery("b", "8"), ONE, Delivery("a", "7"), ONE):
        await act_once(store, latest, delivery, action)

    assert action.runs == 3


async def test_an_action_that_failed_runs_at_the_next_delivery(store, latest, action):
    """An event is remembered only after its action has succeeded."""
    action.error = ConnectionError()
    with pytest.raises(ConnectionError):
        await act_once(store, latest, ONE, action)
    action.error = None

    await act_once(store, latest, ONE, action)

    assert action.runs == 2


@pytest.mark.parametrize(("hours", "runs"), [(47, 1), (49, 2)])
async def test_an_event_is_remembered_for_two_days(latest, action, hours, runs):
    """Cryptoprocessing repeats a delivery for a day; an event is forgotten after twice that time."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    await act_once(store, latest, ONE, action)
    clock.now += hours * HOUR

    await act_once(store, latest, ONE, action)

    assert action.runs == runs


def test_the_same_delivery_has_the_same_key_in_every_process():
    """The key depends on the account, the event and the body alone."""
    assert Delivery.of("shop@host", EVENT, b"{}").key == "shop@host#7/deposit/confirmed#44136fa355b3678a"


@pytest.mark.parametrize(
    ("account_key", "event_id", "body"),
    [("kiosk@host", "7", b"{}"), ("shop@host", "8", b"{}"), ("shop@host", "7", b"[]")],
    ids=["another account", "another id", "another body"],
)
def test_another_account_id_or_body_is_another_event(account_key, event_id, body):
    """Ids are unique within one account only, and a status without a name of its own may come again under its id."""
    first, second = (WebhookEvent("shop", "p", number, None, None, settled=True) for number in ("7", event_id))

    assert Delivery.of("shop@host", first, b"{}").key != Delivery.of(account_key, second, body).key


def test_a_subject_is_that_of_one_account():
    """Transactions of two accounts may have one id."""
    event = WebhookEvent("shop", "p", "7/paid", None, None, settled=True, subject="7")

    assert Delivery.of("shop@host", event, b"{}").subject != Delivery.of("kiosk@host", event, b"{}").subject
