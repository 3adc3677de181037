"""`balancekit demo --watch`: settlements arrive over HTTP, and each costs one request."""

import re
import signal

import pytest

from balancekit.cli import demo_watch
from balancekit.client.aggregate import AggregateClient
from balancekit.sandbox import Fault, Sandbox


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Leave out the pauses."""
    monkeypatch.setattr(demo_watch, "PAUSE", 0)


@pytest.fixture
def settle_after(monkeypatch):
    """Call a function with the sandbox and the account before each settlement."""

    def settle_after(prepare):
        settle = Sandbox.settle

        async def prepared(sandbox, account, *arguments, **options):
            prepare(sandbox, account)
            return await settle(sandbox, account, *arguments, **options)

        monkeypatch.setattr(Sandbox, "settle", prepared)

    return settle_after


def _after_watching_began(output):
    return output.partition("Now it takes webhooks at http://127.0.0.1:")[2]


def test_each_settlement_costs_one_request_to_its_account(run):
    """At both providers a delivered webhook causes one request, and then a new total."""
    result = run("demo", "--watch")

    assert result.exit_code == 0
    assert result.stderr == ""
    for payment, account in (("0.25 BTC", "shop-eu"), ("120.50 USDC", "treasury")):
        assert re.search(
            f"^{re.escape(payment)} is settled in {account}: its signed webhook was accepted with status 204.\n"
            rf"The client made 1 request, to {account}, and had the new total \d+ ms after the delivery.$",
            result.stdout,
            re.MULTILINE,
        )


def test_the_total_that_changed_is_marked(run):
    """The new totals are exact, and only the ones that changed show their change."""
    rows = [line.split() for line in _after_watching_began(run("demo", "--watch").stdout).splitlines()]

    assert ["BTC", "crypto", "1.79000001", "+0.25000000", "shop-eu,", "shop-us"] in rows
    assert ["USDC", "crypto", "2300.700000", "+120.500000", "shop-eu,", "treasury"] in rows
    assert sum(any(cell.startswith("+") for cell in row) for row in rows) == 2


def test_a_second_delivery_of_one_event_changes_nothing(run):
    """The repeated delivery gets the same response, and causes no request."""
    stdout = run("demo", "--watch").stdout

    assert (
        "The same event comes a second time, as it may: its signed webhook was accepted with status 204.\n"
        "The client made no request, and nothing changed.\n"
    ) in stdout


def test_a_slow_read_is_waited_for(run, settle_after):
    """After a second a watch shows what may have changed since, as on a machine that is busy with something else."""
    settle_after(lambda sandbox, account: sandbox.fail(account, Fault(delay=1.5)))

    result = run("demo", "--watch")

    assert result.exit_code == 0
    assert "The client made no request, and nothing changed.\n" in result.stdout


def test_the_demo_names_the_next_commands(run):
    """`demo` ends with the name of `demo --watch`, and both end with the other commands."""
    assert "balancekit demo --watch" in run("demo").stdout
    assert "balancekit demo --watch" not in run("demo", "--watch").stdout
    assert "balancekit sandbox" in run("demo", "--watch").stdout


def test_an_account_that_cannot_be_read_again_ends_it(run, settle_after):
    """If an account fails during the watch, the demo ends with the exit code and notice of an incomplete result."""
    settle_after(lambda sandbox, account: sandbox.fail(account, Fault(status=403)))

    result = run("demo", "--watch")

    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith("INCOMPLETE: 1 of 3 accounts could not be read")
    assert "USDC is settled" not in result.stdout


def test_a_total_that_does_not_arrive_ends_it(run, monkeypatch, settle_after):
    """If no new total arrives in time, the demo shows the response to the delivery and exits with 1."""

    def misdirect(sandbox, label):
        # The first total, which does arrive, has its time.
        monkeypatch.setattr(demo_watch, "TIMEOUT", 1.5)
        (account,) = (account for account in sandbox.accounts if account.label == label)
        account.webhook_url = f"{sandbox.address}/nowhere"

    settle_after(misdirect)

    result = run("demo", "--watch")

    assert result.exit_code == 1
    assert "0.25 BTC is settled in shop-eu: its signed webhook was rejected with status 404." in result.stdout
    assert result.stderr == "No new totals came within 1.5 s.\n"


def test_a_delivery_that_fails_is_explained(run, monkeypatch, settle_after):
    """If the webhook cannot be delivered, the demo shows the error of the connection."""

    def misdirect(sandbox, label):
        # The first total, which does arrive, has its time.
        monkeypatch.setattr(demo_watch, "TIMEOUT", 1.5)
        (account,) = (account for account in sandbox.accounts if account.label == label)
        account.webhook_url = "http://127.0.0.1:1"

    settle_after(misdirect)

    result = run("demo", "--watch")

    assert result.exit_code == 1
    assert "shop-eu: its webhook was not delivered (ClientConnectorError" in result.stdout


def test_a_change_after_the_repeated_delivery_is_shown(run, monkeypatch):
    """If the repeated delivery caused a request, the demo would show it."""

    async def forgetful(client, account, headers, body):
        await client.invalidate(account)

    monkeypatch.setattr(AggregateClient, "handle_webhook", forgetful)
    # The totals arrive, however long they take.
    monkeypatch.setattr(demo_watch, "QUIET_PERIOD", 30)

    stdout = run("demo", "--watch").stdout

    assert "The client made 1 request, to treasury, and there were new totals." in stdout


def test_a_demo_that_reads_nothing_does_not_watch(run, failing_demo):
    """If the first read fails, the demo ends there."""
    result = run("demo", "--watch")

    assert result.exit_code == 1
    assert _after_watching_began(result.stdout) == ""


def test_in_a_pipe_it_ends_by_itself_and_writes_no_colours(start):
    """As a process of its own it ends with 0, and writes plain text."""
    process = start("demo", "--watch")

    stdout, stderr = process.communicate(timeout=30)

    assert process.returncode == 0
    assert stderr == ""
    assert "\x1b" not in stdout
    assert _after_watching_began(stdout).count("accepted with status 204") == 3


def test_ctrl_c_ends_it_cleanly(start):
    """Ctrl-C during the watch exits with 130, without a traceback."""
    # It goes on until then, however late the signal is.
    process = start("demo", "--watch", first="from balancekit.cli import demo_watch; demo_watch.PAUSE = 3600")
    for line in iter(process.stdout.readline, ""):
        if line.startswith("Now it takes webhooks"):
            break

    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=30)[1] == "Interrupted.\n"
    assert process.returncode == 130
