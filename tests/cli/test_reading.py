"""What is shown of accounts that hang: until a timeout, and until Ctrl-C."""

import csv
import io
import json
import signal

import pytest

from balancekit import MergedBalances
from balancekit.sandbox import Fault

NOTICE = "INCOMPLETE: 1 of 3 accounts not read yet: treasury"


@pytest.fixture
def hung(stand_in):
    """Have one of the three accounts hang."""
    stand_in.fail("treasury", Fault(hang=True))


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_ctrl_c_shows_what_has_been_read(start, accounts_toml, hung, form):
    """Marked as incomplete in every format; the exit code is that of an interrupt."""
    process = start("balances", "-v", "--config", accounts_toml, "--format", form)
    read = 0
    while read < 2:
        read += "is read" in process.stderr.readline()
    process.send_signal(signal.SIGINT)

    stdout, stderr = process.communicate()

    assert process.returncode == 130
    assert stderr.splitlines()[-2:] == [NOTICE, "Interrupted."]
    assert "Traceback" not in stderr
    if form == "json":
        merged = MergedBalances.from_json(stdout)
        assert (merged.notice, str(merged.amount("USD", partial=True))) == (NOTICE, "980.15")
    elif form == "csv":
        assert {row["notice"] for row in csv.DictReader(io.StringIO(stdout))} == {NOTICE}
    else:
        assert NOTICE in stdout
        assert "980.15" in stdout


def test_a_timeout_shows_what_has_been_read(run, accounts_toml, hung):
    """It replaces the deadline, and the account that hangs is a failure."""
    result = run("balances", "--config", accounts_toml, "--timeout", "1.5", "--format", "json")

    merged = MergedBalances.from_json(result.stdout)
    assert result.exit_code == 3
    assert [(failure.account, type(failure.error).__name__) for failure in merged.failures] == [
        ("treasury", "ProviderTimeoutError")
    ]


def test_a_timeout_is_above_zero(run):
    """Nothing could be read in no time."""
    assert run("balances", "--timeout", "0").exit_code == 2


def test_json_is_that_of_the_accounts_that_were_chosen(run, accounts_toml):
    """An account that was not asked for is not missing."""
    result = run("balances", "--config", accounts_toml, "--account", "shop-us", "--format", "json")

    assert json.loads(result.stdout)["chosen_accounts"] == ["shop-us"]
    assert result.exit_code == 0
