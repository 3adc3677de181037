"""What a terminal shows at several widths, of few accounts and of many."""

import fcntl
import os
import signal
import struct
import sys
import termios

import pytest

from balancekit import AggregateClient, merge
from balancekit.cli import cli
from balancekit.cli.sandbox_settings import write_settings
from balancekit.cli.watch import CLEAR
from balancekit.sandbox import Fault
from tests.cli.conftest import ENVIRON, Watched
from tests.support.terminal import read_all, read_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
COMMANDS = {
    "check": ["check"],
    "totals": ["balances"],
    "by provider": ["balances", "--group-by", "provider"],
    "by account": ["balances", "--group-by", "account"],
}


def open_terminal(width, height=40):
    """Open a terminal of a size; return it and the end that a command writes to."""
    terminal, inside = os.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    return terminal, inside


@pytest.fixture
def show(start):
    """Run a command in a terminal of a width, and return its lines."""

    def show(arguments, width, term="xterm"):
        terminal, inside = open_terminal(width)
        process = start(*arguments, stdout=inside, stderr=inside, env={**ENVIRON, "NO_COLOR": "1", "TERM": term})
        os.close(inside)
        lines = read_all(terminal).splitlines()
        process.wait()
        return lines

    return show


@pytest.mark.parametrize("width", [50, 80, 140])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=[*COMMANDS])
def test_no_digit_and_no_word_is_cut(show, accounts_toml, wrong_secret, command, width):
    """No line of a table or of a message is wider than the terminal, and none ends within a word or an amount."""
    lines = show([*command, "--config", accounts_toml], width)

    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= width
    assert "shop-eu" in text
    assert "cryptoprocessing" in text or command == ["balances"]
    assert "Check that the secret belongs to the key" in text
    if command == ["check"]:
        assert "2 of 3 accounts can be read" in text
    else:
        assert "INCOMPLETE: 1 of 3 accounts could not be read: shop-eu" in text
        assert "1500000.00" in text
        assert "12.123456789012345679" in text or "12.000000000000000001" in text


@pytest.mark.parametrize("command", COMMANDS.values(), ids=[*COMMANDS])
def test_a_terminal_without_escape_codes_has_a_width_too(show, accounts_toml, wrong_secret, command):
    """No line is wider than it, in tables and in messages."""
    lines = show([*command, "--config", accounts_toml], 50, term="dumb")

    assert max(map(len, lines)) <= 50
    assert len(lines) > 10


@pytest.mark.parametrize("width", [50, 80])
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["balances", "--frobnicate"], "'--rates'?)"),
        (["balances", "--format", "xml"], "'table',"),
        (["sandbox", "--host", "0.0.0.0"], "127.0.0.1:"),
        (["balnces"], "'balances'?"),
        (["--verison"], "'--version'?)"),
    ],
)
def test_a_usage_error_breaks_no_word(show, arguments, word, width):
    """No line is wider than the terminal, below those on how the command is used."""
    lines = show(arguments, width)

    text = " ".join(lines)
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("Usage: balancekit")
    assert text.count("Error: ") == 1
    assert word in text.split()


def test_without_a_command_the_help_is_shown(show):
    """As it is with the option, line by line."""
    assert show([], 50) == show(["--help"], 50)


@pytest.mark.parametrize("width", [50, 80, 140])
def test_the_codes_of_brands_fit(show, width):
    """No line is wider than the terminal, and no code, currency or chain is wrapped."""
    lines = show(["currencies"], width)

    assert max(map(len, lines)) <= width
    assert ["BNB-BSC", "BNB", "(assumed)", "BNB", "Smart", "Chain"] in [line.split() for line in lines]


@pytest.mark.parametrize("width", [50, 80, 140])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=[*COMMANDS])
def test_labels_of_thirty_characters_stay_whole(show, sandbox, tmp_path, command, width):
    """No line is wider than the terminal, and each label stands whole in a line."""
    labels = [f"the-till-of-shop-number-{number:06}" for number in range(3)]
    for label in labels:
        sandbox.add_cryptoprocessing(label, {"DOGE": "1234567.89012345"})
    path = write_settings(tmp_path, sandbox.accounts)

    lines = show([*command, "--config", path], width)

    assert max(map(len, lines)) <= width
    assert all(any(label in line for line in lines) for label in labels)
    if command != ["check"]:
        assert any("1234567.89012345" in line or "3703703.67037035" in line for line in lines)


