"""The tasks of examples/celery_tasks.py; the accounts are read over real sockets."""

import asyncio

import pytest

from tests.support.event_stream import amounts
from tests.support.hosts import nothing_left

pytest.importorskip("celery")
from celery.contrib.testing.worker import start_worker

from examples import celery_tasks
from examples.celery_tasks import close, health, report


@pytest.fixture
def configured(accounts, monkeypatch):
    """Have the tasks read these accounts."""
    monkeypatch.setattr(celery_tasks, "load_config", lambda _: accounts.config)


async def test_a_report_is_tried_again_while_an_account_is_down(accounts, configured):
    """It ends with what could be read, marked as incomplete."""
    async with nothing_left():
        result = report.apply().get()

        assert result["complete"] is False
        assert amounts(result) == {"BTC": "0.5", "ETH": "0", "USD": "450"}
        assert len([each for each in accounts.sandbox.requests if each.account == "down"]) == 4
        assert sorted(health.apply().get()) == ["down", "hung"]

        accounts.sandbox.clear_faults()
        assert report.apply().get()["complete"] is True
        close()


async def test_a_worker_returns_the_result_of_a_report(accounts, configured):
    """Its result reaches the sender of the task, by the backend of the app."""
    accounts.sandbox.clear_faults()
    app = celery_tasks.app
    app.conf.update(broker_url="memory://")

    def run():
        with start_worker(app, perform_ping_check=False, shutdown_timeout=10):
            return report.delay().get(timeout=60)

    result = await asyncio.to_thread(run)
    close()

    assert (result["complete"], amounts(result)["BTC"]) == (True, "0.5")
