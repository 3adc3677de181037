"""`--verbose`: the log on stderr."""

import logging

import pytest


@pytest.mark.parametrize("places", ["before", "after", "both"])
def test_verbose_logs_each_outcome_once(run, accounts_toml, wrong_secret, places):
    """The option is taken before the command's name and after it; the log ends with the command."""
    before = ["-v"] if places != "after" else []
    after = ["-v"] if places != "before" else []

    result = run(*before, "balances", *after, "--config", accounts_toml)

    assert result.stderr.count("DEBUG balancekit.cli.balances: shop-us (cryptoprocessing) is read") == 1
    assert "shop-eu (cryptoprocessing) is not read: AuthenticationError" in result.stderr
    assert logging.getLogger("balancekit").handlers == []