@pytest.mark.parametrize("width", [50, 80, 140])
@pytest.mark.parametrize("command", ["check", "balances"])
def test_many_accounts_are_as_readable_as_few(show, stand_in, tmp_path, command, width):
    """They are counted, and their failures grouped: the lines are no more, and no account has one of its own."""
    for number in range(297):
        stand_in.add_cryptoprocessing(f"till-{number}", {"BTC": "0.1"})
        if number % 3 == 0:
            stand_in.fail(f"till-{number}", Fault(status=400))
    path = write_settings(tmp_path, stand_in.accounts)

    lines = show([command, "--config", path], width)

    # Below the progress bar, which is drawn anew on one line.
    text = "\n".join(lines).rpartition("\x1b[?25h")[2]
    assert "99 accounts: request rejected. First till-" in " ".join(text.split())
    assert text.count("till-3 (") <= 1
    assert len(text.splitlines()) < (35 if width == 50 else 25)


@pytest.mark.parametrize("width", [50, 80, 140])
@pytest.mark.parametrize("command", ["", "init", "check", "balances", "watch", "webhook-test", "sandbox", "demo"])
def test_help_is_whole(show, command, width):
    """It is no wider than the terminal, what a command does is not cut short, and no name is broken."""
    lines = show([*command.split(), "--help"], width)

    text = "\n".join(lines).replace("[ARGS]...", "")
    assert max(map(len, lines)) <= width
    assert "..." not in text
    assert ("BALANCEKIT_CONFIG" in text) is (command not in {"", "sandbox", "demo"})


@pytest.mark.parametrize(("verbose", "shown"), [([], True), (["-v"], False)])
def test_progress_is_shown_unless_a_log_says_it(show, stand_in, tmp_path, verbose, shown):
    """The lines of a log would begin within the line of the progress."""
    for number in range(3):
        stand_in.add_cryptoprocessing(f"till-{number}")

    lines = show(["balances", *verbose, "--config", write_settings(tmp_path, stand_in.accounts)], 80)

    assert any("Reading accounts" in line for line in lines) is shown


def test_ctrl_c_begins_a_new_line(start, accounts_toml, stand_in):
    """The terminal has written `^C` to the line before."""
    for account in stand_in.accounts:
        stand_in.fail(account.label, Fault(hang=True))
    terminal, inside = open_terminal(80)
    process = start("balances", "-v", "--config", accounts_toml, stderr=inside)
    os.close(inside)
    shown = read_until(terminal, "lists 3 accounts\r\n")

    process.send_signal(signal.SIGINT)

    assert (shown + read_all(terminal)).endswith("\r\n\r\nInterrupted.\r\n")
    assert process.wait() == 130


@pytest.fixture
def last_state(accounts_toml, monkeypatch):
    """Watch some states on a terminal with 20 lines, and return what it shows of the last."""

    def last_state(states):
        monkeypatch.setattr(AggregateClient, "watch", lambda *_, **__: Watched(states))
        monkeypatch.setenv("NO_COLOR", "1")
        terminal, inside = open_terminal(80, 20)
        with os.fdopen(inside, "w", encoding="utf-8") as screen:
            for name in ("stdout", "stderr"):
                monkeypatch.setattr(sys, name, screen)
            cli.main(["watch", "--config", str(accounts_toml)], standalone_mode=False)
        return read_all(terminal).rpartition(CLEAR)[2]

    return last_state


def test_a_terminal_without_escape_codes_gets_none(last_state, make_snapshot, monkeypatch):
    """The states of a watch follow one another there, as in a pipe."""
    monkeypatch.setenv("TERM", "dumb")

    shown = last_state([merge([make_snapshot("a", ("BTC", amount))]) for amount in ("1", "1.5")])

    assert shown.count("Totals of 1 account") == 2
    assert "\x1b" not in shown


def test_a_terminal_shows_a_change_while_other_accounts_are_read(last_state, make_snapshot):
    """The states that follow at once do not replace it: nobody could read it."""
    amounts = [("1", "2"), ("1.5", "2"), ("1.5", "2.25")]

    shown = last_state([merge([make_snapshot("a", ("BTC", one), ("ETH", two))]) for one, two in amounts])

    rows = [line.split() for line in shown.splitlines()]
    assert ["BTC", "crypto", "1.5", "+0.5", "a"] in rows
    assert ["ETH", "crypto", "2.25", "+0.25", "a"] in rows


def test_a_state_has_its_failures_and_its_notice_below(last_state, make_snapshot, failure):
    """They are in sight however tall the table is, and say what to do."""
    codes = [(f"C{number}", "1") for number in range(30)]

    shown = last_state([merge([make_snapshot("a", *codes)], [failure])])

    assert shown.splitlines()[-3:-1] == [
        "late (fake): reset",
        "INCOMPLETE: 1 of 2 accounts could not be read: late",
    ]


def test_a_state_without_an_account_has_no_table(last_state, failure):
    """But why there is none."""
    assert last_state([merge([], [failure])]).splitlines()[:2] == [
        "late (fake): reset",
        "NOTHING READ: 1 of 1 account could not be read: late",
    ]
