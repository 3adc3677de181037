"""`balancekit demo`: the main job against a sandbox."""

import re

import pytest


def test_the_demo_shows_what_it_did(run):
    """Stdout has the address, the number of requests, both tables and the next commands."""
    result = run("demo")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert re.search(r"stand-in of both APIs at http://127\.0\.0\.1:\d+", result.stdout)
    assert re.search(r"Read 3 accounts with 3 signed requests, all at once, in \d+ ms", result.stdout)
    assert "Totals of 3 accounts" in result.stdout
    assert "Balances of 3 accounts" in result.stdout
    assert "balancekit sandbox" in result.stdout.splitlines()[-2]


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_the_demo_s_sums_are_exact_at_any_width(run, columns):
    """Totals over both providers have all eighteen decimals, however narrow the terminal is."""
    result = run("demo", env={"COLUMNS": columns})

    assert " 12.123456789012345679 " in result.stdout
    assert " 1.54000001 " in result.stdout
    assert "1 zero not shown" in result.stdout


def test_a_demo_that_reads_nothing_ends_with_1(run, failing_demo):
    """The demo ends with the same exit codes as `balancekit balances`."""
    result = run("demo")

    assert result.exit_code == 1
    assert "NOTHING READ: 3 of 3 accounts could not be read" in result.stderr
