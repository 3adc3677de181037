"""The job of examples/alert_job.py, run again and again over real sockets."""

from examples.alert_job import read, report
from tests.support.hosts import nothing_left


async def test_the_job_reports_what_is_new_and_takes_no_outage_for_a_loss(accounts, tmp_path):
    """Below the floor, unknown and above it are three messages, each sent once."""
    sent = []

    async def messages():
        sent.clear()
        report(await read(accounts.client()), tmp_path / "alerts.json", sent.append)
        return [line for message in sent for line in message.splitlines()]

    async with nothing_left():
        # 450 USDC are at hand, and 125 of two accounts are unknown.
        assert await messages() == ["INCOMPLETE: 2 of 3 accounts could not be read: down, hung"]
        assert await messages() == []

        accounts.sandbox.clear_faults()
        assert (await messages())[0] == "All accounts can be read again."
        assert await messages() == []

        accounts.shop.set("USDC", "300")
        assert await messages() == [
            "425 USDC: below 500",
            "Since the run before:",
            "USDC -150 (from 575 to 425)",
        ]
        assert await messages() == []

        accounts.fail()
        accounts.shop.set("BTC", "0.01")
        assert (await messages())[0] == "INCOMPLETE: 2 of 3 accounts could not be read: down, hung"
        assert await messages() == []

        accounts.sandbox.clear_faults()
        accounts.shop.set("USDC", "500")
        assert (await messages())[:3] == [
            "625 USDC: no longer below 500",
            "0.01 BTC: below 0.1",
            "All accounts can be read again.",
        ]
