"""`balancekit watch`: the totals as they change, until Ctrl-C."""

import os
import signal
import sys

import pytest

from balancekit import AccountFailure, AggregateClient, TransportError, merge
from balancekit.cli.watch import CLEAR
from balancekit.sandbox import Fault
from tests.cli.conftest import Watched
from tests.support.terminal import read_until


def read_lines(stream, text):
    """Read lines until one has the text; returns them all."""
    lines = []
    while not lines or text not in lines[-1]:
        lines.append(stream.readline())
        assert lines[-1], lines
    return "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_shows_the_totals_until_it_is_stopped(start, accounts_toml, number):
    """The exit code is that of the result, and stderr is empty."""
    process = start("watch", "--config", accounts_toml)
    shown = read_lines(process.stdout, "zero not shown")

    process.send_signal(number)

    stderr = process.communicate()[1]
    assert (process.returncode, stderr) == (0, "")
    assert "12.123456789012345679" in shown


def test_an_incomplete_result_ends_with_3(start, accounts_toml, stand_in, wrong_secret):
    """As it does for `balances`, with the reason on stderr."""
    process = start("watch", "--config", accounts_toml)
    read_lines(process.stdout, "USDC")
    read_lines(process.stderr, "INCOMPLETE: 1 of 3 accounts could not be read: shop-eu")

    process.send_signal(signal.SIGINT)

    process.communicate()
    assert process.returncode == 3


def test_an_unknown_account_is_a_usage_error(start, accounts_toml):
    """There is nothing to show."""
    result = start("watch", "--config", accounts_toml, "--account", "shop-uk")

    assert "no account is labelled 'shop-uk'" in result.communicate()[1]
    assert result.returncode == 2


def test_what_changed_is_shown_and_what_is_old_is_marked(run, accounts_toml, monkeypatch, make_snapshot):
    """An account that cannot be read keeps its balances, is in no difference, and its total says how old it is."""
    failure = AccountFailure("b", "fake", TransportError("reset", account="b", provider="fake"))
    states = [
        merge([make_snapshot("a", ("BTC", "1")), make_snapshot("b", ("ETH", "2"))]),
        merge([make_snapshot("a", ("BTC", "1.5")), make_snapshot("b", ("ETH", "2"), stale=True)], [failure]),
    ]
    monkeypatch.setattr(AggregateClient, "watch", lambda *_, **__: Watched(states))

    result = run("watch", "--config", accounts_toml)

    _, _, second = result.stdout.partition("Totals of")[2].partition("Totals of")
    rows = {row[0]: row for row in map(str.split, second.splitlines()) if row}
    assert result.exit_code == 3
    assert rows["BTC"] == ["BTC", "crypto", "1.5", "+0.5", "a"]
    assert rows["ETH"][3:] != ["b"]
    assert "INCOMPLETE" in second


def test_what_changed_of_one_currency_is_shown_whatever_its_codes_are(run, accounts_toml, monkeypatch, make_snapshot):
    """Balances that are counted as it by an alias may come and go; the change is that of its total alone."""
    before, after = (
        merge([make_snapshot("a", ("USDT", "1"), *more)], aliases={"USDTB": "USDT"})
        for more in ([("USDTB", "0"), ("BTC", "5")], [("USDTB", "3"), ("BTC", "7")])
    )
    monkeypatch.setattr(AggregateClient, "watch", lambda *_, **__: Watched([before, after, before]))

    result = run("watch", "--config", accounts_toml, "--currency", "USDT")

    rows = [row.split() for row in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [row for row in rows if "crypto" in row] == [
        ["USDT", "crypto", "1", "a"],
        ["USDT", "crypto", "4", "+3", "a"],
        ["USDT", "crypto", "1", "-3", "a"],
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_shows_each_state_in_place_of_the_one_before(start, accounts_toml):
    """It is cleared before each of them."""
    terminal, inside = os.openpty()
    environ = {**os.environ, "NO_COLOR": "1"}
    process = start("watch", "--config", accounts_toml, stdout=inside, stderr=inside, env=environ)
    os.close(inside)
    shown = read_until(terminal, "not shown")

    process.send_signal(signal.SIGINT)

    process.wait()
    os.close(terminal)
    assert CLEAR in shown
    assert process.returncode == 0


def test_failures_are_named_on_stderr_while_the_totals_are_on_a_terminal(start, accounts_toml, stand_in):
    """A file of errors has them, too."""
    stand_in.fail("treasury", Fault(status=400), times=9)
    terminal, inside = os.openpty()
    process = start("watch", "--config", accounts_toml, stdout=inside, env={**os.environ, "NO_COLOR": "1"})
    os.close(inside)
    read_until(terminal, "not shown")

    process.send_signal(signal.SIGINT)

    stderr = process.communicate()[1]
    os.close(terminal)
    assert stderr.splitlines()[-1] == "INCOMPLETE: 1 of 3 accounts could not be read: treasury"
    assert process.returncode == 3


def test_a_code_that_comes_to_be_counted_as_another_currency_ends_it(run, accounts_toml, monkeypatch, make_snapshot):
    """Nothing would be shown of what is held; the error names the other."""
    states = [merge([make_snapshot("a", *held)], aliases={"USDTB": "USDT"}) for held in ([], [("USDTB", "3")])]
    monkeypatch.setattr(AggregateClient, "watch", lambda *_, **__: Watched(states))

    result = run("watch", "--config", accounts_toml, "--currency", "USDTB")

    assert (result.exit_code, result.stderr) == (2, "Error: --currency: USDTB is an alias of USDT here: ask for USDT\n")
