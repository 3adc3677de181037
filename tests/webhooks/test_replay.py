"""An event with an id of its own is acted on once, however often it is delivered."""

import pytest

from balancekit import WebhookEvent
from balancekit.stores import MemoryStore
from balancekit.webhooks.replay import act_once, deduplication_key
from tests.support.clock import Clock

HOUR = 3600.0
EVENT = WebhookEvent("shop", "getmany", "msg_2b", "deposit", "confirmed", settled=True)


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
def action():
    """Make an action that succeeds."""
    return Action()


async def test_a_repeated_delivery_is_not_acted_on_again(store, action):
    """The first delivery runs the action, and the second does not."""
    await act_once(store, "key", action)
    await act_once(store, "key", action)

    assert action.runs == 1


async def test_an_action_that_failed_runs_at_the_next_delivery(store, action):
    """An event is remembered only after its action has succeeded."""
    action.error = ConnectionError()
    with pytest.raises(ConnectionError):
        await act_once(store, "key", action)
    action.error = None

    await act_once(store, "key", action)

    assert action.runs == 2


@pytest.mark.parametrize(("hours", "runs"), [(47, 1), (49, 2)])
async def test_an_event_is_remembered_for_two_days(action, hours, runs):
    """Providers usually repeat a delivery for a day; an event is forgotten after twice that time."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    await act_once(store, "key", action)
    clock.now += hours * HOUR

    await act_once(store, "key", action)

    assert action.runs == runs


def test_the_same_delivery_has_the_same_key_in_every_process():
    """The key depends on the account, the event and the body alone."""
    assert deduplication_key("shop@host", EVENT, b"{}") == "shop@host#msg_2b#44136fa355b3678a"


@pytest.mark.parametrize(
    ("account_key", "event_id", "body"),
    [("kiosk@host", "7", b"{}"), ("shop@host", "8", b"{}"), ("shop@host", "7", b"[]")],
    ids=["another account", "another id", "another body"],
)
def test_another_account_id_or_body_is_another_event(account_key, event_id, body):
    """Ids are unique within one account only, and not always there."""
    first, second = (WebhookEvent("shop", "p", number, None, None, settled=True) for number in ("7", event_id))

    assert deduplication_key("shop@host", first, b"{}") != deduplication_key(account_key, second, body)
