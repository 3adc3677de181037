"""`balancekit demo --watch`: settlements arrive over HTTP, and each costs one request."""

import re
import signal

import pytest

from balancekit.cli import demo_watch
from balancekit.client.aggregate import AggregateClient
from balancekit.sandbox import Fault, Sandbox


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Leave nobody time to follow."""
    monkeypatch.setattr(demo_watch, "PAUSE", 0)


@pytest.fixture
def settle_after(monkeypatch):
    """Do something to the sandbox before each settlement."""

    def settle_after(prepare):
        settle = Sandbox.settle

        async def prepared(sandbox, account, *arguments, **options):
            prepare(sandbox, account)
            return await settle(sandbox, account, *arguments, **options)

        monkeypatch.setattr(Sandbox, "settle", prepared)

    return settle_after


def _second_act(output):
    return output.partition("Now it takes webhooks at http://127.0.0.1:")[2]


def test_each_settlement_costs_one_request_to_its_account(run):
    """At both providers: a delivery that is answered, one request, a new total."""
    result = run("demo", "--watch")

    assert result.exit_code == 0
    assert result.stderr == ""
    for payment, account in (("0.25 BTC", "shop-eu"), ("120.50 USDC", "treasury")):
        assert re.search(
            f"^{re.escape(payment)} is settled in {account}: its signed webhook was delivered and answered 204.\n"
            rf"The client made 1 request, to {account}, and had the new total \d+ ms after the delivery.$",
            result.stdout,
            re.MULTILINE,
        )


def test_the_total_that_changed_is_marked(run):
    """The new sums are exact, and only what has changed says by how much."""
    rows = [line.split() for line in _second_act(run("demo", "--watch").stdout).splitlines()]

    assert ["BTC", "crypto", "1.79000001", "+0.25000000", "shop-eu,", "shop-us"] in rows
    assert ["USDC", "crypto", "2300.700000", "+120.500000", "shop-eu,", "treasury"] in rows
    assert sum(any(cell.startswith("+") for cell in row) for row in rows) == 2


def test_a_second_delivery_of_one_event_changes_nothing(run):
    """It is answered like the first, and the provider is not asked."""
    said = run("demo", "--watch").stdout

    assert (
        "The same event comes a second time, as it may: its signed webhook was delivered and answered 204.\n"
        "The client made no request, and nothing changed.\n"
    ) in said


def test_whoever_has_seen_it_is_told_of_the_other_commands(run):
    """The first act names the second; the second does not name itself."""
    assert "balancekit demo --watch" in run("demo").stdout
    assert "balancekit demo --watch" not in run("demo", "--watch").stdout
    assert "balancekit sandbox" in run("demo", "--watch").stdout


def test_an_account_that_cannot_be_read_again_ends_it(run, settle_after):
    """The totals lack an account then, and the demo is no better than any other command."""
    settle_after(lambda sandbox, account: sandbox.fail(account, Fault(status=403)))

    result = run("demo", "--watch")

    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith("INCOMPLETE: 1 of 3 accounts could not be read")
    assert "USDC is settled" not in result.stdout


def test_it_waits_for_no_total_that_does_not_come(run, monkeypatch, settle_after):
    """A delivery that nobody takes is told, and the demo ends."""
    monkeypatch.setattr(demo_watch, "TIMEOUT", 0.5)

    def misdirect(sandbox, label):
        (account,) = (account for account in sandbox.accounts if account.label == label)
        account.webhook_url = f"{sandbox.address}/nowhere"

    settle_after(misdirect)

    result = run("demo", "--watch")

    assert result.exit_code == 1
    assert "0.25 BTC is settled in shop-eu: its signed webhook was answered 404." in result.stdout
    assert result.stderr == "No new totals came within 0.5 s.\n"


def test_a_delivery_that_reaches_nobody_says_why(run, monkeypatch, settle_after):
    """What stands in the way on this machine is named."""
    monkeypatch.setattr(demo_watch, "TIMEOUT", 0.5)

    def misdirect(sandbox, label):
        (account,) = (account for account in sandbox.accounts if account.label == label)
        account.webhook_url = "http://127.0.0.1:1"

    settle_after(misdirect)

    result = run("demo", "--watch")

    assert result.exit_code == 1
    assert "shop-eu: its webhook was not delivered (ClientConnectorError" in result.stdout


def test_news_after_a_duplicate_would_be_told(run, monkeypatch):
    """The demo does not claim that nothing changed: it looks."""

    async def forgetful(client, account, headers, body):
        await client.invalidate(account)

    monkeypatch.setattr(AggregateClient, "handle_webhook", forgetful)

    said = run("demo", "--watch").stdout

    assert "The client made 1 request, to treasury, and there were new totals." in said


def test_a_demo_that_reads_nothing_does_not_watch(run, failing_demo):
    """If the first read fails, the demo ends there."""
    result = run("demo", "--watch")

    assert result.exit_code == 1
    assert _second_act(result.stdout) == ""


def test_in_a_pipe_it_ends_by_itself_and_writes_no_colours(start):
    """As a shell runs it."""
    process = start("demo", "--watch")

    said, complaints = process.communicate(timeout=30)

    assert process.returncode == 0
    assert complaints == ""
    assert "\x1b" not in said
    assert _second_act(said).count("answered 204") == 3


def test_ctrl_c_ends_it_cleanly(start):
    """In the middle of the second act, without a traceback."""
    process = start("demo", "--watch")
    for line in iter(process.stdout.readline, ""):
        if line.startswith("Now it takes webhooks"):
            break

    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=30)[1] == "Interrupted.\n"
    assert process.returncode == 130
