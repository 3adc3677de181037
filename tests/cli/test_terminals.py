"""What a terminal shows at several widths, of few accounts and of many."""

import fcntl
import os
import struct
import sys
import termios

import pytest

from balancekit.cli.sandbox_settings import write_settings
from balancekit.sandbox import Fault
from tests.cli.conftest import ENVIRON

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
COMMANDS = {
    "check": ["check"],
    "totals": ["balances"],
    "by provider": ["balances", "--group-by", "provider"],
    "by account": ["balances", "--group-by", "account"],
}


@pytest.fixture
def show(start):
    """Run a command in a terminal of a width, and return its lines."""

    def show(arguments, width):
        terminal, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        process = start(*arguments, stdout=inside, stderr=inside, env={**ENVIRON, "NO_COLOR": "1", "TERM": "xterm"})
        os.close(inside)
        shown = b""
        while True:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
        os.close(terminal)
        process.wait()
        return shown.decode().splitlines()

    return show


@pytest.mark.parametrize("width", [50, 80, 140])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=[*COMMANDS])
def test_no_digit_and_no_word_is_cut(show, accounts_toml, wrong_secret, command, width):
    """A table is wider than its terminal only where its words and amounts need that."""
    lines = show([*command, "--config", accounts_toml], width)

    text = "\n".join(lines)
    assert "shop-eu" in text
    if command == ["check"]:
        assert "2 of 3 accounts can be read" in text
    else:
        assert "INCOMPLETE: 1 of 3 accounts could not be read: shop-eu" in text
        assert "1500000.00" in text
        assert "12.123456789012345679" in text or "12.000000000000000001" in text


@pytest.mark.parametrize("width", [50, 80, 140])
def test_the_codes_of_brands_fit(show, width):
    """No line is wider than the terminal, and no code, currency or chain is wrapped."""
    lines = show(["currencies"], width)

    assert max(map(len, lines)) <= width
    assert ["BNB-BSC", "BNB", "(assumed)", "BNB", "Smart", "Chain"] in [line.split() for line in lines]


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

    text = "\n".join(lines)
    assert "99 accounts: request rejected. First till-" in text
    assert text.count("till-3 (") <= 1
    # Below the progress bar, which is drawn anew on one line.
    assert len(text.rpartition("\x1b[?25h")[2].splitlines()) < 25
